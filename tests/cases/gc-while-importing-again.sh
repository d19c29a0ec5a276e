# SPDX-License-Identifier: Apache-2.0
# What gc is about to free is imported again at that moment, over and over, by two processes and
# beside two gcs: whoever has an image has all of it.
# timeout: 200
. "$TESTS/lib.sh"
make_layers <<'PY'
same = [file_("s%d" % n, os.urandom(30000)) for n in range(50)]
oci_layout("a", [layer(*same)])
oci_layout("b", [layer(*same, file_("b", os.urandom(100000)))])
PY
expect_ok plyfs import oci:a:t first >/dev/null
expect_ok plyfs rmi first
importer() { # IMAGE ROUNDS
	local n
	for n in $(seq "$2"); do
		expect_ok plyfs import "oci:$1:t" "$1" >/dev/null
		rm -rf "out-$1"
		mkdir "out-$1"
		expect_ok plyfs cp "$1:/" "out-$1/tree"
		(cd "out-$1" && find tree -type f -exec sha256sum {} + | sort >sums)
		[ ! -e "sums-$1" ] || cmp "sums-$1" "out-$1/sums" || fail "$1 has changed in round $n"
		cp "out-$1/sums" "sums-$1"
		expect_ok plyfs rmi "$1"
	done
}
for g in 1 2; do
	(while [ ! -e stop ]; do plyfs gc >/dev/null 2>>gc.err || echo "gc: $?" >>gc.err; done) &
done
(T=$T/1; mkdir "$T"; importer a 25) & a=$!
(T=$T/2; mkdir "$T"; importer b 25) & b=$!
wait $a || fail "importing a"
wait $b || fail "importing b"
touch stop
wait
[ ! -s gc.err ] || fail "$(head -5 gc.err)"
fsck_store
expect_ok plyfs gc
store_is_empty "rmi of all and gc"
