# SPDX-License-Identifier: Apache-2.0
# export to tar: keeps everything: imported again it is the same index, and GNU tar unpacks it.
# core
# asan
. "$TESTS/lib.sh"
need_kernel_mount
"$TESTS/torture.py" src attrs types links times xattrs acls sizes names holes
expect_ok plyfs import rootfs:src tree >/dev/null
expect_ok plyfs export tree tar:tree.tar
# GNU tar knows no sockets, and ACLs as the xattrs that they are (with --acls it wants text)
mounted tree m
mkdir out
tar -xpf tree.tar -C out --xattrs '--xattrs-include=*' --numeric-owner --same-owner 2>tar.err ||
	fail "GNU tar: $(head -c 2000 tar.err)"
same_tree m out --sparse --ignore-path types/socket

rm -rf out
"$TESTS/torture.py" src deep
expect_ok plyfs import rootfs:src tree >/dev/null
expect_ok plyfs export tree tar:tree.tar
expect_ok plyfs import tar:tree.tar again >/dev/null
[ "$(get 'd["index_digest"]' inspect tree)" = "$(get 'd["index_digest"]' inspect again)" ] ||
	fail "another tree comes back"
expect_ok plyfs export again tar:- | cmp - tree.tar
