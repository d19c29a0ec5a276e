# SPDX-License-Identifier: Apache-2.0
# What --driver auto takes: overlay, but cow for what overlayfs shows wrongly, for very large files,
# and for half-copied ones.
. "$TESTS/lib.sh"
need_fuse
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("d"), file_("d/f", os.urandom(1000000))))
write("dev.tar", layer(char("zero", 0, 0)))
write("large.tar", layer(file_("large", os.urandom(1 << 20) * 1024)))
PY
mkdir m
takes() {
	expect_ok plyfs import tar:$1.tar $1 >/dev/null
	expect_ok plyfs mount $1 m --rw --container $1 >/dev/null
	[ "$(get 'd[0]["driver"]' mounts)" = "$2" ] || fail "$1: $(plyfs mounts)"
}
takes dev cow
[ "$(stat -c %F:%t:%T m/zero)" = 'character special file:0:0' ] || fail "not shown"
expect_ok plyfs umount m
takes large cow
expect_ok plyfs umount m
takes x overlay
mv m/d m/e
expect_ok plyfs umount m
# by turns
expect_ok plyfs mount --rw --container x --driver cow m >/dev/null
[ "$(ls m)" = e ] || fail "another tree: $(ls m)"
printf X | dd of=m/e/f bs=1 seek=9999 conv=notrunc 2>/dev/null
cp m/e/f want
expect_ok plyfs umount m
expect_ok plyfs mount --rw --container x m >/dev/null
[ "$(get 'd[0]["driver"]' mounts)" = cow ] || fail "$(plyfs mounts)"
dd if=want of=m/e/f conv=notrunc bs=1M 2>/dev/null
expect_ok plyfs umount m
expect_ok plyfs mount --rw --container x m >/dev/null
[ "$(get 'd[0]["driver"]' mounts)" = overlay ] || fail "the file is whole: $(plyfs mounts)"
cmp want m/e/f
expect_ok plyfs umount m
fsck_store
# The header of the local index tells; where it does not, as in stores of version 0.1, all is read.
header() { # NAME FACTS
	python3 - "$(get 'd["local_index_path"]' inspect "$1")" "$2" <<'PY'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(88)
    facts, zero, largest = struct.unpack("<IIQ", f.read(16))
    print(facts, largest)
    f.seek(88)
    f.write(struct.pack("<IIQ", int(sys.argv[2]), 0, 0 if sys.argv[2] == "0" else largest))
PY
}
again() {
	expect_ok plyfs container rm $1
	expect_ok plyfs mount $1 m --rw --container $1 >/dev/null
	[ "$(get 'd[0]["driver"]' mounts)" = "$2" ] || fail "$1, again: $(plyfs mounts)"
	expect_ok plyfs umount m
}
[ "$(header dev 0)" = '3 0' ] || fail "dev"
[ "$(header large 0)" = "1 $((1 << 30))" ] || fail "large"
[ "$(header x 0)" = '1 1000000' ] || fail "x"
again dev cow
again large cow
again x overlay
fsck_store
header x 3 >/dev/null
again x cow
plyfs fsck >out && fail "fsck believes a false fact"
[ "$(header x 1)" = '3 0' ] || fail "x was made anew"
