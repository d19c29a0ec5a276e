# SPDX-License-Identifier: Apache-2.0
# A full disk makes an import fail with one line; the store works afterwards.
. "$TESTS/lib.sh"
need mkfs.ext4
truncate -s 60M disk.img
mkfs.ext4 -q disk.img
mkdir disk
mount -o loop disk.img disk 2>/dev/null || skip "no loop devices here"
make_layers <<'PY'
oci_layout("small", [layer(file_("a", os.urandom(100000)))])
oci_layout("large", [layer(*[file_("%d" % n, os.urandom(1 << 20)) for n in range(80)])])
PY
export PLYFS_STORE=$T/disk/store
expect_ok plyfs import oci:small:t small
plyfs cat small /a >a
expect_fail 'space|full' plyfs import oci:large:t large
plyfs cat small /a | cmp - a
expect_ok plyfs gc
rm -rf large
expect_ok plyfs import oci:small:t again
