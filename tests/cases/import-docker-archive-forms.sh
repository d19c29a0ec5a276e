# SPDX-License-Identifier: Apache-2.0
# docker-archives of many shapes: manifest first or last, shared layers as symlinks, two images.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
one, two = layer(file_("a", "1")), layer(file_("b", "2"))
docker_archive("last.tar", [one, two])
docker_archive("first.tar", [one, two], order="manifest-first")
docker_archive("pair.tar", [one, two], tags=["x:1", "y:2"],
               edit_manifest=lambda d: d + [dict(d[0], RepoTags=["z:3"])])
config = dump({"architecture": ARCH, "os": "linux",
               "rootfs": {"type": "layers", "diff_ids": [sha256(one), sha256(one)]}})
write("links.tar", layer(
    file_("1/layer.tar", one), symlink("2/layer.tar", "../1/layer.tar"), file_("c.json", config),
    file_("manifest.json", dump([{"Config": "c.json", "RepoTags": ["t:1"],
                                 "Layers": ["1/layer.tar", "2/layer.tar"]}]))))
PY
for n in last first; do
	expect_ok plyfs import docker-archive:$n.tar $n
	[ "$(plyfs cat $n /a)$(plyfs cat $n /b)" = 12 ] || fail "$n: wrong content"
done
expect_ok plyfs import docker-archive:pair.tar:y:2 y
expect_ok plyfs import docker-archive:pair.tar:z:3 z
expect_ok plyfs import docker-archive:links.tar links
[ "$(plyfs cat links a)" = 1 ] || fail "links: wrong content"
