# SPDX-License-Identifier: Apache-2.0
# kill -9 of gc at any instant: what lives is whole, and the next gc does the rest.
# timeout: 300
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("keep", [layer(*[file_("k%d" % n, os.urandom(30000)) for n in range(100)])])
oci_layout("dead", [layer(*[file_("d%d" % n, os.urandom(8000)) for n in range(3000)])], how="plain")
PY
expect_ok plyfs import oci:keep:t keep >/dev/null
expect_ok plyfs cp keep:/ kept
alone=$(du -s -B1 "$PLYFS_STORE/packs" | cut -f1)
for n in $(seq 0 15); do
	expect_ok plyfs import oci:dead:t dead >/dev/null
	plyfs cat dead /d7 >d7
	[ ! -e d7.first ] || cmp d7 d7.first || fail "an image imported after a killed gc is damaged"
	cp d7 d7.first
	expect_ok plyfs rmi dead
	"$PLYFS" gc >out 2>&1 &
	pid=$!
	sleep 0.$(printf %03d $((n * 12)))
	kill -9 $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
	rm -rf now
	expect_ok plyfs cp keep:/ now
	diff -r kept now || fail "what is kept is damaged by gc killed after $((n * 12)) ms"
done
fsck_store
expect_ok plyfs gc
after=$(du -s -B1 "$PLYFS_STORE/packs" | cut -f1)
[ "$after" -le $((alone + 100000)) ] || fail "$after bytes in packs, $alone before"
[ "$(find "$PLYFS_STORE"/images -type f | wc -l)" = 3 ] || fail "$(ls "$PLYFS_STORE"/images)"
