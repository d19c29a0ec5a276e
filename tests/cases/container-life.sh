#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A container keeps its image from gc, named or not; what is left of a container that was not made or
# removed to the end is told by fsck and removed by gc; df counts what containers take.
. "$TESTS/lib.sh"
need_kernel_mount

mkdir -p base rw
head -c 300000 /dev/urandom >base/f
chmod 0711 base
expect_ok plyfs import rootfs:base base >/dev/null
expect_ok plyfs mount --rw --driver overlay --container c base rw >/dev/null
[ "$(stat -c %a rw)" = 711 ] || fail "the root's mode is $(stat -c %a rw)"
head -c 5000000 /dev/urandom >rw/new
expect_ok plyfs umount rw
[ "$(get 'd["containers"]' df)" = 1 ] && [ "$(get 'd["container_bytes"] >= 5000000' df)" = True ] ||
	fail "df: $(plyfs df)"
expect_ok plyfs rmi base
expect_ok plyfs gc >/dev/null
expect_ok plyfs mount --rw --container c rw >/dev/null
cmp base/f rw/f || fail "the image's file is gone"
expect_ok plyfs umount rw
fsck_says 0 'not d["problems"]'

mkdir -p "$PLYFS_STORE"/containers/half/upper
fsck_says 0 'len(leftover) == 1 and "containers/half" in leftover[0]["text"]'
expect_ok plyfs gc >/dev/null
[ ! -e "$PLYFS_STORE"/containers/half ] && [ -e "$PLYFS_STORE"/containers/c ] || fail "gc"

rmdir "$PLYFS_STORE"/containers/c/work/* 2>/dev/null || :
mv "$PLYFS_STORE"/containers/c/work w
fsck_says 1 'kinds(damaged) == ["container"]'
mv w "$PLYFS_STORE"/containers/c/work

expect_ok plyfs container rm c
expect_ok plyfs gc >/dev/null
[ "$(get 'd["images"]' df)" = 0 ] || fail "the image outlives its container"
fsck_says 0 'not d["problems"]'
