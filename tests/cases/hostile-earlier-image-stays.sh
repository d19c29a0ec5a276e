# SPDX-License-Identifier: Apache-2.0
# A refused import leaves the images that the store holds, and their data, as they were.
. "$TESTS/lib.sh"
make_layers <<'PY'
good = layer(file_("good", os.urandom(500000)))
oci_layout("good", [good])
oci_layout("bad", [good, layer(file_("x", os.urandom(300000)), hardlink("h", "nothing"))])
PY
expect_ok plyfs import oci:good:t i
chunks=$(get 'd["chunks"]' df)
index=$(get 'd["index_digest"]' inspect i)
expect_fail 'link' plyfs import oci:bad:t i
expect_fail 'link' plyfs import oci:bad:t other
expect_fail . plyfs inspect other
[ "$(get 'd["index_digest"]' inspect i)" = "$index" ] || fail "the image has changed"
expect_ok plyfs gc
[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "chunks of the refused image stay after gc"
fsck_store
