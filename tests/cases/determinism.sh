# SPDX-License-Identifier: Apache-2.0
# The same input gives the same index, in any store and after anything else.
. "$TESTS/lib.sh"
"$TESTS/torture.py" src common
make_layers <<'PY'
files = [(b"%d" % n, os.urandom(30000 + n)) for n in range(100)]
oci_layout("a", [layer(*[file_(n, d) for n, d in files]), layer(file_("x", files[3][1]))])
oci_layout("other", [layer(*[file_(n, d) for n, d in reversed(files)])])
PY
index() { PLYFS_STORE=$1 get 'd["index_digest"]' inspect "$2"; }
for s in 1 2; do
	order="rootfs:src oci:other:t oci:a:t"
	[ $s = 1 ] || order="oci:a:t rootfs:src"
	n=0
	for source in $order; do
		expect_ok plyfs --store "$T/$s" import "$source" "$(echo "$source" | tr -d :)" >/dev/null
	done
done
for name in rootfssrc ociat; do
	[ "$(index 1 $name)" = "$(index 2 $name)" ] || fail "$name: the two stores differ"
done
for cpus in 0 0,1; do
	taskset -c $cpus "$PLYFS" --store "$T/cpu-$cpus" import rootfs:src rootfssrc >/dev/null ||
		continue
	[ "$(index "cpu-$cpus" rootfssrc)" = "$(index 1 rootfssrc)" ] ||
		fail "the number of processors matters"
done
