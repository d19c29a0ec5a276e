#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Does the store stay as quick when it grows? Stores of CHUNKS chunks, made by synth-store with an
# image for each 10,000 chunks and a file for each two, and in them: import of one image more, gc with
# that image dead, and later with a tenth of all, gc --dry-run, fsck, df and images. Warm caches. "own"
# is peak memory without mapped files; what is mapped of the records is cache.
#
#   ROUNDS=5 CHUNKS='1000000 10000000' IMAGE=demo bench/store.sh
#
# Needs synth-store (meson setup -Dbench=true) beside plyfs, and 8 GB for 10 million chunks.

set -eu
. "$(dirname "$0")/lib.sh"

read -ra counts <<< "${CHUNKS:-1000000 10000000}"
image=${IMAGE:-demo}
synth=$(dirname "$plyfs")/synth-store

images_of() {
	echo $(($1 / 10000 > 0 ? $1 / 10000 : 1))
}

make_store() {
	"$synth" "$store-$1" "$(images_of "$1")" $(($1 / 2)) "$1" 2> "$work/log" ||
		{ cat "$work/log" >&2; die "synth-store failed"; }
}

# measure TITLE CHUNKS COMMAND...: the memory goes into a table of its own.
measure() {
	local title=$1 count=$2
	shift 2
	timed "$plyfs" --quiet --store "$store-$count" "$@"
	record "$title" "$count chunks" "$wall"
	printf '%s\t%s\t%s\n' "$title" "$count chunks" "$own" >> "$work/memory"
}

# One image comes and goes, and all that looks at the whole store runs.
measure_round() {
	local count=$1
	measure import "$count" import "oci:$oci:$image" one/more
	measure df "$count" df
	measure images "$count" images
	! has_command fsck || measure fsck "$count" fsck
	measure "gc, nothing dead" "$count" gc
	"$plyfs" --store "$store-$count" rmi one/more > /dev/null
	measure "gc --dry-run" "$count" gc --dry-run
	measure "gc, one image dead" "$count" gc
}

measure_tenth() {
	local count=$1 n names=()
	for ((n = 0; n < $(images_of "$count"); n += 10)); do
		names+=("$(printf 'synth/%05d' "$n")")
	done
	"$plyfs" --store "$store-$count" rmi "${names[@]}" > /dev/null
	measure "gc, a tenth dead" "$count" gc
}

[ -x "$synth" ] || die "no $synth: meson setup --reconfigure BUILD -Dbench=true"
want_image "$image"
for count in "${counts[@]}"; do
	say "making a store of $count chunks"
	make_store "$count"
	for ((round = 1; round <= rounds; round++)); do
		say "$count chunks, round $round of $rounds"
		measure_round "$count"
	done
	measure_tenth "$count"
	rm -rf "${store:?}-$count"
done
report "Growing stores: seconds" "${counts[0]} chunks"
mv "$work/memory" "$work/results"
report "Growing stores: MiB of memory of its own" "${counts[0]} chunks"
