# SPDX-License-Identifier: Apache-2.0
# The tag chooses the image; without one, the only image is taken.
. "$TESTS/lib.sh"
make_layers <<'PY'
layout = Layout("two")
layout.image([layer(file_("a", "one"))], "one")
layout.image([layer(file_("a", "two"))], "two")
layout.save()
oci_layout("single", [layer(file_("a", "single"))], tag="x")
oci_layout("untagged", [layer(file_("a", "untagged"))], tag=None)
PY
expect_ok plyfs import oci:two:one one
expect_ok plyfs import oci:two:two two
expect_ok plyfs import oci:single single
expect_ok plyfs import oci:untagged untagged
for n in one two single untagged; do
	[ "$(plyfs cat $n /a)" = $n ] || fail "wrong image under $n"
done
