#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Import of a three-layer Debian image: time, CPU time and peak memory of plyfs, podman load (overlay
# driver), umoci unpack, and tar -x of the layers plus mkfs.erofs. The last row is what each of them
# cannot do without, alone: pigz inflates the layers and openssl takes the digests, a layer a core.
#
#   ROUNDS=5 IMAGE=big bench/import.sh        ("written": the time until a sync has ended, too)

set -eu
. "$(dirname "$0")/lib.sh"

image=${IMAGE:-big}

run_plyfs() {
	timed "$plyfs" --quiet --store "$store" import "oci:$oci:$image" "$image"
}

run_podman() {
	timed podman load -q -i "$archive"
}

run_umoci() {
	timed umoci unpack --image "$oci:$image" "$work/umoci"
}

run_tar() {
	mkdir "$work/tree"
	# shellcheck disable=SC2016
	timed sh -euc 'tree=$1 index=$2; shift 2
		for blob; do
			tar -xpzf "$blob" -C "$tree" --numeric-owner --xattrs --xattrs-include="*"
		done
		mkfs.erofs --quiet "$index" "$tree"' - "$work/tree" "$work/tree.erofs" "${blobs[@]}"
}

run_least() {
	# shellcheck disable=SC2016
	timed sh -euc 'printf "%s\n" "$@" |
		xargs -P "$(nproc)" -I BLOB sh -euc "openssl dgst -sha256 BLOB; pigz -dc BLOB | openssl dgst -sha256"' \
		- "${blobs[@]}"
}

clear_results() {
	podman_forget
	rm -rf "$store" "$work/umoci" "$work/tree" "$work/tree.erofs"
}

measure() {
	local way=$1 title=$2 start
	clear_results
	drop_caches
	start=$EPOCHREALTIME
	"run_$way"
	record "wall s" "$title" "$wall"
	sync -f "$work"
	record "written s" "$title" "$(calc "$EPOCHREALTIME - $start")"
	record "CPU s" "$title" "$cpu"
	record "peak MiB" "$title" "$peak"
}

need umoci:umoci mkfs.erofs:erofs-utils openssl:openssl
want_image "$image"
podman_setup
archive=$(podman_archive "$image")
mapfile -t blobs < <(image_blobs "$image")

for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	measure podman "podman load"
	measure plyfs "plyfs import"
	measure umoci "umoci unpack"
	measure tar "tar -x, mkfs.erofs"
	measure least "inflate + SHA-256 alone"
done
report "Import of '$image', $(($(plain_bytes "$image") / 1048576)) MiB in ${#blobs[@]} layers" "podman load"
