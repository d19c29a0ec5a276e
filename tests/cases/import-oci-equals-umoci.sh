# SPDX-License-Identifier: Apache-2.0
# The demo image imported from an OCI layout and mounted equals what umoci unpacks.
# core
# timeout: 300
. "$TESTS/lib.sh"
need_demo
need umoci
need_kernel_mount

digest=$(expect_ok plyfs import "oci:$DEMO:demo" demo)
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "import printed '$digest', not a digest"
mounted demo m
umoci unpack --image "$DEMO:demo" bundle >/dev/null
same_as_unpacked bundle/rootfs m
fsck_index demo
expect_ok plyfs umount m
