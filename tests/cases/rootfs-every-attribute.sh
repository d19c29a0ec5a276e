# SPDX-License-Identifier: Apache-2.0
# A tree with everything that a file system can hold, imported by rootfs: and mounted, is the same.
# core
# asan
. "$TESTS/lib.sh"
need_kernel_mount
"$TESTS/torture.py" src common
expect_ok plyfs import rootfs:src tree
mounted tree m
same_tree src m --sparse --sparse-grain $((32 << 20)) # huge files have large chunks
fsck_index tree
