#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Disk space: the same images, one after the other, in a plyfs store, in containers/storage's overlay
# form (podman load), and as the compressed layers that a registry would hold. Each row is the sum up
# to that image; the ratios in the table are to podman's.
#
#   IMAGES='big big-v2' bench/disk.sh

set -eu
. "$(dirname "$0")/lib.sh"

read -ra images <<< "${IMAGES:-bookworm python python-v2 node postgres trixie big big-v2 big-reordered}"

mib() {
	calc "$1 / 1048576"
}

want_image "${images[@]}"
podman_setup
printf '\n### Disk space, MiB, after each image\n\n'
echo "| image | layers plain | layers compressed | podman overlay | plyfs | plyfs / podman | plyfs / compressed |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
sofar=()
for image in "${images[@]}"; do
	sofar+=("$image")
	say "$image"
	podman_archive "$image" > /dev/null
	timed podman load -q -i "$work/$image.oci.tar"
	rm "$work/$image.oci.tar"
	timed "$plyfs" --quiet --store "$store" import "oci:$oci:$image" "$image"
	sync -f "$work"
	plain=$(plain_bytes "${sofar[@]}")
	packed=$(packed_bytes "${sofar[@]}")
	theirs=$(disk_bytes "$work/podman/graph")
	ours=$(disk_bytes "$store")
	printf '| + %s | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f |\n' "$image" "$(mib "$plain")" \
		"$(mib "$packed")" "$(mib "$theirs")" "$(mib "$ours")" \
		"$(calc "$ours / $theirs")" "$(calc "$ours / $packed")"
done
