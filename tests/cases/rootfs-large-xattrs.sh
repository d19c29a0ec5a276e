# SPDX-License-Identifier: Apache-2.0
# Xattr values of up to 65535 bytes survive; EROFS cannot hold one of 65536: it is refused.
. "$TESTS/lib.sh"
need_kernel_mount
mkdir big
mount -t tmpfs tmpfs big
"$TESTS/torture.py" big/src big-xattrs || skip "this tmpfs has no large xattrs"
expect_ok plyfs import rootfs:big/src tree
mounted tree m
same_tree big/src m
fsck_index tree
plyfs rmi tree && plyfs umount m
export PLYFS_STORE=$T/other
mkdir big/over
python3 -c 'import os; open("big/over/f", "w"); os.setxattr("big/over/f", "user.x", b"v" * 65536)' ||
	skip "this tmpfs takes no xattr of 65536 bytes"
expect_refused 'f.*(xattr|attribute)|(xattr|attribute).*f' plyfs import rootfs:big/over over
