#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The study that sets the default chunk size: a series of images, one after the other into a fresh
# store, for each chunk size. A file smaller than a chunk is one chunk.
#
#   ROUNDS=5 SIZES='4096 65536' IMAGES='bookworm trixie' bench/chunk-size.sh

set -eu
. "$(dirname "$0")/lib.sh"

read -ra sizes <<< "${SIZES:-4096 16384 65536 131072 262144 1048576}"
read -ra images <<< "${IMAGES:-bookworm trixie python python-v2 node postgres big big-reordered}"

measure() {
	local size=$1 row="$(($1 / 1024)) KiB" image total=0 total_cpu=0 top_peak=0
	rm -rf "$store"
	for image in "${images[@]}"; do
		drop_caches
		timed "$plyfs" --quiet --store "$store" import --chunk-size "$size" "oci:$oci:$image" "$image"
		total=$(calc "$total + $wall")
		total_cpu=$(calc "$total_cpu + $cpu")
		top_peak=$(calc "$peak > $top_peak ? $peak : $top_peak")
	done
	"$plyfs" --store "$store" --json df > "$work/df"
	record "chunks" "$row" "$(jq .chunks "$work/df")"
	record "chunk MiB" "$row" "$(jq '.chunk_bytes / 1048576' "$work/df")"
	record "index MiB" "$row" "$(jq '.index_bytes / 1048576' "$work/df")"
	record "store MiB" "$row" "$(jq '.disk_bytes / 1048576' "$work/df")"
	record "import s" "$row" "$total"
	record "CPU s" "$row" "$total_cpu"
	record "peak MiB" "$row" "$top_peak"
}

want_image "${images[@]}"
for ((round = 1; round <= rounds; round++)); do
	for size in "${sizes[@]}"; do
		say "round $round of $rounds, chunks of $size"
		measure "$size"
	done
done
report "Chunk sizes: ${images[*]}; $(($(plain_bytes "${images[@]}") / 1048576)) MiB of layers, \
$(($(packed_bytes "${images[@]}") / 1048576)) MiB compressed" "64 KiB"
