# SPDX-License-Identifier: Apache-2.0
# gc, mounts, names that come and go: a mount that was made shows its image whole, for ever.
# timeout: 200
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
oci_layout("i", [layer(*[file_("f%d" % n, os.urandom(60000)) for n in range(30)])])
PY
expect_ok plyfs import oci:i:t keep >/dev/null
mounted keep m
(cd m && sha256sum * >../sums)
expect_ok plyfs umount m
expect_ok plyfs rmi keep
(while [ ! -e stop ]; do plyfs gc >/dev/null 2>>gc.err || echo "gc: $?" >>gc.err; done) &
gc=$!
for n in $(seq 12); do
	expect_ok plyfs import oci:i:t "i$n" >/dev/null
	mounted "i$n" m
	expect_ok plyfs rmi "i$n"
	[ $((n % 2)) = 1 ] || sleep 0.1
	echo 3 >/proc/sys/vm/drop_caches
	(cd m && sha256sum --quiet -c ../sums) || fail "mount $n lost data"
	! plyfs mount "i$n" m 2>/dev/null || fail "a removed name is mounted"
	expect_ok plyfs umount m
done
touch stop
wait $gc
[ ! -s gc.err ] || fail "$(head -5 gc.err)"
expect_ok plyfs gc
store_is_empty "rmi of all and gc"
