# SPDX-License-Identifier: Apache-2.0
# One image may be mounted many times, and many images at once.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
oci_layout("one", [layer(file_("f", "one"))])
oci_layout("two", [layer(file_("f", "two"))])
PY
expect_ok plyfs import oci:one:t one
expect_ok plyfs import oci:two:t two
for n in $(seq 20); do
	mounted one a$n
	mounted two b$n
done
[ "$(get 'len(rows(d))' mounts)" = 40 ] || fail "$(plyfs mounts | wc -l) mounts"
for n in $(seq 20); do
	[ "$(cat a$n/f b$n/f | tr -d '\n')" = onetwo ] || fail "wrong content"
	expect_ok plyfs umount a$n
done
[ "$(get 'len(rows(d))' mounts)" = 20 ] || fail "wrong mounts are gone"
