# SPDX-License-Identifier: Apache-2.0
# An archive takes the place of a file when it is whole, and not before: a kill leaves the old one.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("in", [layer(file_("%d" % n, os.urandom(8 << 20))) for n in range(3)])
PY
expect_ok plyfs import oci:in:t i >/dev/null
mkdir dir
echo old >dir/file
chmod 600 dir/file
ln -s dir/file link
expect_ok plyfs export i docker-archive:link >/dev/null
[ "$(stat -c %a dir/file)" = 600 ] || fail 'others may read it now'
[ -L link ] || fail 'the symlink was replaced'
expect_ok plyfs import docker-archive:dir/file again >/dev/null

note 'killed at any time'
for form in oci docker-archive; do
	rm -rf dir && mkdir dir
	for ms in 2 5 10 20 40 80 160 320; do
		echo old >dir/file
		timeout -s KILL 0.$(printf %03d $ms) "$PLYFS" export --compress zstd i \
			$form:dir/$form >/dev/null 2>&1 || :
		[ "$(find dir -maxdepth 1 -name '.plyfs-*')" = '' ] || fail "left: $(ls -A dir)"
		[ $form = oci ] || [ ! -e dir/$form ] ||
			expect_ok plyfs import $form:dir/$form again >/dev/null
	done
	expect_ok plyfs export --compress zstd i $form:dir/$form >/dev/null
	expect_ok plyfs import $form:dir/$form again >/dev/null
done

note 'JSON, a tag with colons, and wrong usage'
[ "$(get 'sorted(d)' export i oci:dir/new:a:b)" = "['config', 'destination', 'digest', 'name']" ] ||
	fail "$(cat .json)"
[ "$(get 'd["destination"]' export i oci:dir/new:a:b)" = oci:dir/new:a:b ] || fail "$(cat .json)"
expect_ok plyfs import oci:dir/new:a:b again >/dev/null
expect_fail 'no image' plyfs export none oci:dir/x
expect_usage plyfs export i oci:dir/x --compress lzma
expect_usage plyfs export i
