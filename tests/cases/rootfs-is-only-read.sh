# SPDX-License-Identifier: Apache-2.0
# rootfs: reads its tree and changes nothing there and follows no symlink.
. "$TESTS/lib.sh"
mkdir -p src/sub outside
echo secret >outside/secret
ln -s "$T/outside" src/out
echo other >src/sub/other
find src -printf '%P %s %T@ %C@\n' | sort >before
expect_ok plyfs import rootfs:src tree
find src -printf '%P %s %T@ %C@\n' | sort | cmp - before || fail "the tree was changed"
expect_fail . plyfs cat tree /out/secret
[ "$(plyfs ls tree / | sort | tr '\n' ' ')" = 'out sub ' ] || fail "$(plyfs ls tree /)"
