# SPDX-License-Identifier: Apache-2.0
# A layer that the store holds is taken from there: its blob may even be missing.
. "$TESTS/lib.sh"
make_layers <<'PY'
base = layer(file_("a", os.urandom(1 << 20)))
oci_layout("one", [base])
manifest = oci_layout("two", [base, layer(file_("b", "b"))])
write("gone", Layout("two").blob_path(manifest["layers"][0]["digest"]).encode())
PY
expect_ok plyfs import oci:one:t one
rm "$(cat gone)"
expect_ok plyfs import oci:two:t two
[ "$(plyfs cat two /b)" = b ] || fail "wrong content"
plyfs cat one /a >x && plyfs cat two /a | cmp - x
