# SPDX-License-Identifier: Apache-2.0
# A mount is the kernel's EROFS on plain files: read-only, and without a loop device.
# core
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("./"), file_("f", os.urandom(300000)), file_("suid", "x", mode=0o4755)))
PY
expect_ok plyfs import tar:x.tar x
before=$(cat /sys/block/loop*/loop/backing_file 2>/dev/null || :)
mounted x m
[ "$(findmnt -n -o FSTYPE m)" = erofs ] || fail "findmnt: $(findmnt -n m)"
findmnt -n -o OPTIONS m | grep -qw ro || fail "not read-only: $(findmnt -n m)"
! findmnt -n -o OPTIONS m | grep -qw directio || fail "mounted with directio"
[ "$(cat /sys/block/loop*/loop/backing_file 2>/dev/null || :)" = "$before" ] || fail "a loop device"
! touch m/new 2>err || fail "could write"
grep -qi 'read-only' err || fail "$(cat err)"
plyfs cat x /f | cmp - m/f || fail "content differs"
plyfs mounts | grep -q "$T/m" || fail "plyfs mounts: $(plyfs mounts)"
[ "$(get 'any("'"$T/m"'" in map(str, r.values()) for r in rows(d))' mounts)" = True ] ||
	fail "mounts --json: $(plyfs mounts --json)"
expect_ok plyfs umount m
! mountpoint -q m || fail "still mounted"
! plyfs mounts | grep -q "$T/m" || fail "still listed: $(plyfs mounts)"
