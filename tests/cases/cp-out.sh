# SPDX-License-Identifier: Apache-2.0
# cp copies files and trees out of an image with modes, owners and times, and never out of DEST.
# asan
. "$TESTS/lib.sh"
"$TESTS/torture.py" src attrs types links times xattrs acls names holes sizes
rm src/types/socket src/holes/*tebibyte # cp-keeps-holes has those
expect_ok plyfs import rootfs:src x >/dev/null
expect_ok plyfs cp x:/sizes/size-131073 file
cmp file src/sizes/size-131073
mkdir into
expect_ok plyfs cp x:/sizes/size-4097 into
cmp into/size-4097 src/sizes/size-4097
expect_ok plyfs cp x:/ out
same_tree src out --ignore nlink,links --ignore-xattr "*" # as docker cp does
mkdir victim
ln -s "$T/victim" trap
make_layers <<'PY'
write("evil.tar", layer(dir_("d"), symlink("d/out", "../../victim"), file_("d/f", "f")))
PY
expect_ok plyfs import tar:evil.tar evil >/dev/null
expect_ok plyfs cp evil:/d evil-out
[ -L evil-out/out ] && [ -z "$(ls victim)" ] || fail "cp followed a symlink of the image"
expect_fail 'no such|not found|exist' plyfs cp x:/nothing y
