# SPDX-License-Identifier: Apache-2.0
# df tells what the store holds and what deduplication saves, in text and JSON.
. "$TESTS/lib.sh"
make_layers <<'PY'
data = os.urandom(1 << 20)
write("x.tar", layer(*[file_("f%d" % n, data) for n in range(10)]))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
chunks=$(get 'd["chunks"]' df)
[ "$chunks" -ge 1 ] && [ "$chunks" -le 256 ] || fail "$chunks chunks for ten copies of 1 MiB"
used=$(disk_bytes)
[ "$used" -ge 1048576 ] && [ "$used" -lt 4000000 ] || fail "$used bytes for ten copies of 1 MiB"
expect_ok plyfs df | grep -q '[0-9]' || fail "df says nothing"
