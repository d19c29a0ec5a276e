# SPDX-License-Identifier: Apache-2.0
# umount: a directory that is no mount, another's mount, a busy mount, and a second time.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("d"), file_("d/f", "x")))
PY
expect_ok plyfs import tar:x.tar x
mkdir dir other
expect_fail 'not.*(mount|plyfs)|no.*mount' plyfs umount dir
expect_fail 'no such|exist|no.*mount' plyfs umount nowhere
mount -t tmpfs tmpfs other
expect_fail 'not.*(mount|plyfs)|no.*mount' plyfs umount other
mountpoint -q other || fail "unmounted what is not plyfs's"
mounted x dir
expect_fail 'not.*(mount|plyfs)|no.*mount' plyfs umount dir/d
tail -f dir/d/f >tail.out &
until [ -s tail.out ]; do sleep 0.05; done
expect_fail 'busy|in use' plyfs umount dir
mountpoint -q dir || fail "unmounted while busy"
kill $!
wait $! 2>/dev/null || :
expect_ok plyfs umount dir
expect_fail 'not.*(mount|plyfs)|no.*mount' plyfs umount dir
