#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Reading a mounted image: plyfs against the same files on ext4, kernel overlayfs on ext4 with as many
# layers, squashfs (zstd) in the kernel, and squashfuse_ll. The tree is an image plus one layer with a
# file of 1 GiB. Every figure is seconds, cold (caches dropped) and then warm (the same again).
#
#   ROUNDS=5 IMAGE=big WAYS='ext4 overlay plyfs' bench/read.sh
#
# Ways: ext4 overlay plyfs plyfs-fuse plyfs-passthrough squashfs squashfuse fuse-overlayfs. plyfs is the
# kernel's EROFS, plyfs-fuse the FUSE server.

set -eu
. "$(dirname "$0")/lib.sh"

image=${IMAGE:-big}
read -ra ways <<< "${WAYS:-ext4 overlay plyfs squashfs squashfuse}"
big_size=1073741824
small_max=16384 # bytes of a "small file"
opens=20000
random_reads=10000

# ── the same files in every form ────────────────────────────────────────────────────────────────

# A directory on ext4: the scratch folder, or where that is another file system, a loop image.
make_disk() {
	disk=$work/disk
	mkdir "$disk"
	[ "$(stat -f -c %T "$work")" != ext2/ext3 ] || return 0
	say "the scratch folder is not on ext4: taking a loop image"
	truncate -s 16G "$work/disk.img"
	mkfs.ext4 -q "$work/disk.img"
	mount -o loop "$work/disk.img" "$disk"
	defer umount -q "$disk"
}

extract() {
	mkdir -p "$2"
	tar -xpzf "$1" -C "$2" --numeric-owner --xattrs --xattrs-include='*'
}

# Turn the whiteouts of an extracted layer into overlayfs's own.
convert_whiteouts() {
	local path dir name
	find "$1" -name '.wh.*' -print0 | while IFS= read -r -d '' path; do
		dir=$(dirname "$path") name=$(basename "$path")
		rm "$path"
		case $name in
		.wh..wh..opq) setfattr -n trusted.overlay.opaque -v y "$dir" ;;
		*) mknod "$dir/${name#.wh.}" c 0 0 ;;
		esac
	done
}

make_layers() {
	local blob number=0
	lowers=
	while read -r blob; do
		extract "$blob" "$disk/layer-$number"
		convert_whiteouts "$disk/layer-$number"
		lowers=$disk/layer-$number${lowers:+:$lowers}
		number=$((number + 1))
	done < <(image_blobs "$image")
	mkdir "$disk/layer-big"
	lowers=$disk/layer-big:$lowers
}

# The merged tree, and in it the big file: the tree's own bytes, then random ones.
make_tree() {
	umoci unpack --image "$oci:$image" "$disk/bundle" > /dev/null
	tree=$disk/bundle/rootfs
	{ tar -cf - -C "$tree" . && openssl rand $big_size; } 2> /dev/null |
		head -c $big_size > "$disk/layer-big/big.bin" || true
	cp "$disk/layer-big/big.bin" "$tree/big.bin"
	tar -cf "$work/big.tar" -C "$disk/layer-big" big.bin
	bench_io list "$tree" "$small_max" > "$work/small"
}

make_plyfs() {
	"$plyfs" --quiet --store "$store" import "oci:$oci:$image" image > /dev/null
	"$plyfs" --quiet --store "$store" layer add image "tar:$work/big.tar" with-big > /dev/null
}

make_squashfs() {
	mksquashfs "$tree" "$work/tree.squashfs" -comp zstd -Xcompression-level 3 -quiet -no-progress > /dev/null
}

# ── mounting them ───────────────────────────────────────────────────────────────────────────────

mount_overlay() {
	mount -t overlay -o "ro,lowerdir=$lowers" overlay "$1"
}

mount_plyfs() {
	"$plyfs" --store "$store" mount with-big "$1" --driver kernel
}

mount_plyfs_fuse() {
	"$plyfs" --store "$store" mount with-big "$1" --driver fuse
}

mount_plyfs_passthrough() {
	"$plyfs" --store "$store" mount with-big "$1" --driver fuse --passthrough
}

mount_squashfs() {
	mount -t squashfs -o loop,ro "$work/tree.squashfs" "$1"
}

mount_squashfuse() {
	squashfuse_ll "$work/tree.squashfs" "$1"
}

mount_fuse_overlayfs() {
	fuse-overlayfs -o "ro,lowerdir=$lowers" "$1" 2> "$work/log"
}

place() {
	[ "$1" = ext4 ] && echo "$tree" || echo "$work/mnt/$1"
}

mount_way() {
	[ "$1" != ext4 ] || return 0
	"mount_${1//-/_}" "$work/mnt/$1" > /dev/null
}

unmount_way() {
	case $1 in
	ext4) ;;
	plyfs*) "$plyfs" --store "$store" umount "$work/mnt/$1" > /dev/null ;;
	*) umount "$work/mnt/$1" ;;
	esac
}

measure_mount() {
	local way=$1 start
	[ "$way" != ext4 ] || return 0
	drop_caches
	start=$EPOCHREALTIME
	mount_way "$way"
	record "mount ms" "$way" "$(calc "($EPOCHREALTIME - $start) * 1000")"
	unmount_way "$way"
}

# ── the work ────────────────────────────────────────────────────────────────────────────────────

run_op() {
	local dir=$2
	case $1 in
	find) timed find "$dir" -xdev && echo "$wall" ;;
	stat) bench_io stat "$dir" ;;
	read) bench_io read "$dir" ;;
	open) bench_io open "$dir" "$work/small" "$opens" ;;
	rand) bench_io rand "$dir/big.bin" "$random_reads" ;;
	seq) bench_io seq "$dir/big.bin" ;;
	esac
}

measure() {
	local op=$1 way=$2 dir seconds
	dir=$(place "$way")
	drop_caches
	seconds=$(run_op "$op" "$dir")
	record "$op cold" "$way" "$seconds"
	seconds=$(run_op "$op" "$dir")
	record "$op warm" "$way" "$seconds"
}

need umoci:umoci mksquashfs:squashfs-tools squashfuse_ll:squashfuse fuse-overlayfs:fuse-overlayfs setfattr:attr openssl:openssl
want_image "$image"
say "making the tree in every form"
make_disk
make_layers
make_tree
make_plyfs
make_squashfs
for way in "${ways[@]}"; do
	mkdir -p "$work/mnt/$way"
	defer umount -q "$work/mnt/$way"
done

for way in "${ways[@]}"; do
	mount_way "$way"
done
for ((round = 1; round <= rounds; round++)); do
	say "reading, round $round of $rounds"
	for op in find stat read open rand seq; do
		for way in "${ways[@]}"; do
			measure "$op" "$way"
		done
	done
done
for way in "${ways[@]}"; do
	unmount_way "$way"
done
for ((round = 1; round <= rounds; round++)); do
	say "mounting, round $round of $rounds"
	for way in "${ways[@]}"; do
		measure_mount "$way"
	done
done
report "Reading '$image' and a file of 1 GiB, in $(image_blobs "$image" | wc -l) layers and one" ext4
