# SPDX-License-Identifier: Apache-2.0
# The demo image, exported: umoci unpacks the same tree, skopeo's archive of it imports as ours.
# core
# timeout: 600
. "$TESTS/lib.sh"
need_demo
need umoci skopeo
need_kernel_mount
expect_ok plyfs import "oci:$DEMO:demo" demo >/dev/null
chunks=$(get 'd["chunks"]' df)
mounted demo m

expect_ok plyfs export demo oci:out:demo >/dev/null
umoci unpack --image out:demo bundle >/dev/null
same_as_unpacked bundle/rootfs m
rm -rf bundle
expect_ok plyfs export --compress zstd demo oci:out:z >/dev/null
expect_ok plyfs import oci:out:z z >/dev/null
[ "$(get 'd["id"]' inspect z)" = "$(get 'd["id"]' inspect demo)" ] || fail 'another config'
[ "$(get 'd["index_digest"]' inspect z)" = "$(get 'd["index_digest"]' inspect demo)" ] ||
	fail 'another tree'
[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail 'chunks were added'

note "the layers in a docker-archive are those in skopeo's"
expect_ok plyfs export demo docker-archive:ours.tar:x/demo:1 >/dev/null
skopeo copy -q "oci:$DEMO:demo" docker-archive:theirs.tar:x/demo:1
mkdir ours theirs
tar -xf ours.tar -C ours
tar -xf theirs.tar -C theirs
for f in $(tar -tf ours.tar | grep -v '^manifest.json$'); do cmp "ours/$f" "theirs/$f"; done
python3 - <<'PY'
import json
a, b = (json.load(open(d + "/manifest.json")) for d in ("ours", "theirs"))
assert a == b, (a, b)
PY
