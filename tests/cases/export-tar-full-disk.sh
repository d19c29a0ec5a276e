# SPDX-License-Identifier: Apache-2.0
# A full disk makes an export fail with one line, and nothing of it is left.
. "$TESTS/lib.sh"
need mkfs.ext4
truncate -s 60M disk.img
mkfs.ext4 -q disk.img
mkdir disk
mount -o loop disk.img disk 2>/dev/null || skip "no loop devices here"
make_layers <<'PY'
write("x.tar", layer(*[file_("d%d/%d" % (n % 7, n), os.urandom(1 << 20)) for n in range(80)]))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir disk/empty
echo old >disk/x.tar
find disk -printf '%P %s %m\n' | sort >before
expect_fail 'space' plyfs export x tar:disk/x.tar
[ "$(cat disk/x.tar)" = old ] || fail "the old file is gone"
expect_fail 'space' plyfs export x rootfs:disk/new
expect_fail 'space' plyfs export x rootfs:disk/empty
find disk -printf '%P %s %m\n' | sort | diff before - || fail "the exports left something"
