# SPDX-License-Identifier: Apache-2.0
# The example program of the library reads a file out of an image.
. "$TESTS/lib.sh"
example=
for f in "$BUILD"/examples/* "$BUILD"/example-*; do
	[ ! -f "$f" ] || [ ! -x "$f" ] || example=$f
done
[ -n "$example" ] || skip "no example program in the build"
make_layers <<'PY'
write("x.tar", layer(dir_("etc"), file_("etc/hello", "from the library\n")))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
out=$("$example" x /etc/hello) || fail "exit $? from $example x /etc/hello"
[[ $out == *"from the library"* ]] || fail "it printed: $out"
