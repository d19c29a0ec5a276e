# SPDX-License-Identifier: Apache-2.0
# export to rootfs: keeps everything, and imported again it is the same index.
# core
# asan
. "$TESTS/lib.sh"
need_kernel_mount
"$TESTS/torture.py" src common
expect_ok plyfs import rootfs:src tree >/dev/null
mounted tree m
expect_ok plyfs export tree rootfs:out
same_tree m out --sparse
same_tree src out
expect_ok plyfs import rootfs:out again >/dev/null
[ "$(get 'd["index_digest"]' inspect tree)" = "$(get 'd["index_digest"]' inspect again)" ] ||
	fail "another tree comes back"
