# SPDX-License-Identifier: Apache-2.0
# Programs run out of the mounted demo image.
# timeout: 300
. "$TESTS/lib.sh"
need_demo
need_kernel_mount
expect_ok plyfs import "oci:$DEMO:demo" demo >/dev/null
mounted demo m
[ "$(chroot m /bin/sh -c 'echo $((6 * 7))')" = 42 ] || fail "sh does not run"
chroot m /usr/bin/dpkg-query -W libc6 | grep -q libc6 || fail "dpkg-query does not run"
chroot m /usr/bin/find / -xdev -type f -exec cat {} + >/dev/null || fail "cannot read all files"
