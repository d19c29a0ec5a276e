#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Export of an image, in groups that write the same form: an OCI layout with gzip, zstd and plain
# layers, and a docker-archive. The peers: skopeo copy out of a layout whose layers are plain, so that
# it compresses as plyfs does; podman save out of a storage of its own, which puts the layers'
# tars together and compresses them, like plyfs. "copied": skopeo copy from layout to layout, which
# takes the blobs as they are and only hashes them. Cold is after dropping the kernel's caches.
#
#   ROUNDS=5 IMAGE=big bench/export.sh

set -eu
. "$(dirname "$0")/lib.sh"

image=${IMAGE:-big}
out=$work/out

run_plyfs() {
	timed "$plyfs" --quiet --store "$store" export "$image" "$@"
}

plyfs_gzip() { run_plyfs --compress gzip "oci:$out:x"; }
plyfs_zstd() { run_plyfs --compress zstd "oci:$out:x"; }
plyfs_none() { run_plyfs --compress none "oci:$out:x"; }
plyfs_docker() { run_plyfs "docker-archive:$out:x:1"; }
skopeo_gzip() { timed skopeo copy -q "oci:$plain:x" "oci:$out:x"; }
skopeo_zstd() { timed skopeo copy -q --dest-compress-format zstd "oci:$plain:x" "oci:$out:x"; }
skopeo_none() { timed skopeo copy -q --dest-oci-accept-uncompressed-layers "oci:$plain:x" "oci:$out:x"; }
skopeo_docker() { timed skopeo copy -q "oci:$plain:x" "docker-archive:$out:x:1"; }
skopeo_copied() { timed skopeo copy -q "oci:$oci:$image" "oci:$out:x"; }
podman_gzip() { timed podman save -q --format oci-archive -o "$out" "$podman_id"; }
podman_docker() { timed podman save -q --format docker-archive -o "$out" "$podman_id"; }

# config_of PATH: the config of what was written there, in any of the forms.
config_of() {
	local tree=$1
	if [ -f "$1" ]; then
		tree=$work/tree
		mkdir "$tree"
		tar -xf "$1" -C "$tree"
	fi
	if [ -f "$tree/index.json" ]; then
		jq -r .manifests[0].digest "$tree/index.json" | sed "s|^sha256:|$tree/blobs/sha256/|" |
			xargs jq -r .config.digest | sed "s|^sha256:|$tree/blobs/sha256/|" | xargs cat
	else
		jq -r '.[0].Config' "$tree/manifest.json" | sed "s|^|$tree/|" | xargs cat
	fi
	rm -rf "$work/tree"
}

# check WAY: what was written has the image's layers; the peers may write its config anew.
check() {
	config_of "$out" > "$work/config"
	[ "$(jq -c .rootfs.diff_ids "$work/config")" = "$diff_ids" ] || die "$1 wrote other layers"
	[[ $1 != plyfs_* ]] || [ "sha256:$(sha256sum < "$work/config" | cut -d' ' -f1)" = "$id" ] ||
		die "$1 wrote another config"
}

# measure WAY TITLE
measure() {
	local heat
	for heat in cold warm; do
		rm -rf "$out"
		[ $heat = warm ] || drop_caches
		"$1"
		record "$heat s" "$2" "$wall"
	done
	record "CPU s" "$2" "$cpu"
	record "peak MiB" "$2" "$peak"
	record "MiB written" "$2" "$(calc "$(disk_bytes "$out") / 1048576")"
	check "$1"
	rm -rf "$out"
}

# compare FORM PEER...: a table; plyfs and the peers alternately, the first peer is the reference.
compare() {
	local form=$1 round way
	shift
	for ((round = 1; round <= rounds; round++)); do
		say "$form, round $round of $rounds"
		for way in "$@" plyfs; do
			measure "${way}_$form" "$way"
		done
	done
	report "Export of '$image', $form" "$1"
}

want_image "$image"
podman_setup
"$plyfs" --quiet --store "$store" import "oci:$oci:$image" "$image" > /dev/null
id=$("$plyfs" --store "$store" --json inspect "$image" | jq -r .id)
diff_ids=$("$plyfs" --store "$store" --json inspect "$image" | jq -c .layers)
plain=$work/plain
skopeo copy -q --dest-decompress "oci:$oci:$image" "dir:$work/dir"
skopeo copy -q --dest-oci-accept-uncompressed-layers "dir:$work/dir" "oci:$plain:x"
rm -rf "$work/dir"
podman load -q -i "$(podman_archive "$image")" > /dev/null
podman_id=${id#sha256:}
compare gzip skopeo podman
compare zstd skopeo
compare none skopeo
compare docker skopeo podman
for ((round = 1; round <= rounds; round++)); do
	measure skopeo_copied "skopeo, blobs copied"
done
report "Copying '$image' as it is"
