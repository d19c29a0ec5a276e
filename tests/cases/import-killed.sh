# SPDX-License-Identifier: Apache-2.0
# kill -9 of an import at any instant: the next command works, what was there before is intact,
# the import can be done again, and gc frees what the killed ones have left.
# timeout: 300
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("old", [layer(file_("keep", os.urandom(2 << 20)))])
write("seed", os.urandom(16))
PY
expect_ok plyfs import oci:old:t old >/dev/null
plyfs cat old /keep >keep
before=$(disk_bytes)
big() { # a new image each time, so that no killed import finds its data in the store
	rm -rf big
	make_layers "$1" <<'PY'
import random
r = random.Random(int(sys.argv[1]))
oci_layout("big", [layer(*[file_("%d/%d" % (l, n), r.randbytes(40000)) for n in range(250)])
                   for l in range(3)], how="plain")
PY
}
big 0
start=$(date +%s%N)
expect_ok plyfs --store "$T/timing" import oci:big:t x >/dev/null
took_ms=$((($(date +%s%N) - start) / 1000000 + 5))
rm -rf timing
for n in $(seq 1 25); do
	big $n
	"$PLYFS" import oci:big:t new$n >out 2>&1 & # no function: the pid is the program's
	pid=$!
	ms=$((took_ms * n / 25))
	sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
	kill -9 $pid 2>/dev/null || :
	rc=0
	wait $pid || rc=$?
	get 'len(rows(d))' images >/dev/null
	plyfs cat old /keep | cmp - keep || fail "the earlier image is damaged after kill $n"
	if [ $rc = 0 ]; then # it was faster: then it must be there
		plyfs inspect new$n >/dev/null || fail "a finished import is gone ($n)"
	else
		[ $rc = 137 ] || fail "import $n ended by itself with $rc: $(cat out)"
	fi
	! plyfs inspect new$n >/dev/null 2>&1 || expect_ok plyfs rmi new$n >/dev/null
done
expect_ok plyfs gc
after=$(disk_bytes)
# 30 MB a time; the chunk index's file may keep pages that it has once had
[ "$after" -le $((before + 8000000)) ] ||
	fail "$after bytes on disk after gc, $before before the killed imports"
fsck_store
expect_ok plyfs import oci:big:t again >/dev/null
plyfs cat old /keep | cmp - keep
make_layers <<'PY'
import random
r = random.Random(25)
write("sums", "".join("%s  %d/%d\n" % (sha256(r.randbytes(40000))[7:], l, n)
                      for l in range(3) for n in range(250)).encode())
PY
expect_ok plyfs cp again:/ copied
(cd copied && sha256sum --quiet -c ../sums) || fail "the image imported last is damaged"
