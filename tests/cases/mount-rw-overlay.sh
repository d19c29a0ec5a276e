# SPDX-License-Identifier: Apache-2.0
# A writable mount by overlayfs: what is written, removed, renamed and linked is there when the
# container is mounted again, and the image is as it was.
# core
# asan
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("./", mode=0o751), dir_("d"), dir_("d/e"), file_("d/e/f", os.urandom(300000)),
	file_("a", "one\n"), hardlink("b", "a"), file_("gone", "x"), file_("suid", "x", mode=0o4755, uid=7, gid=8)))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m r
expect_ok plyfs mount x r
[ "$(expect_ok plyfs mount x m --rw --driver overlay --container c1)" = c1 ] || fail "the ID is not printed"
[ "$(findmnt -n -o FSTYPE m)" = overlay ] || fail "$(findmnt m)"
same_tree r m
echo two >>m/a
[ "$(cat m/b)" = "$(printf 'one\ntwo')" ] || fail "the hard link is broken"
[ "$(stat -c %i-%h m/a)" = "$(stat -c %i-%h m/b)" ] || fail "not one file: $(stat m/a m/b)"
rm m/gone
mv m/d m/D
mkdir m/d && echo new >m/d/new
ln m/D/e/f m/third
chown 3:4 m/suid
setfattr -n user.note -v hi m/D
cp -a m before
expect_ok plyfs umount m
[ -z "$(ls m)" ] || fail "still mounted"
[ "$(expect_ok plyfs mount --rw --container c1 m)" = c1 ] || fail "not mounted again"
same_tree before m
[ "$(stat -c %i-%h m/a)" = "$(stat -c %i-%h m/b)" ] || fail "not one file any more"
expect_ok plyfs umount m
# the image named, too; and the other way to write, whose turn it is then
expect_ok plyfs mount x m --rw --container c1 --fsync >/dev/null
same_tree before m
expect_ok plyfs umount m
[ -e r/gone ] && [ "$(cat r/a)" = one ] || fail "the image has changed"
fsck_store
