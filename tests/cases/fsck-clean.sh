# SPDX-License-Identifier: Apache-2.0
# fsck finds nothing wrong with a store that was imported into, collected, and killed at; what the
# killed leave is a leftover, no damage, and gc removes it.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
import random
r = random.Random(3)
same = file_("same", r.randbytes(200000))
oci_layout("a", [layer(dir_("d"), same, file_("d/a", r.randbytes(300000)), file_("x", "small")),
                 layer(whiteout("d/a"), file_("d/b", r.randbytes(5000)))])
oci_layout("b", [layer(same, file_("hole", b"a" + bytes(1 << 20) + b"b"))])
oci_layout("c", [layer(*[file_("f%d" % n, r.randbytes(40000)) for n in range(300)])], how="plain")
PY
fsck_all() { fsck_says 0 'd["damaged"] == 0 and not damaged and not leftover' --data; }
expect_ok plyfs import oci:a:t a >/dev/null
fsck_all
expect_ok plyfs import oci:b:t b --chunk-size 4096 >/dev/null
fsck_all
fsck_says 0 'd["names"] == d["images"] == 2 and d["layers"] == 3 and d["verified_bytes"] > 700000' --data
expect_ok plyfs rmi a >/dev/null
fsck_says 0 'd["unreferenced_chunks"] == 0 and d["names"] == 1 and d["images"] == 2'
expect_ok plyfs gc >/dev/null
fsck_all
expect_ok plyfs fsck | grep -q '0 damaged, 0 leftovers' || fail "the summary: $(plyfs fsck)"
for ms in 10 30 60 100; do
	"$PLYFS" import oci:c:t c >/dev/null 2>&1 &
	pid=$!
	sleep 0.$(printf %03d $ms)
	kill -9 $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
	fsck_says 0 'd["damaged"] == 0' --data
done
echo >"$PLYFS_STORE/tmp/0000000000000001-0"
echo >"$PLYFS_STORE/layers/$(printf %064d 7).index"
fsck_says 0 'len([p for p in leftover if "no record names it" in p["text"]]) >= 2' --data
expect_ok plyfs gc >/dev/null
fsck_all
expect_fail 'no store' plyfs --store "$T/nowhere" fsck
expect_usage plyfs fsck --nonsense
