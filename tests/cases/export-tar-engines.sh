# SPDX-License-Identifier: Apache-2.0
# What export to tar: writes is a layer that umoci, podman and skopeo take: sparse files, long names, links,
# xattrs.
. "$TESTS/lib.sh"
need umoci
need_kernel_mount
"$TESTS/torture.py" src attrs links xattrs sizes names
"$TESTS/torture.py" holey holes
mkdir src/holes
cp --sparse=always -a holey/holes/hole-* holey/holes/all-hole src/holes/
expect_ok plyfs import rootfs:src tree >/dev/null
expect_ok plyfs export tree tar:tree.tar
mounted tree m
umoci init --layout layout
umoci new --image layout:t
umoci raw add-layer --image layout:t tree.tar
umoci unpack --image layout:t bundle >/dev/null
same_as_unpacked m bundle/rootfs --ignore-xattr user.empty

# podman keeps fewer xattrs
command -v podman >/dev/null && command -v skopeo >/dev/null || exit 0
pod() {
	podman --root "$T/pod" --runroot "$T/run" --tmpdir "$T/libpod" --storage-driver vfs \
		--cgroup-manager cgroupfs "$@"
}
pod import tree.tar tree >/dev/null 2>pod.err || fail "podman: $(cat pod.err)"
dir=$(pod image mount tree)
same_as_unpacked m "$dir" --ignore xattrs --ignore-root mtime
pod image umount tree >/dev/null
skopeo copy -q oci:layout:t oci:other:t
