# SPDX-License-Identifier: Apache-2.0
# rmi and gc free what no image uses, and keep what another one does.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
shared = layer(file_("shared", os.urandom(1 << 20)))
oci_layout("a", [shared, layer(file_("a", os.urandom(4 << 20)))])
oci_layout("b", [shared, layer(file_("b", os.urandom(1 << 20)))])
PY
expect_ok plyfs import oci:b:t b
alone=$(disk_bytes)
chunks=$(get 'd["chunks"]' df)
plyfs cat b /shared >shared
expect_ok plyfs import oci:a:t a
both=$(disk_bytes)
[ "$both" -gt $((alone + 4000000)) ] || fail "df does not see the second image: $alone, $both"
expect_ok plyfs rmi a
sync
files() { du -s -c -B1 "$PLYFS_STORE"/packs/* "$PLYFS_STORE"/layers/* "$PLYFS_STORE"/images/* "$PLYFS_STORE"/local/* | tail -1 | cut -f1; }
taken=$(files)
freed=$(get 'd["bytes"]' gc)
[ $((taken - $(files))) = "$freed" ] || fail "gc says $freed bytes, du $((taken - $(files)))"
[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "$(get 'd["chunks"]' df) chunks, not $chunks"
after=$(disk_bytes)
[ "$after" -le $((alone + alone / 10 + 100000)) ] || fail "$after bytes after gc, $alone before"
real=$(du -s -B1 "$PLYFS_STORE" | cut -f1)
[ "$after" -le $((real + real / 5 + 100000)) ] && [ "$real" -le $((after + after / 5 + 1000000)) ] ||
	fail "df says $after bytes, du $real"
plyfs cat b /shared | cmp - shared
fsck_store
expect_ok plyfs import oci:a:t a
plyfs cat a /shared | cmp - shared
expect_ok plyfs rmi a
expect_ok plyfs rmi b
expect_ok plyfs gc
store_is_empty "rmi of all and gc"
