# SPDX-License-Identifier: Apache-2.0
# A second import of the same image, under another name, adds no data to the store.
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("i", [layer(file_("a", os.urandom(3 << 20))), layer(file_("b", os.urandom(1 << 20)))])
PY
expect_ok plyfs import oci:i:t one
chunks=$(get 'd["chunks"]' df)
bytes=$(disk_bytes)
expect_ok plyfs import oci:i:t two
[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "more chunks after the second import"
after=$(disk_bytes)
[ $((after - bytes)) -le 65536 ] || fail "the second import added $((after - bytes)) bytes"
[ "$(get 'len(rows(d))' images)" = 2 ] || fail "not two images"
