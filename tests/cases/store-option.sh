# SPDX-License-Identifier: Apache-2.0
# --store wins over $PLYFS_STORE; a store that cannot be is one line and exit 1.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(file_("a", "1")))
PY
expect_ok plyfs --store "$T/a" import tar:x.tar x >/dev/null
[ ! -e "$PLYFS_STORE" ] || [ "$(get 'len(rows(d))' images)" = 0 ] || fail "--store was ignored"
[ "$(plyfs --store "$T/a" cat x /a)" = 1 ] || fail "wrong content"
[ "$(PLYFS_STORE=$T/a plyfs cat x /a)" = 1 ] || fail "PLYFS_STORE"
touch file
expect_fail . plyfs --store "$T/file" images
expect_fail . plyfs --store "$T/file/below" import tar:x.tar x
expect_fail . plyfs --store /proc/nowhere import tar:x.tar x
