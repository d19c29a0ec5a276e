#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A committed image is exported as any other: twice the same digest, in an archive too; umoci unpacks
# the tree that the mount showed, and so does an import of the export; the container's diff as a tar
# is the layer of that export, byte for byte.
# timeout: 400
. "$TESTS/lib.sh"
need_kernel_mount
need umoci

one() {
	local seed=$1 manifest layer
	rm -rf base out out2 bundle
	"$TESTS/change.py" make base "$seed"
	expect_ok plyfs import rootfs:base base >/dev/null
	mkdir -p rw ro
	expect_ok plyfs mount --rw --driver overlay --container "c$seed" base rw >/dev/null
	"$TESTS/change.py" change rw "$((seed + 1000))" 30
	expect_ok plyfs commit "c$seed" "new:$seed" >/dev/null
	expect_ok plyfs diff --tar diff.tar "c$seed"
	expect_ok plyfs export "new:$seed" oci:out:t --compress none >digest1
	expect_ok plyfs export "new:$seed" oci-archive:out.tar:t --compress none >digest2
	cmp digest1 digest2 || fail "seed $seed: two exports have two digests"
	layer=$(python3 - <<'END'
import json
def blob(d): return "out/blobs/" + d.replace(":", "/")
m = json.load(open(blob(json.load(open("out/index.json"))["manifests"][0]["digest"])))
print(blob(m["layers"][-1]["digest"]))
c = json.load(open(blob(m["config"]["digest"])))
assert [l["digest"] for l in m["layers"]] == c["rootfs"]["diff_ids"], c["rootfs"]
END
	)
	cmp diff.tar "$layer" || fail "seed $seed: the diff's tar is not the exported layer"
	expect_ok plyfs import oci:out:t "again:$seed" >/dev/null
	expect_ok plyfs mount "again:$seed" ro
	same_tree rw ro
	expect_ok plyfs umount ro
	umoci unpack --image out:t bundle >umoci.log 2>&1 || fail "umoci: $(cat umoci.log)"
	same_as_unpacked bundle/rootfs rw
	expect_ok plyfs umount rw
}

for ((seed = 100; seed < 100 + ${COMMIT_SEEDS:-8}; seed++)); do
	one $seed || fail "seed $seed"
done
fsck_store
