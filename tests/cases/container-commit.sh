# SPDX-License-Identifier: Apache-2.0
# diff and commit of a container, mounted by either driver or by none: the image that comes out has
# the tree that the mount shows.
. "$TESTS/lib.sh"
need_fuse
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("./", mode=0o755), dir_("d"), dir_("d/e"), file_("d/e/f", os.urandom(3000000)),
	file_("a", "one\n"), hardlink("b", "a"), file_("gone", "x"), file_("suid", "x", mode=0o4755, uid=7, gid=8)))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m n
for driver in overlay cow; do
	expect_ok plyfs mount x m --rw --driver $driver --container $driver >/dev/null
	mv m/d m/D
	printf X | dd of=m/D/e/f bs=1 seek=77777 conv=notrunc 2>/dev/null
	echo two >>m/b
	rm m/gone
	mkdir m/new
	printf '%s\n' 'A /D' 'A /D/e' 'A /D/e/f' 'C /a' 'C /b' 'D /d' 'D /gone' 'A /new' >want
	plyfs diff $driver | diff want - || fail "$driver: diff"
	[ "$(get '"".join(c["change"] for c in d)' diff $driver)" = AAACCDDA ] || fail "$driver: diff --json"
	digest=$(expect_ok plyfs commit $driver $driver:mounted --message hello --author me --change 'CMD ["a","b"]' --change 'ENV A=b')
	plyfs diff x $driver:mounted | diff want - || fail "$driver: diff of images"
	[ "$(get 'd["digest"]' inspect $driver:mounted)" = "$digest" ] || fail "digest"
	plyfs history $driver:mounted | grep -q hello || fail "$(plyfs history $driver:mounted)"
	expect_ok plyfs mount $driver:mounted n
	same_tree m n
	expect_ok plyfs umount n
	expect_ok plyfs umount m
	plyfs diff $driver | diff want - || fail "$driver: diff, not mounted"
	expect_ok plyfs commit $driver $driver:rest >/dev/null
	[ -z "$(plyfs diff $driver:mounted $driver:rest)" ] || fail "$(plyfs diff $driver:mounted $driver:rest)"
	expect_ok plyfs diff $driver --tar $driver.tar
	cmp $driver.tar <(plyfs diff $driver --tar -) || fail "--tar -"
	expect_ok plyfs layer add x tar:$driver.tar $driver:tar >/dev/null
	[ -z "$(plyfs diff $driver:mounted $driver:tar)" ] || fail "$(plyfs diff $driver:mounted $driver:tar)"
done
# scripts can tell which layers are native
[ "$(get 'd["native_layers"] == d["layers"][1:] and len(d["layers"])' inspect cow:mounted)" = 2 ] || fail "inspect"
plyfs inspect cow:mounted | grep -q "^native *$(get 'd["layers"][1]' inspect cow:mounted)$" || fail "inspect"
[ "$(get 'd["native_layers"]' inspect x) $(get 'd["native_layers"]' inspect cow:tar)" = '[] []' ] || fail "not native"
[ "$(get 'sorted(i["native_layers"] for i in d if i["name"] in ("x:latest", "cow:mounted"))' images)" = '[0, 1]' ] ||
	fail "images: $(plyfs images --json)"
[ "$(get '[h["native"] for h in d if "layer" in h]' history cow:mounted)" = '[False, True]' ] ||
	fail "history: $(plyfs history cow:mounted --json)"
expect_ok plyfs export cow:mounted oci:out >/dev/null
expect_ok plyfs import oci:out out >/dev/null
[ "$(get 'd["native_layers"]' inspect out)" = '[]' ] || fail "exported and imported"
expect_fail 'no container' plyfs diff nosuch
expect_fail 'no container' plyfs commit nosuch y
expect_fail 'not found|no.*image' plyfs diff x nosuch
expect_fail 'upper case|name|reference' plyfs commit cow UPPER
expect_usage plyfs diff --tar f x y
expect_usage plyfs commit cow
fsck_store
