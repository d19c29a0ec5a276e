#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs shell commands in the tree of a Debian image, in namespaces of their own: no mount and no
# process is left behind, and what is in /run and /tmp goes, too.
#
#   tests/images/in-root.sh ROOT LISTS COMMANDS
#
# The package lists (a set of them, named LISTS) and the archives lie outside of the tree, in
# ${PLYFS_IMAGES:-${XDG_CACHE_HOME:-~/.cache}/plyfs/images}/apt, and serve other trees as well. What this
# machine's apt accepts of its mirror's age, the tree's apt may accept too.

set -eu -o pipefail

root=$1 lists=$2 commands=$3
apt=${PLYFS_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/plyfs/images}/apt
conf=$(for name in Acquire::Check-Valid-Until Acquire::Check-Date; do
	[ "$(apt-config --format '%v' dump $name | tr -d '"')" != false ] || echo "$name \"false\";"
done)
mkdir -p "$apt/lists/$lists" "$apt/archives"
# shellcheck disable=SC2016
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
	DEBIAN_FRONTEND=noninteractive ${http_proxy:+"http_proxy=$http_proxy"} \
	unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" sh -euc '
		mount --bind "$2" "$1/var/lib/apt/lists"
		mount --bind "$3" "$1/var/cache/apt/archives"
		mount -t tmpfs tmpfs "$1/run"
		mount -t tmpfs tmpfs "$1/tmp"
		mount -t tmpfs tmpfs "$1/etc/apt/apt.conf.d"
		printf %s "$4" > "$1/etc/apt/apt.conf.d/local"
		mount --rbind /dev "$1/dev"
		mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
		exec chroot "$1" sh -euc "$5"
	' - "$root" "$apt/lists/$lists" "$apt/archives" "$conf" "$commands"
