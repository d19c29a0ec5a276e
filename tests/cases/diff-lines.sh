#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What diff prints, for each kind of change, of a container and of two images.
. "$TESTS/lib.sh"
need_kernel_mount

mkdir -p base/{a,b,c/sub,d,e} rw
for f in a/1 a/2 a/3 a/4 b/x c/sub/f d/old e/same e/type; do echo "$f" >base/$f; done
head -c 400000 /dev/zero | tr '\0' x >base/b/big
expect_ok plyfs import rootfs:base base >/dev/null
expect_ok plyfs mount --rw --driver overlay --container c base rw >/dev/null
[ -z "$(plyfs diff c)" ] || fail "an unchanged container: $(plyfs diff c)"

echo more >>rw/a/1
chmod 600 rw/a/2
rm rw/a/3
setfattr -n user.x -v y rw/a/4
touch -r base/b rw/b.time
printf y | dd of=rw/b/big bs=1 seek=300000 conv=notrunc status=none # changed, with its old time
touch -r base/b/big rw/b/big
touch -r base/b rw/b
rm rw/b.time
mv rw/c rw/moved
rm -r rw/d && mkdir rw/d && echo new >rw/d/new
chmod 600 rw/e/same && chmod 644 rw/e/same # copied up, and as it was
rm rw/e/type && mkdir rw/e/type && echo in >rw/e/type/in
mkdir rw/n && echo 1 >rw/n/1 && ln -s x rw/n/link

cat >want <<'END'
C /a
C /a/1
C /a/2
D /a/3
C /a/4
C /b
C /b/big
D /c
C /d
A /d/new
D /d/old
C /e
C /e/type
A /e/type/in
A /moved
A /moved/sub
A /moved/sub/f
A /n
A /n/1
A /n/link
END
plyfs diff c | diff want - || fail "diff of the container"
expect_ok plyfs commit c new >/dev/null
plyfs diff base new | diff want - || fail "diff of the images"
[ -z "$(plyfs diff new new)" ] || fail "an image differs from itself"
plyfs diff new base | grep -qx 'D /n' || fail "the other way round"
expect_fail 'no (image|container)' plyfs diff nowhere
