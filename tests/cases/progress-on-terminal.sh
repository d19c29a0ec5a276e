# SPDX-License-Identifier: Apache-2.0
# An import shows progress on a terminal only, and nothing of it in a pipe.
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("i", [layer(file_("big", os.urandom(60 << 20)))], how="plain")
PY
plyfs import oci:i:t x >out 2>err
[ "$(wc -l <out)" = 1 ] || fail "more than the digest on stdout: $(cat out)"
! grep -q $'\r' err || fail "progress into a pipe"
[ ! -s err ] || fail "noise on stderr: $(head -3 err)"
