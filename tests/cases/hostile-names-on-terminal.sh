# SPDX-License-Identifier: Apache-2.0
# Control characters in a name reach the message escaped: one line, no terminal sequence.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(hardlink("evil\x1b[2J\nplyfs: all is well\r", "no\x07thing")))
PY
expect_refused link plyfs import tar:x.tar x
! printf '%s' "$ERR" | LC_ALL=C grep -q '[[:cntrl:]]' || fail "control characters in: $ERR"
