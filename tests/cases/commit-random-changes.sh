#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random trees, changed at random through a writable mount (files, attributes, hard links, renamed
# directories, whiteouts): the committed image is the tree that the mount shows, all names of files
# with several included; diff of the container and of the two images say the same; the store is whole.
# By the kernel's overlayfs and by our own server, which is asked for what it has not written yet.
# timeout: 400
. "$TESTS/lib.sh"
need_kernel_mount

one() {
	local seed=$1 driver=$2
	"$TESTS/change.py" make base "$seed"
	expect_ok plyfs import rootfs:base base >/dev/null
	mkdir -p rw ro
	expect_ok plyfs mount --rw --driver "$driver" --container "c$seed" base rw >/dev/null
	"$TESTS/change.py" change rw "$((seed + 1000))" 25
	expect_ok plyfs commit "c$seed" "new:$seed" >/dev/null
	expect_ok plyfs mount "new:$seed" ro
	same_tree rw ro
	expect_ok plyfs diff "c$seed" >changes1
	expect_ok plyfs diff base "new:$seed" >changes2
	cmp changes1 changes2 || fail "seed $seed: diff of the container and of the images differ"
	# once more on top, after it was used on
	"$TESTS/change.py" change rw "$((seed + 2000))" 15
	expect_ok plyfs umount ro
	expect_ok plyfs commit "c$seed" "new:$seed" >/dev/null
	expect_ok plyfs mount "new:$seed" ro
	same_tree rw ro
	expect_ok plyfs umount ro
	expect_ok plyfs umount rw
	rm -rf base
}

for ((seed = 0; seed < ${COMMIT_SEEDS:-40}; seed++)); do
	driver=overlay
	[ $((seed % 2)) = 0 ] || [ ! -e /dev/fuse ] || driver=cow
	one $seed $driver || fail "seed $seed, $driver"
done
fsck_says 0 'not d["problems"]' --data
