#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Commits of a container that is mounted and written to: each file is as it was at one moment. A writer
# fills a file again and again, from its beginning to its end, each time with the next number: at any
# moment the numbers never ascend, and differ by one at most.
# timeout: 300
. "$TESTS/lib.sh"
need_kernel_mount

mkdir -p base rw ro
head -c 2000000 /dev/zero | tr '\0' x >base/f
expect_ok plyfs import rootfs:base base >/dev/null
cat >writer.py <<'END'
import os, sys, time
f = os.open(sys.argv[1], os.O_RDWR)
n = 1
while not os.path.exists("stop"):
    for at in range(0, 2000000 - 4096, 4096):
        os.pwrite(f, n.to_bytes(8, "big") * 512, at)
    n += 1
    if n == 2:
        open("begun", "w").close()
    time.sleep(float(sys.argv[2]))
END
cat >check.py <<'END'
import sys
d = open(sys.argv[1], "rb").read()
v = [int.from_bytes(d[at:at + 8], "big") for at in range(0, 2000000 - 4096, 4096)]
whole = all(d[at:at + 4096] == d[at:at + 8] * 512 for at in range(0, 2000000 - 4096, 4096))
print(v[0], v[-1])
sys.exit(not whole or v != sorted(v, reverse=True) or v[0] - v[-1] > 1)
END

# written DRIVER PAUSE: how many of ten commits there were
written() {
	local driver=$1 pause=$2 pid n=0
	rm -f stop begun
	expect_ok plyfs mount --rw --driver "$driver" --container "c-$driver$pause" base rw >/dev/null
	python3 writer.py rw/f "$pause" &
	pid=$!
	while [ ! -e begun ]; do sleep 0.01; done
	for _ in $(seq 10); do
		if plyfs commit "c-$driver$pause" new >out 2>err; then
			n=$((n + 1))
			plyfs cat new /f >copy
			python3 check.py copy || fail "$driver: not of one moment"
		else
			grep -q "'f': it was written to" err || fail "$driver: $(cat err)"
		fi
	done
	touch stop
	wait $pid
	expect_ok plyfs umount rw
	note "$driver, pauses of $pause s: $n of 10 commits"
	COUNT=$n
}

written overlay 0.2
[ "$COUNT" -gt 0 ] || fail "none was possible"
written overlay 0
if [ -e /dev/fuse ]; then
	written cow 0
	[ "$COUNT" = 10 ] || fail "$COUNT of 10 with a server that holds files"
fi
fsck_store
