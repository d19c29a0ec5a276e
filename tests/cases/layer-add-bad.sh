# SPDX-License-Identifier: Apache-2.0
# A bad layer is refused by layer add as by import, and leaves the store as it was.
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("base", [layer(dir_("d"), file_("d/a", os.urandom(200000)))])
write("bad.tar", layer(file_("x", os.urandom(200000)), hardlink("h", "nothing")))
write("good.tar", layer(hardlink("h", "d/a")))
PY
expect_ok plyfs import oci:base:t base
chunks=$(get 'd["chunks"]' df)
expect_fail link plyfs layer add base tar:bad.tar new
expect_fail . plyfs inspect new
expect_ok plyfs gc
[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "chunks of the refused layer stay"
expect_ok plyfs layer add base tar:good.tar new
[ "$(get 'rows(d)[0]["links"]' stat new /h)" = 2 ] ||
	fail "a hard link to the layer below is not one"
