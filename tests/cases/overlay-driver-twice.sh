# SPDX-License-Identifier: Apache-2.0
# A container is mounted in one place at a time, whoever can see that place.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(file_("f", "x")))
write("y.tar", layer(file_("f", "y")))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
expect_ok plyfs import tar:y.tar y >/dev/null
mkdir a b
expect_ok plyfs mount x a --rw --driver overlay --container c >/dev/null
expect_fail "'c' is mounted on $T/a" plyfs mount x b --rw --container c
expect_fail "'c' is mounted on $T/a" plyfs container rm c
unshare -m sh -c "umount a && exec sleep 1000" &
until ! grep -q " $T/a " /proc/$!/mountinfo; do sleep 0.01; done
unshare -m sh -c "umount a; $PLYFS mount x b --rw --container c" 2>err && fail "mounted twice"
grep -q "'c' is in use" err || fail "$(cat err)"
expect_ok plyfs umount a
expect_fail 'of another image' plyfs mount y b --rw --container c
expect_fail "no container 'd'" plyfs mount --rw --container d b
expect_ok plyfs mount x b --rw --container c >/dev/null
kill $!
expect_ok plyfs umount b
expect_ok plyfs container rm c
[ "$(get 'len(d)' containers)" = 0 ] || fail "it is still there"
[ -z "$(ls "$PLYFS_STORE/containers")" ] || fail "left: $(ls "$PLYFS_STORE/containers")"
