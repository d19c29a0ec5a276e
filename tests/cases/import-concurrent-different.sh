# SPDX-License-Identifier: Apache-2.0
# Different images that share files, imported at once into one store, are all whole afterwards.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
common = [os.urandom(100000) for _ in range(50)]
for i in range(4):
    oci_layout("i%d" % i, [layer(*[file_("c%d" % n, d) for n, d in enumerate(common)],
                                 *[file_("own%d" % n, os.urandom(50000)) for n in range(50)])])
PY
pids=
for n in 0 1 2 3; do plyfs import oci:i$n:t img$n >out$n 2>&1 & pids="$pids $!"; done
for p in $pids; do wait $p || fail "a concurrent import failed: $(cat out*)"; done
for n in 0 1 2 3; do
	expect_ok plyfs --store "$T/s$n" import oci:i$n:t x
	mounted img$n a$n
	mkdir b$n && expect_ok plyfs --store "$T/s$n" mount x b$n
	same_tree a$n b$n
done
