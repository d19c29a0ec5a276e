# SPDX-License-Identifier: Apache-2.0
# fsck beside running imports, tags and removals finds no damage that is none.
# timeout: 300
. "$TESTS/lib.sh"
make_layers <<'PY'
import random
r = random.Random(11)
same = [file_("same%d" % n, r.randbytes(60000)) for n in range(20)]
for i in range(4):
    oci_layout("i%d" % i, [layer(*same, *[file_("f%d" % n, r.randbytes(30000)) for n in range(60)])])
PY
expect_ok plyfs import oci:i0:t first >/dev/null
(
	n=0
	while [ ! -e stop ]; do
		n=$((n + 1))
		plyfs import oci:i$((n % 4)):t x$((n % 3)) >/dev/null
		[ $((n % 5)) != 0 ] || plyfs rmi x$((n % 3)) >/dev/null
		[ $((n % 7)) != 0 ] || plyfs gc >/dev/null
	done
) 2>imports.err &
importer=$!
for _ in $(seq 1 40); do
	fsck_says 0 'not damaged and d["damaged"] == 0'
	fsck_says 0 'not damaged and not [p for p in leftover if "tmp/" in p["text"]]' --data
done
touch stop
wait $importer
[ ! -s imports.err ] || fail "$(head -3 imports.err)"
fsck_says 0 'not d["problems"]' --data
