# SPDX-License-Identifier: Apache-2.0
# A fixed input has had, and has for ever, this index digest (tests/golden/index-digests).
. "$TESTS/lib.sh"
make_layers <<'PY'
import random
r = random.Random(1)
oci_layout("i", [layer(dir_("d", mtime=1), *[file_("d/%d" % n, r.randbytes(n * 997), uid=n,
                       mtime_ns=n * 1234567891, xattrs={"user.n": str(n)}) for n in range(300)]),
                 layer(whiteout("d/7"), hardlink("h", "d/9"), symlink("s", "d"), char("c", 1, 3))])
PY
expect_ok plyfs import oci:i:t i >/dev/null
got=$(get 'd["index_digest"]' inspect i)
golden=$TESTS/golden/index-digests
[ -e "$golden" ] || skip "no $(basename "$golden"); this version makes $got"
grep -q "^$got  stack$" "$golden" || fail "index $got, golden: $(cat "$golden")"
