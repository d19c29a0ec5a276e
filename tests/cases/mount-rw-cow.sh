# SPDX-License-Identifier: Apache-2.0
# A writable mount by FUSE: a first write to a big file copies blocks, and all that was changed is
# there when the container is mounted again; umount returns when no process is left.
# core
. "$TESTS/lib.sh"
need_fuse
make_layers <<'PY'
write("x.tar", layer(dir_("./", mode=0o751), dir_("d"), dir_("d/e"), file_("d/e/f", os.urandom(3000000)),
	file_("a", "one\n"), hardlink("b", "a"), file_("gone", "x"), file_("own", "x", mode=0o644, uid=7, gid=8)))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m before
[ "$(expect_ok plyfs mount x m --rw --driver cow --container c1)" = c1 ] || fail "the ID is not printed"
[ "$(findmnt -n -o FSTYPE m)" = fuse.plyfs ] || fail "$(findmnt m)"
[ "$(get 'd[0]["driver"] + d[0]["container"]' mounts)" = cowc1 ] || fail "$(plyfs mounts)"
plyfs cat x d/e/f >want
printf XYZ | tee >(dd of=want bs=1 seek=4095 conv=notrunc 2>/dev/null) |
	dd of=m/d/e/f bs=1 seek=4095 conv=notrunc 2>/dev/null
sync -f m/d/e/f
[ "$(get 'd[0]["bytes"] < 200000' containers)" = True ] || fail "copied: $(plyfs containers)"
echo two >>m/a
[ "$(cat m/b)" = "$(printf 'one\ntwo')" ] || fail "the hard link is broken"
rm m/gone
mv m/d m/D
mkdir m/d && echo new >m/d/new
ln m/D/e/f m/third
chown 3:4 m/own
setfattr -n user.note -v hi m/D
cp -a m/. before
cmp want m/third || fail "content"
expect_fail "'c1' is mounted on $T/m" plyfs mount x before --rw --container c1
expect_fail "'c1' is mounted on $T/m" plyfs container rm c1
expect_ok plyfs umount m
! pgrep -a plyfs || fail "a process is left"
expect_fail 'half-copied.*cow' plyfs mount --rw --container c1 --driver overlay m
expect_ok plyfs mount --rw --container c1 m >/dev/null
[ "$(findmnt -n -o FSTYPE m)" = fuse.plyfs ] || fail "$(findmnt m)"
same_tree before m
cmp want m/third || fail "content"
for p in $(pgrep plyfs); do kill -9 "$p"; sleep 0.2; done
same_tree before m
expect_ok plyfs restart m
same_tree before m
expect_ok plyfs umount --all
! pgrep -a plyfs || fail "a process is left"
expect_ok plyfs container rm c1
fsck_store
