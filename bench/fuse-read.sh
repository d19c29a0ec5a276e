#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# read.sh for read-only mounts by FUSE servers: plyfs's, squashfuse and fuse-overlayfs, with ext4 and the
# kernel's EROFS for comparison.
#
#   ROUNDS=5 IMAGE=big bench/fuse-read.sh

exec env WAYS="${WAYS:-ext4 plyfs plyfs-fuse plyfs-passthrough squashfuse fuse-overlayfs}" \
	"$(dirname "$0")/read.sh"
