# SPDX-License-Identifier: Apache-2.0
# 1000 layers go out, in a process that may have 1024 files open, and leave nothing if they fail.
# timeout: 300
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("in", [layer(file_("f%d" % n, str(n))) for n in range(1000)], how="plain")
PY
expect_ok plyfs import oci:in:t i >/dev/null
ulimit -n 1024
for form in oci oci-archive docker-archive; do
	expect_ok plyfs export --compress gzip i $form:$form >/dev/null
	expect_ok plyfs import $form:$form again >/dev/null
	[ "$(get 'd["id"]' inspect again)" = "$(get 'd["id"]' inspect i)" ] || fail "$form: another ID"
done
expect_ok plyfs export --compress none i oci:oci >/dev/null
mkdir full
mount -t tmpfs -o size=16m,nr_inodes=700 tmpfs full
expect_fail 'full/x.*space' plyfs export --compress gzip i oci:full/x
[ "$(find full | wc -l)" = 1 ] || fail "left: $(find full | head)"
! find . -name '.plyfs-*' | grep . || fail 'temporary files were left'
