# SPDX-License-Identifier: Apache-2.0
# What the kernel has in its writeback cache gets to the upper directory with the time at which it was
# written, and not with that of its getting there.
. "$TESTS/lib.sh"
need_fuse
mkdir l u w m
echo old >l/old
expect_ok plyfs overlay -o "lowerdir=$T/l,upperdir=$T/u,workdir=$T/w" m
for i in $(seq 600); do echo "$i" >"m/f$i"; done
echo more >>m/old
touch -d '2001-02-03 04:05:06.789' m/f7
sleep 0.3
(cd m && stat -c '%n %.Y' ./*) >want
umount m
while pgrep -f '^plyfs fuse-s' >/dev/null; do sleep 0.05; done
(cd u && stat -c '%n %.Y' ./*) >got
cmp want got || fail "$(diff want got | grep -c '^<') times differ: $(diff want got | head -3)"
