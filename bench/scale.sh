#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Does mounting stay as quick, and the index as small, when the files grow in number? Trees of SIZE
# bytes a file come as tar streams. The first row is a real image.
#
#   ROUNDS=5 COUNTS='1000 100000 1000000' SIZE=5000 bench/scale.sh

set -eu
. "$(dirname "$0")/lib.sh"

read -ra counts <<< "${COUNTS:-1000 100000 1000000}"
size=${SIZE:-5000}

import_tree() {
	# shellcheck disable=SC2016
	timed sh -euc '"$1" tar "$2" "$3" | "$4" --quiet --store "$5" import tar:- "files:$2"' - \
		"$work/bench-io" "$1" "$size" "$plyfs" "$store-$1"
}

# put_down ROW STORE FILES: what the import just timed has cost, and its index.
put_down() {
	local index
	index=$("$plyfs" --store "$2" --json df | jq .index_bytes)
	record "files" "$1" "$3"
	record "import s" "$1" "$wall"
	record "import peak MiB" "$1" "$peak"
	record "index MiB" "$1" "$(calc "$index / 1048576")"
	record "index bytes a file" "$1" "$(calc "$index / $3")"
}

# measure_mount ROW STORE IMAGE COLD|WARM
measure_mount() {
	[ "$4" = warm ] || drop_caches
	timed "$plyfs" --store "$2" mount "$3" "$work/mnt"
	record "mount $4 ms" "$1" "$(calc "$wall * 1000")"
	timed ls "$work/mnt"
	record "first ls $4 ms" "$1" "$(calc "$wall * 1000")"
	"$plyfs" --store "$2" umount "$work/mnt"
}

measure_mounts() {
	measure_mount "$@" cold
	measure_mount "$@" warm
}

want_image big
mkdir "$work/mnt"
defer umount -q "$work/mnt"
timed "$plyfs" --quiet --store "$store-big" import "oci:$oci:big" big
files=$("$plyfs" --store "$store-big" mount big "$work/mnt" > /dev/null && find "$work/mnt" | wc -l)
"$plyfs" --store "$store-big" umount "$work/mnt"
put_down "image big" "$store-big" "$files"
for count in "${counts[@]}"; do
	say "import of $count files"
	import_tree "$count"
	put_down "$count files" "$store-$count" "$count"
done
for ((round = 1; round <= rounds; round++)); do
	measure_mounts "image big" "$store-big" big
	for count in "${counts[@]}"; do
		measure_mounts "$count files" "$store-$count" "files:$count"
	done
done
report "Growing numbers of files ($size bytes each)"
