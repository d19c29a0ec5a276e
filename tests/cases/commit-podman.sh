#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# podman takes an export of a committed image, and its own mount of it shows the same tree; an export
# to a pipe is the same image.
# timeout: 300
. "$TESTS/lib.sh"
need_kernel_mount
need podman

printf '[storage]\ndriver = "vfs"\nrunroot = "%s"\ngraphroot = "%s"\n' "$T/run" "$T/graph" >storage.conf
export CONTAINERS_STORAGE_CONF=$T/storage.conf
"$TESTS/change.py" make base 7
expect_ok plyfs import rootfs:base base >/dev/null
mkdir -p rw
expect_ok plyfs mount --rw --driver overlay --container c base rw >/dev/null
"$TESTS/change.py" change rw 1007 40
expect_ok plyfs commit c new >/dev/null
expect_ok plyfs export new oci:out:t >/dev/null
expect_ok podman pull -q oci:out:t >id1
expect_ok podman image mount "$(cat id1)" >where
# a manifest's root without an entry in vfs has podman's own time
same_tree rw "$(cat where)" --ignore-root mtime
expect_ok podman image umount "$(cat id1)" >/dev/null
expect_ok podman rmi -f "$(cat id1)" >/dev/null
expect_ok plyfs export --compress none new docker-archive:- >piped
expect_ok podman load -q -i piped >/dev/null
[ "$(podman images --no-trunc -q)" = "sha256:$(cat id1)" ] || fail "through a pipe it is another image"
