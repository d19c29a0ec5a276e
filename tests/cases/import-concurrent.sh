# SPDX-License-Identifier: Apache-2.0
# Imports of the same image at once all succeed, and its data is stored once.
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("i", [layer(*[file_("%d/%d" % (l, n), os.urandom(50000)) for n in range(200)])
                 for l in range(3)])
PY
expect_ok plyfs --store "$T/alone" import oci:i:t x
want=$(PLYFS_STORE=$T/alone get 'd["chunks"]' df)
alone=$(PLYFS_STORE=$T/alone disk_bytes)
pids=
for n in 1 2 3 4; do
	plyfs import oci:i:t img$n >out$n 2>&1 &
	pids="$pids $!"
done
for p in $pids; do wait $p || fail "a concurrent import failed: $(cat out*)"; done
[ "$(get 'len(rows(d))' images)" = 4 ] || fail "not four images"
expect_ok plyfs gc
[ "$(get 'd["chunks"]' df)" = "$want" ] || fail "$(get 'd["chunks"]' df) chunks instead of $want"
got=$(disk_bytes)
[ "$got" -le $((alone + alone / 20 + 1000000)) ] || fail "$got bytes on disk, alone it takes $alone"
fsck_store
