#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Memory of FUSE servers by the number of files that have been seen: find, and a stat of every file,
# through the mount of a synthetic tree; then again after the kernel was told to forget all of them.
# "server": memory of all its processes (PSS) without the mapped index, which is cache; "session": what
# of that is shared memory, which outlives a killed server. Peers: fuse-overlayfs and squashfuse over
# the same files.
#
#   ROUNDS=3 FILES=300000 WAYS='plyfs cow' bench/fuse-memory.sh

set -eu
. "$(dirname "$0")/lib.sh"

files=${FILES:-300000}
read -ra ways <<< "${WAYS:-plyfs cow squashfuse fuse-overlayfs}"

mount_plyfs() { "$plyfs" --quiet --store "$store" mount tree "$dir" --driver fuse; }
mount_cow() { "$plyfs" --quiet --store "$store" mount --rw --driver cow tree "$dir" > "$work/log"; }
mount_squashfuse() { squashfuse_ll "$work/tree.squashfs" "$dir"; }
mount_fuse_overlayfs() { fuse-overlayfs -o "ro,lowerdir=$work/tree" "$dir" 2> "$work/log"; }

unmount() {
	case $1 in
	plyfs | cow) "$plyfs" --quiet --store "$store" umount "$dir" ;;
	*) umount "$dir" ;;
	esac
}

# All processes that live now and did not before the mount.
new_processes() {
	comm -13 "$work/before" <(processes)
}

processes() {
	local exe
	for exe in /proc/[0-9]*/exe; do
		case $(readlink "$exe") in
		"$plyfs" | */squashfuse_ll | */fuse-overlayfs) basename "$(dirname "$exe")" ;;
		esac
	done | sort
}

# Sums, in KiB, over the mappings of the new processes: "anonymous shared".
memory() {
	new_processes | sed 's|.*|/proc/&/smaps|' | xargs cat | awk '
		/^[0-9a-f]+-[0-9a-f]+ / { shared = /memfd:/; mapped = $6 ~ /^\// && !shared }
		/^Pss:/ && shared { session += $2 }
		/^Pss:/ && !shared && !mapped { own += $2 }
		END { print own + session, session + 0 }'
}

# note WHEN WAY
note() {
	local all session
	read -r all session < <(memory)
	record "$1 MiB" "$2" "$(calc "$all / 1024")"
	[ "$session" = 0 ] || record "session MiB" "$2" "$(calc "$session / 1024")"
	last=$all
}

measure() {
	local start
	processes > "$work/before"
	"mount_${1//-/_}"
	note "at first" "$1"
	start=$last
	bench_io stat "$dir" > "$work/log"
	note "all seen" "$1"
	record "bytes a file" "$1" "$(calc "($last - $start) * 1024 / $files")"
	echo 2 > /proc/sys/vm/drop_caches
	sleep 1
	note "forgotten" "$1"
	unmount "$1"
}

need squashfuse_ll:squashfuse mksquashfs:squashfs-tools fuse-overlayfs:fuse-overlayfs
dir=$work/mnt
mkdir "$dir" "$work/tree"
defer umount -q -l "$dir"
say "making the tree"
bench_io tar "$files" 512 > "$work/tree.tar"
tar -xf "$work/tree.tar" -C "$work/tree"
"$plyfs" --quiet --store "$store" import "tar:$work/tree.tar" tree > /dev/null
mksquashfs "$work/tree" "$work/tree.squashfs" -comp zstd -quiet -no-progress > /dev/null
for ((round = 1; round <= rounds; round++)); do
	say "round $round of $rounds"
	for way in "${ways[@]}"; do
		measure "$way"
	done
done
report "Memory of FUSE servers, $files files seen"
