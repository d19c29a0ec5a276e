# SPDX-License-Identifier: Apache-2.0
# The handle that plyfs writes as the origin of a copied-up file is the one that the kernel's
# overlayfs writes over the same image.
. "$TESTS/lib.sh"
need getfattr python3
need_kernel_mount
[ -x "${BUILD:-}/test-upper" ] || skip "no test-upper in BUILD"

mkdir -p src/d upper work merged
echo a >src/d/a
ln src/d/a src/b
expect_ok plyfs import rootfs:src i >/dev/null
mounted i lower
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,index=on,redirect_dir=on merged
echo more >>merged/d/a
chmod 700 merged/d

uuid=$(dd if="$(index_file local_index_path i)" bs=1 skip=$((1024 + 48)) count=16 2>/dev/null |
	od -An -v -tx1 | tr -d ' \n')
for f in d d/a .; do
	nid=$(stat -c %i "lower/$f")
	want=$(getfattr --absolute-names -n trusted.overlay.origin -e hex "upper/$f" |
		sed -n 's/^trusted.overlay.origin=0x//p')
	got=$("$BUILD/test-upper" origin "$uuid" "$nid")
	[ "$want" = "$got" ] || fail "origin of $f: overlayfs writes $want, plyfs $got"
done
[ -f "work/index/$("$BUILD/test-upper" origin "$uuid" "$(stat -c %i lower/b)")" ] ||
	fail "no entry of that name in overlayfs's index"
umount merged
