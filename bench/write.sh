#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Writing to a mounted image, against ext4, overlayfs and fuse-overlayfs (writable.sh has the ways): large
# files, small files, and real work: packages installed in a chroot, a git clone, a compile. Each
# measurement begins with a fresh mount.
#
#   ROUNDS=5 WAYS='ext4 overlay cow' PARTS='large small work' bench/write.sh
#
# "fsync" is with an fsync at the end, and for plyfs, which ignores that otherwise, with --fsync.

set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/writable.sh"

read -ra ways <<< "${WAYS:-ext4 overlay overlay-erofs fuse-overlayfs cow cow-passthrough}"
read -ra parts <<< "${PARTS:-large small work}"
writes=16000
new_mib=1024
read -ra packages <<< "${PACKAGES:-build-essential git cmake gdb nodejs postgresql}"

# ── large files ─────────────────────────────────────────────────────────────────────────────────

# Whoever copies the file reads it first: from the disk, or from the cache.
measure_first() {
	local heat
	for heat in cold warm; do
		mount_way "$1"
		drop_caches
		[ $heat = cold ] || bench_io seq "$dir/big.bin" > "$work/log"
		milliseconds "first write $heat ms" "$1" bench_io first "$dir/big.bin"
		unmount_way "$1"
	done
}

measure_random() {
	mount_way "$1"
	bench_io first "$dir/big.bin" > "$work/log"
	drop_caches
	seconds "16,000 writes s" "$1" bench_io randwrite "$dir/big.bin" "$writes"
	unmount_way "$1"
	mount_way "$1" sync
	bench_io first "$dir/big.bin" > "$work/log"
	drop_caches
	seconds "and fsync s" "$1" env BENCH_IO_SYNC=1 "$work/bench-io" randwrite "$dir/big.bin" "$writes"
	unmount_way "$1"
}

measure_sequential() {
	mount_way "$1"
	drop_caches
	seconds "new GiB s" "$1" bench_io fill "$dir/new" "$new_mib"
	sync
	seconds "read warm s" "$1" bench_io seq "$dir/new"
	drop_caches
	seconds "read cold s" "$1" bench_io seq "$dir/new"
	unmount_way "$1"
	mount_way "$1" sync
	drop_caches
	seconds "new GiB, fsync s" "$1" env BENCH_IO_SYNC=1 "$work/bench-io" fill "$dir/new" "$new_mib"
	unmount_way "$1"
}

measure_large() {
	measure_first "$1"
	measure_random "$1"
	measure_sequential "$1"
}

# ── small files ─────────────────────────────────────────────────────────────────────────────────

measure_small() {
	mount_way "$1"
	bench_io open "$dir/small" "$work/small" "$small_files" > "$work/log"
	seconds "open lower s" "$1" bench_io open "$dir/small" "$work/small" "$small_files"
	drop_caches
	mkdir "$dir/new"
	clocked "untar s" "$1" tar -xf "$work/small.tar" -C "$dir/new"
	bench_io open "$dir/new" "$work/small" "$small_files" > "$work/log"
	seconds "open upper s" "$1" bench_io open "$dir/new" "$work/small" "$small_files"
	seconds "stat upper s" "$1" bench_io stat "$dir/new"
	clocked "rm -r upper s" "$1" rm -r "$dir/new"
	clocked "rm -r lower s" "$1" rm -r "$dir/small"
	unmount_way "$1"
}

# ── real work ───────────────────────────────────────────────────────────────────────────────────

install_packages() {
	"$top/tests/images/in-root.sh" "$1" bookworm "apt-get install -qy --no-install-recommends $2 \
		-o Dpkg::Options::=--force-unsafe-io ${packages[*]}"
}

# The packages, into the folder where all ways find them.
download_packages() {
	mount_way overlay
	"$top/tests/images/in-root.sh" "$dir" bookworm "apt-get update -q" > "$work/log"
	install_packages "$dir" --download-only > "$work/log"
	packages_size=$(sed -n 's|^Need to get \(.*/\)\?\(.*\) of archives.*|\2|p' "$work/log")
	unmount_way overlay
}

measure_packages() {
	mount_way "$1"
	drop_caches
	clocked "apt-get install s" "$1" "$BASH" -c "$(declare -p top packages)
		$(declare -f install_packages)
		install_packages $dir --no-download"
	unmount_way "$1"
}

measure_git() {
	mount_way "$1"
	drop_caches
	clocked "git clone s" "$1" git clone -q --no-hardlinks "$work/project.git" "$dir/project"
	clocked "checkout s" "$1" git -C "$dir/project" checkout -q "$old_commit"
	git -C "$dir/project" checkout -q -
	drop_caches
	clocked "meson setup s" "$1" meson setup "$dir/project/build" "$dir/project"
	clocked "compile s" "$1" ninja -C "$dir/project/build"
	clocked "compile again s" "$1" ninja -C "$dir/project/build"
	unmount_way "$1"
}

make_project() {
	git clone -q --bare "$top" "$work/project.git"
	old_commit=$(git -C "$work/project.git" rev-list HEAD | tail -1)
}

measure_work() {
	measure_packages "$1"
	measure_git "$1"
}

prepare_work() {
	need git:git meson:meson ninja:ninja-build
	make_project
	download_packages
}

# ── all of it ───────────────────────────────────────────────────────────────────────────────────

say "making the tree"
make_tree
packages_size=
[[ " ${parts[*]} " != *" work "* ]] || prepare_work
for part in "${parts[@]}"; do
	for ((round = 1; round <= rounds; round++)); do
		say "$part, round $round of $rounds"
		for way in "${ways[@]}"; do
			"measure_$part" "$way"
		done
	done
	case $part in
	large) report "Writing: a lower file of 1 GiB, and a new one" ext4 ;;
	small) report "Writing: $small_files files of $small_size bytes" ext4 ;;
	work) report "Writing: $packages_size of packages, and this project" ext4 ;;
	esac
done
