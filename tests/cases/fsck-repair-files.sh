# SPDX-License-Identifier: Apache-2.0
# Files of layers and images that are damaged or gone are made again: an image's index out of its
# layers, without any source; the others from the image, by fsck --repair or by importing it again.
# asan
# timeout: 900
. "$TESTS/lib.sh"
need skopeo
make_layers <<'PY'
oci_layout("one", [layer(dir_("d"), file_("d/big", os.urandom(300000)), file_("x", "x")),
                   layer(file_("top", os.urandom(7000)), hardlink("link", "d/big"))])
write("one-layer.tar", layer(file_("f", os.urandom(20000))))
PY
skopeo copy -q oci:one:t docker-archive:one.tar:one:latest
mkdir -p root/d
head -c 20000 /dev/urandom >root/d/f
expect_ok plyfs import oci:one:t oci >/dev/null
expect_ok plyfs import docker-archive:one.tar docker >/dev/null
expect_ok plyfs import tar:one-layer.tar tar >/dev/null
expect_ok plyfs import rootfs:root rootfs >/dev/null
cp -a store good
expect_ok plyfs cp oci:/ tree
sound() {
	fsck_says 0 'not d["problems"]' --data
	rm -rf again
	expect_ok plyfs cp oci:/ again
	same_tree tree again
	diff -r --exclude=local --exclude='*lmdb*' good store || fail "the store is not what it was"
}
# broken COMMAND...: in a sound store
broken() {
	rm -rf store
	cp -a good store
	note "$*"
	"$@"
}
digest() { basename "$(index_file index_path "$1")" .index; }
image=$(digest oci)
layer=$(get 'd["layers"][1][7:]' inspect oci)

for how in rm 'truncate -s 100' "flip_at"; do
	flip_at() { flip "$1" 5000; }
	broken $how store/images/$image.index
	fsck_says 0 'len(healed) == 1 and kinds(healed) == ["image"]' --repair
	sound
	broken $how store/local/$image.index
	[ "$how" = rm ] || fsck_says 0 'len(healed) == 1 and kinds(healed) == ["local-index"]' --repair
	[ -f store/local/$image.index ] || [ "$how" = rm ] || fail "it was not made again"
	sound
done
for pair in oci=oci:one:t docker=docker-archive:one.tar tar=tar:one-layer.tar rootfs=rootfs:root; do
	name=${pair%%=*} source=${pair#*=}
	m=$(PLYFS_STORE=$T/good get 'd["digest"][7:]' inspect $name)
	l=$(PLYFS_STORE=$T/good get 'd["layers"][0][7:]' inspect $name)
	for f in images/$m.manifest images/$m.config images/$m.index layers/$l.index layers/$l.split; do
		broken rm store/$f
		fsck_says 0 'len(healed) == 1' --repair $source
		sound
		broken truncate -s 10 store/$f
		case $f in
		images/*.index) continue ;; # heals without a source
		esac
		fsck_says 1 'len(left) == 1' --repair
		expect_fail 'is quarantined: (image|layer) sha256:' plyfs ls $name
		expect_ok plyfs images >/dev/null
		expect_ok plyfs import $source $name >/dev/null
		sound
	done
done

# several at once, and the pack cut off
broken rm store/images/$image.index store/layers/$layer.index store/layers/$layer.split store/images/$image.config
truncate -s 4096 store/packs/0.pack
fsck_says 1 'left' --repair --data
fsck_says 1 'left' --repair oci:one:t tar:one-layer.tar # still one without its source
fsck_says 0 'not left' --repair rootfs:root
sound
