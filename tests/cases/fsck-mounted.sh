# SPDX-License-Identifier: Apache-2.0
# fsck while images are mounted: a wrong local index that is in use is not replaced, since gc would no
# longer know about that mount; unmounted, it is. A chunk that is healed under a mount is right there
# as soon as the kernel reads it again.
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
data = os.urandom(300000)
write("data", data)
oci_layout("one", [layer(file_("f", data))])
PY
expect_ok plyfs import oci:one:t one >/dev/null
mounted one m
fsck_says 0 'not d["problems"]' --data
local_index=$(index_file local_index_path one)
flip "$local_index" 5
flip "$local_index" 5
printf x >>"$local_index"
fsck_says 1 'kinds(damaged) == ["local-index"]'
fsck_says 1 'kinds(left) == ["local-index"] and not healed and "unmount" in left[0]["text"]' --repair
expect_ok plyfs rmi one
expect_ok plyfs gc >/dev/null
cmp m/f data # still in use, and gc knows
expect_ok plyfs umount m
expect_ok plyfs import oci:one:t one >/dev/null
fsck_says 0 'kinds(healed) == ["local-index"]' --repair
mounted one m
cmp m/f data
flip store/packs/0.pack 5000
fsck_says 1 'left' --data --repair
fsck_says 0 'not left' oci:one:t
echo 3 >/proc/sys/vm/drop_caches
cmp m/f data
expect_ok plyfs umount m
