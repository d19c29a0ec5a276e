# SPDX-License-Identifier: Apache-2.0
# A file of more than 4 GiB, with holes, is the same after import and mount.
. "$TESTS/lib.sh"
need_kernel_mount
"$TESTS/torture.py" src huge
expect_ok plyfs import rootfs:src tree
mounted tree m
same_tree src m --sparse --sparse-grain $((32 << 20)) # huge files have large chunks
fsck_index tree
[ "$(disk_bytes)" -lt 10000000 ] || fail "its holes take space: $(disk_bytes) bytes"
