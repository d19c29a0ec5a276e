# SPDX-License-Identifier: Apache-2.0
# Of a multi-platform index this machine's image is taken, or that of --platform.
. "$TESTS/lib.sh"
make_layers <<'PY'
layout = Layout("multi")
here, _ = layout.image([layer(file_("a", "here"))], None)
other, _ = layout.image([layer(file_("a", "other"))], None, arch="s390x")
attestation, _ = layout.image([layer(file_("a", "no image"))], None, arch="unknown")
attestation["platform"]["os"] = "unknown"
layout.index([attestation, other, here])
layout.save()
PY
expect_ok plyfs import oci:multi:t here
[ "$(plyfs cat here /a)" = here ] || fail "not this machine's image"
expect_ok plyfs import --platform linux/s390x oci:multi:t other
[ "$(plyfs cat other /a)" = other ] || fail "not the image of --platform"
expect_fail 'platform|architecture|riscv64' plyfs import --platform linux/riscv64 oci:multi:t none
