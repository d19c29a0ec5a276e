# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# What the benchmarks share; each sources this file first.
#
# ROUNDS (5)          runs of every way; the ways alternate within a round, the medians are printed
# PLYFS (build/plyfs) the program to measure
# BENCH_DIR (~/.cache/plyfs/bench)  scratch space, several GB, on the file system to measure; ext4 is
#                     the reference of the published figures. Emptied of what a run made when it ends

set -eu -o pipefail
export LC_ALL=C

# In a mount namespace of its own: mounts are seen by nobody else, who would keep them, and end with it.
[ -n "${BENCH_NAMESPACE-}" ] || BENCH_NAMESPACE=1 exec unshare -m "$BASH" "$0" "$@"

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rounds=${ROUNDS:-5}
plyfs=${PLYFS:-build/plyfs}
scratch=${BENCH_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/plyfs/bench}
oci=${PLYFS_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/plyfs/images}/oci

say() {
	echo "bench: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# ── clean-up ────────────────────────────────────────────────────────────────────────────────────

deferred=()

# defer COMMAND...: run it when the script ends, however it ends; the last one first.
defer() {
	deferred+=("$(printf '%q ' "$@")")
}

run_deferred() {
	local i
	for ((i = ${#deferred[@]} - 1; i >= 0; i--)); do
		eval "${deferred[i]}" || true
	done
}

trap run_deferred EXIT
trap 'exit 130' INT TERM HUP

# ── set-up ──────────────────────────────────────────────────────────────────────────────────────

# need TOOL:PACKAGE...: install the packages of the tools that are missing.
need() {
	local pair missing=()
	for pair; do
		command -v "${pair%%:*}" > /dev/null || missing+=("${pair##*:}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	apt-get update -q >&2
	apt-get install -qy --no-install-recommends "${missing[@]}" >&2
}

# want_image NAME...: have the images built.
want_image() {
	"$top/tests/images/build.sh" "$@" > /dev/null
}

image_manifest() {
	local digest
	digest=$(jq -r --arg name "$1" '.manifests[] |
		select(.annotations["org.opencontainers.image.ref.name"] == $name) | .digest' "$oci/index.json")
	cat "$oci/blobs/sha256/${digest#sha256:}"
}

# image_blobs NAME...: the paths of the layers, lowest first; a shared layer once.
image_blobs() {
	local name
	for name; do
		image_manifest "$name" | jq -r '.layers[].digest'
	done | awk '!seen[$0]++' | sed "s|^sha256:|$oci/blobs/sha256/|"
}

# packed_bytes NAME..., plain_bytes NAME...: size of the layers, compressed and uncompressed.
packed_bytes() {
	image_blobs "$@" | xargs stat -c %s | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

plain_bytes() {
	# shellcheck disable=SC2016
	image_blobs "$@" | xargs -n 1 -P "$(nproc)" sh -c 'pigz -dc "$0" | wc -c' | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

# has_command NAME: whether this plyfs has the command.
has_command() {
	"$plyfs" "$1" --help > /dev/null 2>&1
}

disk_bytes() {
	du -s --block-size=1 "$@" | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

# podman, with storage of its own below $work/podman, on the overlay driver.
podman_setup() {
	need podman:podman runc:runc
	mkdir -p "$work/podman"
	cat > "$work/podman/storage.conf" <<-E
		[storage]
		driver = "overlay"
		graphroot = "$work/podman/graph"
		runroot = "$work/podman/run"
	E
	cat > "$work/podman/containers.conf" <<-E
		[containers]
		netns = "none"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "runc"
		tmp_dir = "$work/podman/tmp"
		static_dir = "$work/podman/static"
		volume_path = "$work/podman/volumes"
	E
	export CONTAINERS_STORAGE_CONF=$work/podman/storage.conf
	export CONTAINERS_CONF=$work/podman/containers.conf
	defer podman_forget
}

podman_forget() {
	umount "$work/podman/graph/overlay" 2> /dev/null || true
	rm -rf "$work/podman/graph" "$work/podman/run" "$work/podman/tmp" "$work/podman/static"
}

# podman_archive NAME: the image in a form that podman loads, its layers still compressed.
podman_archive() {
	skopeo copy -q "oci:$oci:$1" "oci-archive:$work/$1.oci.tar:$1"
	echo "$work/$1.oci.tar"
}

# ── measuring ───────────────────────────────────────────────────────────────────────────────────

drop_caches() {
	sync
	echo 3 > /proc/sys/vm/drop_caches
}

bench_io() {
	"$work/bench-io" "$@"
}

# timed COMMAND...: run it; leaves seconds in $wall and $cpu, and MiB in $peak and $own (the peak
# without mapped files, which are cache).
timed() {
	rm -f "$work/timed"
	bench_io run "$work/timed" "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; die "failed: $*"; }
	read -r wall cpu peak own < "$work/timed"
	peak=$(calc "$peak / 1024")
	own=$(calc "$own / 1024")
}

calc() {
	awk "BEGIN { printf \"%.6f\", ($*) }"
}

# record COLUMN WAY VALUE: one measured value. Name the unit in the column.
record() {
	printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$work/results"
}

# report TITLE [REFERENCE-WAY]: the medians as a table, with ratios to the reference in brackets.
report() {
	printf '\n### %s\n\n' "$1"
	python3 "$top/bench/report.py" "$work/results" "${2:-}"
	: > "$work/results"
}

# ── start ───────────────────────────────────────────────────────────────────────────────────────

[ "$(id -u)" = 0 ] || die "must run as root"
[ -x "$plyfs" ] || die "no program '$plyfs': build it, or set PLYFS"
plyfs=$(realpath "$plyfs")
need jq:jq skopeo:skopeo pigz:pigz python3:python3 gcc:gcc
mkdir -p "$scratch"
work=$(mktemp -d "$(realpath "$scratch")/run.XXXXXX")
defer rm -rf --one-file-system "$work"
gcc -std=gnu17 -O2 -o "$work/bench-io" "$top/bench/bench-io.c"
: > "$work/results"
store=$work/store
