# SPDX-License-Identifier: Apache-2.0
# cp of a sparse file of 1 TiB ends soon and keeps its holes.
# timeout: 60
. "$TESTS/lib.sh"
"$TESTS/torture.py" src holes
expect_ok plyfs import rootfs:src x >/dev/null
expect_ok timeout 50 "$PLYFS" cp x:/holes out
same_tree src/holes out --sparse --sparse-grain $((32 << 20))
