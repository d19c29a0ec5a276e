# SPDX-License-Identifier: Apache-2.0
# gc leaves alone what a container needs, mounted or not; and what its mount holds, in whatever
# namespace, when the container itself is gone.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
oci_layout("i", [layer(*[file_("f%d" % n, os.urandom(200000)) for n in range(20)])])
PY
expect_ok plyfs import oci:i:t i >/dev/null
mkdir m
expect_ok plyfs mount i m --rw --driver overlay --container c >/dev/null
(cd m && sha256sum *) >sums
expect_ok plyfs rmi i
expect_ok plyfs gc
echo 3 >/proc/sys/vm/drop_caches
(cd m && sha256sum --quiet -c ../sums) || fail "a mounted container lost data by gc"
expect_ok plyfs umount m
expect_ok plyfs gc
expect_ok plyfs mount --rw --container c m >/dev/null
(cd m && sha256sum --quiet -c ../sums) || fail "a container lost data by gc"
# a mount that only another namespace has, of a container whose record is gone by force
unshare -m sleep 1000 &
until [ "$(readlink /proc/$!/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ] && grep -q " $T/m " /proc/$!/mountinfo; do sleep 0.01; done
expect_ok plyfs umount m
[ "$(get 'd[0]["in_use"]' containers)" = True ] || fail "not in use: $(plyfs containers)"
expect_fail 'in use' plyfs container rm c
kill $!
wait $! 2>/dev/null || :
until [ "$(get 'd[0]["in_use"]' containers)" = False ]; do sleep 0.05; done
expect_ok plyfs container rm c
expect_ok plyfs gc
store_is_empty "umount, container rm and gc"
