# SPDX-License-Identifier: Apache-2.0
# What a volatile overlay leaves behind, also without an unmount, keeps nobody from mounting the
# container again.
# asan
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("d"), file_("d/f", os.urandom(100000)), file_("a", "1"), hardlink("b", "a")))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m
expect_ok plyfs mount x m --rw --driver overlay --container c >/dev/null
mv m/d m/e
echo 2 >m/a
cp -a m before
# as after a loss of power: the directories of a mount that never ended
cp -a "$PLYFS_STORE/containers/c" copy
[ -e copy/work/work/incompat/volatile ] || fail "no mark: $(find copy/work)"
expect_ok plyfs umount m
rm -rf "$PLYFS_STORE/containers/c"
cp -a copy "$PLYFS_STORE/containers/c"
expect_ok plyfs mount --rw --container c m >/dev/null
same_tree before m
[ "$(stat -c %i m/a)" = "$(stat -c %i m/b)" ] || fail "the hard link is broken"
# and with a process that still works in it, detached
(cd m && exec sleep 1000) &
expect_ok plyfs umount --lazy m
expect_fail 'in use' plyfs mount --rw --container c m
kill $!
wait $! 2>/dev/null || :
until [ "$(get 'd[0]["in_use"]' containers)" = False ]; do sleep 0.05; done
expect_ok plyfs mount --rw --container c m >/dev/null
same_tree before m
