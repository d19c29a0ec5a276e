# SPDX-License-Identifier: Apache-2.0
# Files that two unrelated layers hold are stored once.
. "$TESTS/lib.sh"
make_layers <<'PY'
files = [os.urandom(200000) for _ in range(20)]
oci_layout("one", [layer(*[file_("f%d" % n, d) for n, d in enumerate(files)])])
oci_layout("two", [layer(*[file_("g/%d" % n, d, uid=9) for n, d in enumerate(reversed(files))])])
PY
expect_ok plyfs import oci:one:t one
chunks=$(get 'd["chunks"]' df)
expect_ok plyfs import oci:two:t two
[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "the same files made new chunks"
