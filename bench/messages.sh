#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the kernel asks FUSE servers for, while small files are made, written to, opened and removed:
# messages a file, by the kernel's own tracepoint. These are counts, not times: one round does.
#
#   WAYS='cow cow-passthrough' bench/messages.sh

set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/writable.sh"

read -ra ways <<< "${WAYS:-fuse-overlayfs cow cow-passthrough}"

trace_begin() {
	mkdir "$work/trace"
	mount -t tracefs tracefs "$work/trace"
	defer umount "$work/trace"
	trace=$work/trace/instances/plyfs-bench
	mkdir -p "$trace"
	defer rmdir "$trace"
	echo 16384 > "$trace/buffer_size_kb"
}

# traced OPERATION WAY COMMAND...: a row, with what came of this mount alone
traced() {
	local connection
	connection=$(mountpoint -d "$dir" | sed 's/.*://')
	sync
	cat "$trace/trace_pipe" > "$work/events" &
	echo 1 > "$trace/events/fuse/fuse_request_send/enable"
	"${@:3}" > "$work/log"
	sync -f "$dir"
	echo 0 > "$trace/events/fuse/fuse_request_send/enable"
	sleep 1
	kill $!
	wait $! 2> "$work/log" || true
	sed -n "s/.*connection $connection req .*(FUSE_\(.*\)).*/\1/p" "$work/events" > "$work/names"
	sort "$work/names" | uniq -c > "$work/counts"
	record total "$2: $1" "$(calc "$(wc -l < "$work/names") / $small_files")"
	while read -r count name; do
		[ "$count" -lt $((small_files / 100)) ] ||
			record "$name" "$2: $1" "$(calc "$count / $small_files")"
	done < "$work/counts"
}

measure() {
	mount_way "$1"
	traced "open lower, first" "$1" bench_io open "$dir/small" "$work/small" "$small_files"
	traced "open lower, again" "$1" bench_io open "$dir/small" "$work/small" "$small_files"
	mkdir "$dir/new"
	traced "untar" "$1" tar -xf "$work/small.tar" -C "$dir/new"
	traced "open upper" "$1" bench_io open "$dir/new" "$work/small" "$small_files"
	# shellcheck disable=SC2016
	traced "write to lower files" "$1" find "$dir/small" -type f -exec sh -c \
		'for f; do echo x >> "$f"; done' - {} +
	traced "stat" "$1" bench_io stat "$dir/new"
	traced "rm -r upper" "$1" rm -r "$dir/new"
	traced "rm -r lower" "$1" rm -r "$dir/small"
	unmount_way "$1"
}

say "making the tree"
make_tree
trace_begin
for way in "${ways[@]}"; do
	say "$way"
	measure "$way"
done
report "FUSE messages a file, of $small_files"
