#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the second and third image cost when they share with the first: big-v2 shares two layers of
# three with big; big-reordered shares no layer, but most files.
#
#   ROUNDS=5 bench/sharing.sh

set -eu
. "$(dirname "$0")/lib.sh"

images=(big big-v2 big-reordered)

store_bytes() {
	[ -e "$1" ] && disk_bytes "$1" || echo 0
}

# measure WAY IMAGE PLACE COMMAND...: time the command, and see by how much it makes PLACE grow.
measure() {
	local row="$2, $1" place=$3 before after
	before=$(store_bytes "$place")
	drop_caches
	timed "${@:4}"
	sync -f "$work"
	after=$(store_bytes "$place")
	record "wall s" "$row" "$wall"
	record "MiB added" "$row" "$(calc "($after - $before) / 1048576")"
	record "image MiB" "$row" "${plain[$2]}"
	record "added / image" "$row" "$(calc "($after - $before) / 1048576 / ${plain[$2]}")"
	record "layers compressed MiB" "$row" "${packed[$2]}"
}

want_image "${images[@]}"
podman_setup
declare -A plain packed
for image in "${images[@]}"; do
	podman_archive "$image" > /dev/null
	plain[$image]=$(calc "$(plain_bytes "$image") / 1048576")
	packed[$image]=$(calc "$(packed_bytes "$image") / 1048576")
done

for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	rm -rf "$store"
	podman_forget
	for image in "${images[@]}"; do
		measure plyfs "$image" "$store" \
			"$plyfs" --quiet --store "$store" import "oci:$oci:$image" "$image"
		measure podman "$image" "$work/podman/graph" podman load -q -i "$work/$image.oci.tar"
	done
done
report "Images that share"
