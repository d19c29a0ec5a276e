# SPDX-License-Identifier: Apache-2.0
# Importing under a name that exists moves the name to the new image.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("1.tar", layer(file_("a", "one")))
write("2.tar", layer(file_("a", "two")))
PY
expect_ok plyfs import tar:1.tar x >/dev/null
expect_ok plyfs import tar:2.tar x >/dev/null
[ "$(plyfs cat x /a)" = two ] || fail "still the old image"
[ "$(get 'sum("x" in str(r) for r in rows(d))' images)" = 1 ] || fail "$(plyfs images)"
expect_ok plyfs gc
[ "$(plyfs cat x /a)" = two ] || fail "gc took the new image"
