#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fsck --data against its limit: SHA-256 of the same data by openssl on one core, and on two (each half
# of the pack on one). Debian 12's sha256sum, which does not use the processor's instructions for it, is
# there for comparison. Cold is after dropping the kernel's caches.
#
#   ROUNDS=5 IMAGES='big node postgres' bench/fsck.sh

set -eu
. "$(dirname "$0")/lib.sh"

read -ra images <<< "${IMAGES:-big node postgres}"

run_fsck() {
	timed "$plyfs" --quiet --store "$store" fsck --data
}

run_one() {
	timed openssl dgst -sha256 "$work"/half.*
}

run_sha256sum() {
	timed sha256sum "$work"/half.*
}

run_two() {
	# shellcheck disable=SC2016
	timed sh -c 'ls "$1"/half.* | xargs -n 1 -P 2 openssl dgst -sha256' - "$work"
}

# measure WAY TITLE BYTES
measure() {
	local heat
	for heat in cold warm; do
		[ $heat = warm ] || drop_caches
		"run_$1"
		record "$heat s" "$2" "$wall"
		record "$heat GB/s" "$2" "$(calc "$3 / 1e9 / $wall")"
	done
	record "CPU s" "$2" "$cpu"
	record "peak MiB" "$2" "$peak"
	record "own MiB" "$2" "$own"
}

need openssl:openssl
has_command fsck || die "this plyfs has no fsck"
want_image "${images[@]}"
for image in "${images[@]}"; do
	"$plyfs" --quiet --store "$store" import "oci:$oci:$image" "$image" > /dev/null
done
data=$("$plyfs" --store "$store" --json df | jq .chunk_bytes)
split -n 2 "$store/packs/0.pack" "$work/half."
pack=$(stat -c %s "$work"/half.* | awk '{ n += $1 } END { printf "%.0f\n", n }')
for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	measure one "openssl, one core" "$pack"
	measure fsck "plyfs fsck --data" "$data"
	measure two "openssl, two cores" "$pack"
	measure sha256sum "sha256sum, one core" "$pack"
done
report "fsck --data of $((data / 1000000)) MB in chunks" "openssl, one core"
