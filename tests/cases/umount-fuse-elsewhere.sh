# SPDX-License-Identifier: Apache-2.0
# umount of a FUSE mount that another mount namespace still has: its server goes on, which is no
# failure, whether the kernel's list of FUSE file systems is mounted here or not; nor is it for a user,
# who can find out by waiting only.
. "$TESTS/lib.sh"
need_fuse
need fusermount3 setpriv
make_layers <<'PY'
write("x.tar", layer(file_("f", "hello")))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m
while umount /sys/fs/fuse/connections 2>/dev/null; do :; done
chmod 755 .
install -m 755 "$PLYFS" plyfs
mknod fuse c 10 229
chmod 666 fuse
mount --bind fuse /dev/fuse
as_user="setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=$T"
elsewhere() { # WHAT, and who
	local what=$1 pid before
	shift
	expect_ok "$@" ./plyfs mount x m --driver fuse
	mkfifo go
	unshare -m sh -c 'echo >go; exec sleep 1000' &
	pid=$!
	read -r _ <go
	rm go
	before=$(date +%s)
	expect_ok "$@" ./plyfs umount m
	[ $(($(date +%s) - before)) -lt 8 ] || fail "$what: waited too long"
	[ "$(nsenter -t $pid -m "$@" cat "$T/m/f")" = hello ] ||
		fail "$what: the other mount is gone"
	kill $pid
	wait $pid 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		pgrep -f fuse-supervisor >/dev/null || return 0
		sleep 0.1
	done
	fail "$what: the server is left"
}
elsewhere 'no list'
$as_user ./plyfs --version >/dev/null 2>&1 || skip "$T cannot be reached by others"
chown -R nobody m "$PLYFS_STORE"
elsewhere 'user, no list' $as_user
chown -R root m "$PLYFS_STORE"
mount -t fusectl none /sys/fs/fuse/connections || skip "no fusectl"
elsewhere list
expect_ok plyfs mount x m --driver fuse
expect_ok plyfs umount m
! pgrep -f fuse-supervisor || fail "a server is left"
