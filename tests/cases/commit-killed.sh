#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A commit that is killed at any instant, or meets a full disk, leaves the store as it was: no image,
# or the whole one; gc cleans up, and the next commit gives what an undisturbed one gives.
# timeout: 300
. "$TESTS/lib.sh"
need_kernel_mount

export SOURCE_DATE_EPOCH=1700000000
mkdir -p base rw ro small
for i in $(seq 200); do head -c 20000 /dev/urandom >"base/$i"; done
expect_ok plyfs import rootfs:base base >/dev/null
expect_ok plyfs mount --rw --driver overlay --container c base rw >/dev/null
for i in $(seq 100); do head -c 100000 /dev/urandom >"rw/$i"; done
rm rw/15*

# What a commit takes here, in ms: kills come within that.
begun=$(date +%s%N)
expect_ok plyfs commit c whole >/dev/null
took=$((($(date +%s%N) - begun) / 1000000 + 1))
expect_ok plyfs rmi whole >/dev/null
expect_ok plyfs gc >/dev/null

killed=0 done=0
for i in $(seq 40); do
	"$PLYFS" commit c "new:$i" >out 2>&1 & pid=$!
	sleep "$(awk "BEGIN { print $RANDOM % $took / 1000 }")"
	kill -9 $pid 2>/dev/null || :
	wait $pid 2>/dev/null && done=$((done + 1)) || killed=$((killed + 1))
	if plyfs inspect "new:$i" >/dev/null 2>&1; then
		expect_ok plyfs mount "new:$i" ro
		same_tree rw ro
		expect_ok plyfs umount ro
		expect_ok plyfs rmi "new:$i" >/dev/null
	fi
	[ $((i % 8)) != 0 ] || expect_ok plyfs gc >/dev/null
	fsck_says 0 'not damaged'
done
note "$killed killed, $done done"
[ $killed -gt 3 ] || fail "too few were killed"
expect_ok plyfs gc >/dev/null
fsck_says 0 'not d["problems"]' --data
expect_ok plyfs commit c new >digest1

# on a disk that is full at some point
truncate -s 64M disk
mkfs.ext4 -q -m 0 disk
mount -o loop disk small
cp -a --sparse=always "$PLYFS_STORE" small/store 2>/dev/null || fail "cannot copy the store"
PLYFS_STORE=$T/small/store plyfs rmi new >/dev/null
expect_ok env PLYFS_STORE="$T/small/store" "$PLYFS" gc >/dev/null
refused=0
for left in 200 1000 2000 4000 8000 11000; do
	rm -f small/fill
	sync -f small
	free=$(df --output=avail -k small | tail -1)
	fallocate -l $(((free - left) * 1024)) small/fill || fail "cannot fill the disk: $free"
	if ! PLYFS_STORE=$T/small/store "$PLYFS" commit c full >out 2>err; then
		grep -q 'No space' err || fail "$(cat err)"
		refused=$((refused + 1))
		! PLYFS_STORE=$T/small/store "$PLYFS" inspect full >/dev/null 2>&1 || fail "half an image"
	fi
	PLYFS_STORE=$T/small/store "$PLYFS" rmi full >/dev/null 2>&1 || :
	PLYFS_STORE=$T/small/store fsck_says 0 'not damaged'
	PLYFS_STORE=$T/small/store expect_ok "$PLYFS" gc >/dev/null
done
[ $refused -gt 1 ] || fail "the disk was never full"
rm -f small/fill
PLYFS_STORE=$T/small/store expect_ok "$PLYFS" commit c new >digest2
cmp digest1 digest2 || fail "another digest after full disks"
umount small
