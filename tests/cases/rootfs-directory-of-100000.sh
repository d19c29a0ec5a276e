# SPDX-License-Identifier: Apache-2.0
# A directory of 100,000 entries is the same after import and mount, and is found quickly.
. "$TESTS/lib.sh"
need_kernel_mount
"$TESTS/torture.py" src crowd
expect_ok plyfs import rootfs:src tree
mounted tree m
same_tree src m
fsck_index tree
[ "$(plyfs ls tree /crowd/d | wc -l)" = 100000 ] || fail "ls does not list all"
