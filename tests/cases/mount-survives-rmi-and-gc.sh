# SPDX-License-Identifier: Apache-2.0
# gc does not free what is mounted, even when the image's name is gone.
# asan
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
oci_layout("i", [layer(*[file_("f%d" % n, os.urandom(200000)) for n in range(20)])])
PY
expect_ok plyfs import oci:i:t i
mounted i m
sha256sum m/* >sums
rc=0
plyfs rmi i 2>err || rc=$?
[ $rc = 0 ] || grep -qiE 'mounted|in use|busy' err || fail "rmi of a mounted image: $(cat err)"
expect_ok plyfs gc
echo 3 >/proc/sys/vm/drop_caches
sha256sum --quiet -c sums || fail "a mounted image lost data by gc"
expect_ok plyfs umount m
[ $rc = 0 ] || expect_ok plyfs rmi i
expect_ok plyfs gc
store_is_empty "umount, rmi and gc"
