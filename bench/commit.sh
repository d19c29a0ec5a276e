#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Commit of a container in which little has changed: one block of a file of 1 GiB, 10 files, 10,000
# files; against podman commit. Each time a new container of the same image; "stored" is what the store
# has grown by, "change" what the change before it took (overlayfs copies the file).
#
#   ROUNDS=5 DRIVERS='cow overlay' bench/commit.sh

set -eu
. "$(dirname "$0")/lib.sh"

read -ra drivers <<< "${DRIVERS:-cow overlay}"
base=${IMAGE:-bookworm}
dir=$work/mnt
big_size=1073741824

# ── the changes, in a tree that is mounted ──────────────────────────────────────────────────────

change_block() {
	bench_io first "$dir/big.bin"
}

change_10() {
	change_files 10
}

change_10000() {
	change_files 10000
}

change_files() {
	local start=$EPOCHREALTIME
	mkdir "$dir/new"
	tar -xf "$work/small-$1.tar" -C "$dir/new"
	calc "$EPOCHREALTIME - $start"
}

# ── the ways ────────────────────────────────────────────────────────────────────────────────────

# measure CHANGE TITLE WAY PLACE MOUNT UNMOUNT COMMIT: the last three are commands.
measure() {
	local before
	"$5"
	record "change s" "$2, $3" "$("change_$1")"
	"$6"
	sync -f "$work"
	before=$(disk_bytes "$4")
	drop_caches
	"$7"
	record "commit s" "$2, $3" "$wall"
	record "CPU s" "$2, $3" "$cpu"
	record "peak MiB" "$2, $3" "$peak"
	sync -f "$work"
	record "stored MiB" "$2, $3" "$(calc "($(disk_bytes "$4") - $before) / 1048576")"
}

plyfs_mount() {
	container=$("$plyfs" --quiet --store "$store" mount --rw --driver "$driver" base "$dir")
}

plyfs_unmount() {
	"$plyfs" --quiet --store "$store" umount "$dir"
}

plyfs_commit() {
	timed "$plyfs" --quiet --store "$store" commit "$container" committed
}

plyfs_forget() {
	"$plyfs" --quiet --store "$store" container rm "$container"
	"$plyfs" --store "$store" rmi committed > /dev/null
	"$plyfs" --store "$store" gc > /dev/null
}

podman_mount() {
	container=$(podman create "$podman_id" sh)
	mount --bind "$(podman mount "$container")" "$dir"
}

podman_unmount() {
	umount "$dir"
	podman umount "$container" > /dev/null
}

podman_commit() {
	timed podman commit -q "$container" localhost/committed
}

podman_forget_container() {
	podman rm "$container" > /dev/null
	podman rmi localhost/committed > /dev/null
}

# compare CHANGE TITLE
compare() {
	measure "$1" "$2" podman "$work/podman/graph" podman_mount podman_unmount podman_commit
	podman_forget_container
	for driver in "${drivers[@]}"; do
		measure "$1" "$2" "plyfs $driver" "$store" plyfs_mount plyfs_unmount plyfs_commit
		plyfs_forget
	done
}

need openssl:openssl umoci:umoci
want_image "$base"
podman_setup
mkdir "$dir" "$work/big"
defer umount -q -l "$dir"
say "making the image"
openssl enc -aes-128-ctr -nosalt -pass pass:1 -md sha256 < /dev/zero 2> /dev/null |
	head -c $big_size > "$work/big/big.bin" || true
tar -cf "$work/big.tar" -C "$work/big" big.bin
bench_io tar 10 4096 > "$work/small-10.tar"
bench_io tar 10000 4096 > "$work/small-10000.tar"
"$plyfs" --quiet --store "$store" import "oci:$oci:$base" image > /dev/null
"$plyfs" --quiet --store "$store" layer add image "tar:$work/big.tar" base > /dev/null
"$plyfs" --quiet --store "$store" export --compress none base "docker-archive:$work/base.tar:base:1" \
	> /dev/null
podman load -q -i "$work/base.tar" > /dev/null
podman_id=$("$plyfs" --store "$store" --json inspect base | jq -r .id | sed 's/^sha256://')
rm -r "$work/base.tar" "$work/big.tar" "$work/big"

for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	compare block "one block of 1 GiB"
	compare 10 "10 new files"
	compare 10000 "10,000 new files"
done
report "Commit of containers of '$base' with a file of 1 GiB"
