# SPDX-License-Identifier: Apache-2.0
# mount: a missing image, a missing target, a file as target. Onto a directory that is not empty
# works, as with mount(8).
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(file_("f", "x")))
PY
expect_ok plyfs import tar:x.tar x
mkdir dir
expect_fail 'missing|no such|not found|no image|unknown' plyfs mount missing dir
expect_fail 'no such|exist|not found' plyfs mount x nowhere
touch file
expect_fail 'director' plyfs mount x file
[ -z "$(plyfs mounts --json | grep -F "$T" || :)" ] || fail "a failed mount is listed"
echo hidden >dir/old
expect_ok plyfs mount x dir
[ "$(ls dir)" = f ] || fail "not mounted over the content"
expect_ok plyfs umount dir
[ "$(cat dir/old)" = hidden ] || fail "the content below is gone"
