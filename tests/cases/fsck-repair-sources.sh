# SPDX-License-Identifier: Apache-2.0
# fsck --repair heals from whatever source has the content: the image itself in each of its forms, a
# newer version that shares it, a copy of the mounted tree; and says what a source did not have.
# asan
# timeout: 900
. "$TESTS/lib.sh"
need skopeo
make_layers <<'PY'
big, shared = os.urandom(700000), os.urandom(9000)
write("big", big)
write("shared", shared)
tree = [dir_("d"), file_("d/big", big), file_("d/shared", shared, mode=0o4755)]
oci_layout("v1", [layer(*tree), layer(file_("top", "v1" * 1000))])
oci_layout("v2", [layer(file_("elsewhere", shared), file_("new", os.urandom(100000)))])
oci_layout("none", [layer(file_("none", os.urandom(50000)))])
write("one.tar", layer(*tree))
PY
skopeo copy -q oci:v1:t docker-archive:v1.tar:v1:latest
skopeo copy -q oci:v1:t oci-archive:v1.oci.tar:t
mkdir -p copied/anywhere
cp big shared copied/anywhere/
expect_ok plyfs import oci:v1:t v1 >/dev/null
cp -a store good
pack=store/packs/0.pack
where() {
	python3 -c 'import sys; print(open(sys.argv[2], "rb").read().index(open(sys.argv[1], "rb").read(4096)))' "$1" $pack
}
at_shared=$(where shared) at_big=$(where big)
break_both() {
	rm -rf store
	cp -a good store
	flip $pack $((at_shared + 5))
	flip $pack $((at_big + 131072 * 3 + 77))
}
sound() {
	fsck_says 0 'not d["problems"]' --data
	expect_ok plyfs cat v1 /d/big | cmp - big
	expect_ok plyfs cat v1 /d/shared | cmp - shared
	[ "$(get 'len(rows(d)), d[0]["name"]' images)" = "(1, 'v1:latest')" ] || fail "a new name"
	[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "the source was stored"
}
chunks=$(get 'd["chunks"]' df)
for source in oci:v1:t oci-archive:v1.oci.tar:t docker-archive:v1.tar tar:one.tar rootfs:copied; do
	note "$source"
	break_both
	fsck_says 0 'len(healed) == 2 and d["left"] == 0 and d["healed_chunks"] == 2' --data --repair "$source"
	sound
	break_both # recorded first, repaired later
	fsck_says 1 'len(left) == 2' --data --repair
	fsck_says 0 'len(healed) == 2 and not left' "$source"
	sound
	break_both # not even looked for: the source tells
	fsck_says 0 'd["healed_chunks"] == 2' --repair "$source"
	sound
done
break_both
fsck_says 1 'len(healed) == 1 and touches(left) == ["v1:latest /d/big"]' --data --repair oci:v2:t
fsck_says 1 'not healed and touches(left) == ["v1:latest /d/big"]' --repair oci:none:t
fsck_says 0 'len(healed) == 1' --repair oci:none:t tar:one.tar
sound
break_both
fsck_says 1 'len(left) == 2' --data --repair
expect_fail 'nowhere' plyfs fsck --quiet --repair oci:nowhere:t >out
expect_fail 'no source' plyfs fsck --repair nonsense
cat one.tar | expect_ok plyfs fsck --repair tar:- >/dev/null
sound

# a copy of the tree as it was mounted
need_kernel_mount
rm -rf store
cp -a good store
mounted v1 m
cp -a m mounted-copy
expect_ok plyfs umount m
break_both
fsck_says 0 'len(healed) == 2' --data --repair rootfs:mounted-copy
sound
mounted v1 m
cmp m/d/big big
cmp m/d/shared shared
