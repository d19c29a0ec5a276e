# SPDX-License-Identifier: Apache-2.0
# gc at the same time as imports takes nothing away from them.
. "$TESTS/lib.sh"
make_layers <<'PY'
same = [file_("same%d" % n, os.urandom(100000)) for n in range(40)]
for i in range(6):
    oci_layout("i%d" % i, [layer(*same, *[file_("f%d" % n, os.urandom(50000)) for n in range(40)])])
PY
expect_ok plyfs import oci:i0:t first >/dev/null
(while :; do plyfs gc >/dev/null 2>>gc.err || echo "gc: $?" >>gc.err; done) &
gc=$!
for n in 0 1 2 3 4 5; do
	expect_ok plyfs import oci:i$n:t i$n >/dev/null
	[ $((n % 2)) = 1 ] || expect_ok plyfs rmi i$n >/dev/null
done
kill $gc
wait $gc 2>/dev/null || :
[ ! -s gc.err ] || fail "$(head -5 gc.err)"
fsck_store
[ "$(get 'len(rows(d))' images)" = 4 ] || fail "not four images"
