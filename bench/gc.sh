#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# gc when half of the images go: IMAGES images, each a real one and a layer of FILES random files of
# SIZE bytes on top. podman has the same images (podman build), and removes them by rmi, which frees
# their layers at once. Every round begins with all images.
#
#   ROUNDS=5 BASES='bookworm python node' IMAGES=50 FILES=200 SIZE=100000 bench/gc.sh

set -eu
. "$(dirname "$0")/lib.sh"

read -ra bases <<< "${BASES:-bookworm python node}"
images=${IMAGES:-50}
files=${FILES:-200}
size=${SIZE:-100000}

base_of() {
	echo "${bases[$1 % ${#bases[@]}]}"
}

# Random, and the same in every run.
make_tar() {
	mkdir "$work/files"
	openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -md sha256 < /dev/zero 2> /dev/null |
		head -c $((files * size)) | split -b "$size" -a 4 - "$work/files/f" || true
	tar -cf "$work/layers/$1.tar" -C "$work" files
	rm -r "$work/files"
}

fill_plyfs() {
	local n
	for base in "${bases[@]}"; do
		"$plyfs" --quiet --store "$store" import "oci:$oci:$base" "base/$base"
	done
	for ((n = 0; n < images; n++)); do
		"$plyfs" --quiet --store "$store" layer add "base/$(base_of "$n")" \
			"tar:$work/layers/$n.tar" "image-$n"
	done
}

fill_podman() {
	local n
	for base in "${bases[@]}"; do
		podman load -q -i "$work/$base.oci.tar"
	done
	for ((n = 0; n < images; n++)); do
		printf 'FROM localhost/%s\nADD %s.tar /\n' "$(base_of "$n")" "$n" |
			podman build -q --isolation chroot -t "image-$n" -f - "$work/layers"
	done
}

run_plyfs() {
	"$plyfs" --store "$store" rmi "${half[@]}"
	timed "$plyfs" --store "$store" gc
}

run_podman() {
	timed podman rmi "${half[@]}"
}

# measure WAY DIRECTORY
measure() {
	local before
	rm -rf "$store"
	podman_forget
	"fill_$1" > "$work/log" 2>&1 || { tail "$work/log" >&2; die "cannot fill $1"; }
	sync -f "$work"
	before=$(disk_bytes "$2")
	drop_caches
	"run_$1" > /dev/null
	freed=$(calc "($before - $(disk_bytes "$2")) / 1048576")
	record "s" "$1" "$wall"
	record "CPU s" "$1" "$cpu"
	record "MiB freed" "$1" "$freed"
	record "GiB/s" "$1" "$(calc "$freed / 1024 / $wall")"
	record "peak MiB" "$1" "$peak"
}

half=()
for ((n = 0; n < images; n += 2)); do
	half+=("image-$n")
done
need openssl:openssl
want_image "${bases[@]}"
podman_setup
mkdir "$work/layers"
for ((n = 0; n < images; n++)); do
	make_tar "$n"
done
for base in "${bases[@]}"; do
	podman_archive "$base" > /dev/null
done
for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	measure podman "$work/podman/graph"
	measure plyfs "$store"
done
report "Half of $images images removed" podman
