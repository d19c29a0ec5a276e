# SPDX-License-Identifier: Apache-2.0
# 200 refused imports leave no descriptor, lock or file that would hinder the next good one.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("bad.tar", layer(file_("a", os.urandom(100000)), hardlink("h", "nothing")))
write("good.tar", layer(file_("a", "good")))
PY
for n in $(seq 200); do ! plyfs import tar:bad.tar x 2>/dev/null || fail "accepted"; done
expect_refused link plyfs import tar:bad.tar x
expect_ok plyfs import tar:good.tar x
[ "$(plyfs cat x /a)" = good ] || fail "wrong content"
