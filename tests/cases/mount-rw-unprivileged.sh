# SPDX-License-Identifier: Apache-2.0
# Without root, through fusermount3: read-only and writable mounts, owners that the user cannot
# give, commit.
# timeout: 240
. "$TESTS/lib.sh"
need_fuse
need fusermount3 setpriv
make_layers <<'PY'
write("x.tar", layer(dir_("./", mode=0o755, uid=65534, gid=65534), dir_("d", uid=65534, gid=65534), file_("d/f", os.urandom(3000000), uid=65534, gid=65534),
	file_("root", "x", uid=0, gid=0), file_("suid", "x", mode=0o4755, uid=7, gid=8), char("null", 1, 3)))
write("root.tar", layer(dir_("./", mode=0o1755, uid=3, gid=0), file_("f", "x")))
PY
# a device for everybody, in this namespace alone
mknod fuse c 10 229
chmod 666 fuse
mount --bind fuse /dev/fuse
install -m 755 "$PLYFS" plyfs
mkdir m
chown -R nobody m .
chmod 755 .
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$T" "$@"; }
as_nobody ./plyfs --version >/dev/null 2>&1 || skip "$T cannot be reached by others"
p() { expect_ok as_nobody ./plyfs "$@"; }
p import tar:x.tar x >/dev/null
p mount x m
[ "$(as_nobody stat -c %u:%g:%a m/suid m/root m/d/f | xargs)" = '7:8:4755 0:0:644 65534:65534:644' ] || fail "owners"
as_nobody sh -c './plyfs cat x d/f | cmp - m/d/f' ||
	fail "content"
p restart m
as_nobody sh -c './plyfs cat x d/f | cmp - m/d/f'
p umount m
! pgrep -a plyfs || fail "a process is left"
[ "$(p mount x m --rw --container c)" = c ] || fail "no ID"
as_nobody sh -c 'printf XYZ | dd of=m/d/f bs=1 seek=5000 conv=notrunc 2>/dev/null; mkdir m/n; mv m/d m/n/d; mv m/suid m/n; echo new >m/n/new'
! as_nobody sh -c 'echo y >>m/root' 2>/dev/null || fail "wrote to root's file"
[ "$(as_nobody stat -c %u:%g:%a m/n/suid m/root m/n/d/f m/n/new | xargs)" = \
	'7:8:4755 0:0:644 65534:65534:644 65534:65534:644' ] || fail "owners"
as_nobody ./plyfs diff c >out
printf '%s\n' 'D /d' 'A /n' 'A /n/d' 'A /n/d/f' 'A /n/new' 'A /n/suid' 'D /suid' | diff - out
p commit c y >/dev/null
sum=$(as_nobody sh -c 'sha256sum <m/n/d/f')
p umount m
p mount --rw --container c m >/dev/null
[ "$(as_nobody sh -c 'sha256sum <m/n/d/f')" = "$sum" ] || fail "content after a second mount"
p umount m
p mount y m
[ "$(as_nobody stat -c %u:%g:%a m/n/suid m/n/d/f | xargs)" = '7:8:4755 65534:65534:644' ] || fail "owners in the commit"
[ "$(as_nobody sh -c 'sha256sum <m/n/d/f')" = "$sum" ] || fail "content of the commit"
p umount m
p container rm c
# a root directory that is root's
p import tar:root.tar root
p mount root m --rw --container root
[ "$(as_nobody stat -c %u:%g:%a m)" = 3:0:1755 ] || fail "root directory: $(as_nobody stat -c %u:%g:%a m)"
p umount m
[ -z "$(as_nobody ./plyfs diff root)" ] || fail "nobody has touched it: $(as_nobody ./plyfs diff root)"
p container rm root
p fsck --data
