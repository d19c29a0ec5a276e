# SPDX-License-Identifier: Apache-2.0
# Layers may be plain, gzip or zstd, also mixed in one image; other spellings of their types too.
# asan
. "$TESTS/lib.sh"
need zstd
make_layers <<'PY'
layers = [layer(file_("f%d" % n, os.urandom(300000))) for n in range(3)]
oci_layout("plain", layers, how="plain")
oci_layout("mixed", layers, how=["zstd", "gzip", "plain"])
def docker(d):
    d["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    d["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    for l in d["layers"]:
        l["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
oci_layout("docker", layers, how="gzip", edit_manifest=docker, edit_descriptor=lambda d: d.update(
    mediaType="application/vnd.docker.distribution.manifest.v2+json"))
oci_layout("untyped", layers, edit_manifest=lambda d: d.pop("mediaType") and None)
PY
want=
for n in plain mixed docker untyped; do
	export PLYFS_STORE=$T/store-$n
	expect_ok plyfs import oci:$n:t i >/dev/null
	got=$(get 'd["index_digest"]' inspect i)
	[ "${want:=$got}" = "$got" ] || fail "$n gives $got, not $want"
done
