# SPDX-License-Identifier: Apache-2.0
# A read-only mount by FUSE shows what the kernel's EROFS shows.
. "$TESTS/lib.sh"
need_fuse
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("./", mode=0o755), dir_("d"), file_("d/f", os.urandom(3000000)), file_("a", "one\n"), hardlink("b", "a"),
	symlink("l", "d/f"), fifo("p"), char("c", 1, 3), file_("suid", "x", mode=0o4755, uid=7, gid=8), *[file_("many%d" % n, "x" * n) for n in range(500)]))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir k f
expect_ok plyfs mount x k --driver kernel
expect_ok plyfs mount x f --driver fuse
[ "$(findmnt -n -o FSTYPE f)" = fuse.plyfs ] || fail "$(findmnt f)"
[ "$(get '[m["driver"] for m in d]' mounts)" = "['kernel', 'fuse']" ] || fail "$(plyfs mounts)"
same_tree k f
! touch f/new 2>err || fail "could write"
grep -qi 'read-only' err || fail "$(cat err)"
expect_ok plyfs rmi x
expect_ok plyfs umount k
expect_ok plyfs gc
cmp <(cat f/d/f | sha256sum) <(cat f/l | sha256sum)
expect_ok plyfs umount f
! pgrep -a plyfs || fail "a process is left"
expect_ok plyfs gc
store_is_empty "umount and gc"
