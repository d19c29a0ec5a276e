# SPDX-License-Identifier: Apache-2.0
# plyfs overlay: fuse-overlayfs's options; what is unknown is refused by one line.
. "$TESTS/lib.sh"
need_fuse
mkdir -p l1/d l2 'l:3,x' u w m
echo 1 >l1/f
echo 2 >l2/f
echo 3 >'l:3,x/three'
head -c 100000 /dev/urandom >l1/d/big
chown 5:6 l2/f
chmod 600 l2/f
expect_ok plyfs overlay -o 'lowerdir=l2:l1:l\:3\,x,upperdir=u,workdir=w,nosuid,noatime,volatile,noacl,static_nlink' m
[ "$(findmnt -n -o FSTYPE m)" = fuse.plyfs ] || fail "$(findmnt m)"
findmnt -n -o OPTIONS m | grep -w nosuid | grep -qw noatime || fail "$(findmnt m)"
[ "$(cat m/f m/three | xargs)" = '2 3' ] || fail "content"
echo x >>m/f
rm m/three
mkdir m/n
python3 -c 'import os, errno
try: os.rename("m/d", "m/D")
except OSError as e: assert e.errno == errno.EXDEV, e
else: raise SystemExit("renamed without redirect_dir")'
umount m
[ "$(stat -c %u:%g:%a u/f)" = 5:6:600 ] && [ "$(cat u/f | xargs)" = '2 x' ] || fail "not copied up whole"
[ "$(stat -c %F:%t:%T u/three)" = 'character special file:0:0' ] || fail "no whiteout"
until ! pgrep plyfs >/dev/null; do sleep 0.05; done
expect_ok plyfs overlay -o lowerdir=l2:l1,upperdir=u,workdir=w,redirect_dir=on m
mv m/d m/D
cmp m/D/big l1/d/big
umount m
expect_ok plyfs overlay -o lowerdir=l2:l1,ro,squash_to_root m
[ "$(stat -c %u:%g m/f)" = 0:0 ] || fail "not squashed"
! touch m/new 2>/dev/null || fail "could write"
umount m
expect_ok plyfs overlay -o lowerdir=l2:l1,squash_to_uid=3,squash_to_gid=4 m
[ "$(stat -c %u:%g m/f)" = 3:4 ] || fail "not squashed"
umount m
expect_ok plyfs overlay -o lowerdir=l2:l1 -o uidmapping=0:1000:10,gidmapping=0:2000:4:4:3000:10 m
[ "$(stat -c %u:%g m/f m/d | xargs)" = '1005:3002 1000:2000' ] || fail "not mapped: $(ls -ln m)"
umount m
ln -s "$PLYFS" plyfs-overlay
./plyfs-overlay -f -o lowerdir=l1,upperdir=u,workdir=w m &
until mountpoint -q m; do sleep 0.05; done
umount m
wait $! || fail "exit $? in the foreground"
for bad in lowerdir=l1,nosuch lowerdir=l1,nosuch=1 lowerdir=l1,upperdir=u upperdir=u,workdir=w \
	lowerdir= lowerdir=l1,squash_to_uid=x lowerdir=l1,xattr_permissions=2; do
	rc=0
	plyfs overlay -o $bad m 2>err || rc=$?
	[ $rc = 2 ] && [ "$(wc -l <err)" = 1 ] || fail "$bad: exit $rc: $(cat err)"
done
expect_fail 'no such' plyfs overlay -o lowerdir=nosuch m
expect_fail 'ids' plyfs overlay -o lowerdir=l1,uidmapping=1:2 m
expect_fail 'no such' plyfs overlay -o lowerdir=l1 nosuch
expect_usage plyfs overlay
! mountpoint -q m || fail "mounted"
