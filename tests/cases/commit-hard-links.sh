#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Files with several names stay one file in a committed image: also names that were never touched,
# when another one was written through or renamed with its directory, and even if that one is gone.
. "$TESTS/lib.sh"
need_kernel_mount

mkdir -p base/d base/e/sub rw ro
for n in 1 2 3 4; do
	head -c 200000 /dev/urandom >base/d/f$n
	ln base/d/f$n base/e/sub/g$n
	ln base/d/f$n base/h$n
done
touch -d @1600000000 base/e base/e/sub
expect_ok plyfs import rootfs:base base >/dev/null
expect_ok plyfs mount --rw --driver overlay --container c base rw >/dev/null

printf changed | dd of=rw/d/f1 bs=1 seek=1000 conv=notrunc status=none # written through one name
printf changed >>rw/h2                                              # ... which goes afterwards
rm rw/h2
mv rw/e rw/moved        # names below a directory that moves
rm rw/d/f4              # one name less, content untouched
cmp rw/d/f1 rw/h1 || fail "the mount itself breaks hard links"

expect_ok plyfs commit c new >/dev/null
expect_ok plyfs mount new ro
same_tree rw ro
[ "$(stat -c %h ro/d/f1)" = 3 ] && [ "$(stat -c %h ro/d/f2)" = 2 ] && [ "$(stat -c %h ro/h4)" = 2 ] ||
	fail "link counts: $(stat -c '%n %h' ro/d/f1 ro/d/f2 ro/h4)"
[ ro/moved/sub/g1 -ef ro/h1 ] && [ ro/moved/sub/g3 -ef ro/d/f3 ] || fail "they are two files now"
tail -c 7 ro/moved/sub/g2 | grep -q changed || fail "the change of a removed name is lost"

# each layer unpacked by itself, as engines with overlayfs do: no link leads out of it
expect_ok plyfs export new oci:out:t --compress none >/dev/null
python3 - <<'END'
import json, tarfile
def blob(d): return "out/blobs/" + d.replace(":", "/")
m = json.load(open(blob(json.load(open("out/index.json"))["manifests"][0]["digest"])))
names = set()
for x in tarfile.open(blob(m["layers"][-1]["digest"])):
    assert not x.islnk() or x.linkname in names, (x.name, x.linkname)
    names.add(x.name)
assert "h1" in names and "d/f3" in names and ".wh.h2" in names and ".wh.e" in names, names
END
fsck_store
