# SPDX-License-Identifier: Apache-2.0
# export to rootfs: takes a new or an empty directory only, and leaves others alone.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(dir_("./", mode=0o750, mtime=5), file_("f", "x"), dir_("d", mode=0o500)))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir -p full empty
echo mine >full/mine
find full -printf '%P %s %m %T@ %C@\n' >before
expect_fail 'not empty' plyfs export x rootfs:full
find full -printf '%P %s %m %T@ %C@\n' | cmp - before || fail "a directory that was refused has changed"
echo file >file
expect_fail 'not a directory' plyfs export x rootfs:file
[ "$(cat file)" = file ]
expect_fail 'no such' plyfs export x rootfs:none/new
[ ! -e none ]
expect_fail 'compress' plyfs export x rootfs:new --compress gzip
[ ! -e new ]
expect_ok plyfs export x rootfs:empty
expect_ok plyfs export x rootfs:new
same_tree empty new
[ "$(stat -c '%a %Y' new)" = '750 5' ] || fail "the root has not the image's attributes"
expect_fail 'not empty' plyfs export x rootfs:new
# what begins with a default ACL on the host does not get it
if setfacl -d -m u:1000:rwx,g::rwx . 2>/dev/null; then
	expect_ok plyfs export x rootfs:acl
	same_tree new acl
fi
