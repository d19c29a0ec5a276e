# SPDX-License-Identifier: Apache-2.0
# Content that a later member of the same tar replaces is in no index. It stays as long as the layer
# does: the tar comes out whole after gc.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(file_("a", os.urandom(500_000)), file_("a", b"small"), file_("b", os.urandom(9000))))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
expect_ok plyfs gc >/dev/null
expect_ok plyfs export x oci:out --compress none >/dev/null
cmp x.tar "out/blobs/sha256/$(sha256sum <x.tar | cut -c1-64)"
[ "$(get 'd["chunk_bytes"]' df)" -ge 509000 ] || fail "the replaced content is not counted"
fsck_store
expect_ok plyfs rmi x >/dev/null
expect_ok plyfs gc >/dev/null
[ "$(get 'd["chunks"]' df)" = 0 ] || fail "chunks are left"
