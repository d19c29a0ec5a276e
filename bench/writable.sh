# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# What the benchmarks of writable mounts share: one tree, to be written to in every way. Source it
# behind lib.sh.
#
# Ways: ext4 (a copy of the tree), overlay (the kernel's, over the tree on ext4), overlay-erofs (plyfs's
# driver of that name), fuse-overlayfs (over the tree on ext4), cow (plyfs's own, files in the kernel's
# cache), cow-passthrough.
#
# SMALL_FILES (20000): how many small files

image=${IMAGE:-bookworm}
big_size=1073741824
small_files=${SMALL_FILES:-20000}
small_size=4096

# The tree: an image, a file of 1 GiB (big.bin), and small files (small/).
make_tree() {
	umoci unpack --image "$oci:$image" "$work/bundle" > /dev/null
	tree=$work/bundle/rootfs
	bench_io tar "$small_files" "$small_size" > "$work/small.tar"
	mkdir "$tree/small"
	tar -xf "$work/small.tar" -C "$tree/small"
	openssl enc -aes-128-ctr -nosalt -pass pass:1 -md sha256 < /dev/zero 2> /dev/null |
		head -c $big_size > "$tree/big.bin" || true
	bench_io list "$tree/small" "$small_size" > "$work/small"
	tar -cf "$work/more.tar" -C "$tree" big.bin small
	"$plyfs" --quiet --store "$store" import "oci:$oci:$image" image > /dev/null
	"$plyfs" --quiet --store "$store" layer add image "tar:$work/more.tar" tree > /dev/null
	rm "$work/more.tar"
	cp "$tree/big.bin" "$work/big.bin"
}

# The copy shares nothing with the tree; the big file, which costs most, is one for all rounds.
mount_ext4() {
	mkdir "$work/copy"
	tar -cf - -C "$tree" --exclude=./big.bin --xattrs . | tar -xpf - -C "$work/copy" --xattrs
	ln "$work/big.bin" "$work/copy/big.bin"
	mount --bind "$work/copy" "$1"
}

mount_overlay() {
	mount -t overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" overlay "$1"
}

mount_fuse_overlayfs() {
	fuse-overlayfs -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work,allow_other" "$1" \
		2> "$work/log"
}

# mount_plyfs DIR OPTION...: a container of its own, which unmount_way removes.
mount_plyfs() {
	container=$("$plyfs" --quiet --store "$store" mount --rw "${@:2}" tree "$1")
}

mount_overlay_erofs() { mount_plyfs "$1" --driver overlay ${sync:+--fsync}; }
mount_cow() { mount_plyfs "$1" --driver cow ${sync:+--fsync}; }
mount_cow_passthrough() { mount_plyfs "$1" --driver cow --passthrough ${sync:+--fsync}; }

# mount_way WAY [sync]: sets $dir, the tree as fresh as ever. sync: fsync shall do what it says.
mount_way() {
	local sync=${2:-}
	dir=$work/mnt
	mkdir -p "$dir" "$work/upper" "$work/work"
	"mount_${1//-/_}" "$dir"
}

unmount_way() {
	case $1 in
	overlay-erofs | cow*)
		"$plyfs" --quiet --store "$store" umount "$dir"
		"$plyfs" --store "$store" container rm "$container"
		;;
	*) umount "$dir" ;;
	esac
	rm -rf --one-file-system "$work/copy" "$work/upper" "$work/work"
}

# seconds COLUMN WAY COMMAND...: the command prints seconds
seconds() {
	record "$1" "$2" "$("${@:3}")"
}

milliseconds() {
	record "$1" "$2" "$(calc "$("${@:3}") * 1000")"
}

# clocked COLUMN WAY COMMAND...: the command does not, and is timed from the outside
clocked() {
	timed "${@:3}"
	record "$1" "$2" "$wall"
}

need umoci:umoci fuse-overlayfs:fuse-overlayfs openssl:openssl
want_image "$image"
defer umount -q -l "$work/mnt"
