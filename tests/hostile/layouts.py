#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OCI layouts and archives that must be refused: reason, what the message must say, maker.

usage: layouts.py DIR     writes DIR/bad-REASON and prints `bad-REASON<TAB>REGEX<TAB>SOURCE`

All digests are right except those that a case makes wrong, so that each input has one fault.
"""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from mktar import *

LAYER = layer(file_("a", "x" * 1000), file_("b", os.urandom(300000)))
SECOND = layer(file_("c", "second"))
ZERO = "sha256:" + "0" * 64
TABLE = []


def bad(regex):
    """Register a maker; its name, with dashes, is the reason.  It gets a path to write to and
    returns the source for `plyfs import`, or None for `oci:PATH:t`."""
    def add(make):
        TABLE.append((make.__name__.replace("_", "-"), regex, make))
        return make
    return add


def table(prefix, regex, edit_name, edits):
    """Many one-line edits of one document: {reason: function or value for the document}."""
    for reason, edit in edits.items():
        change = edit if callable(edit) else (lambda doc, e=edit: e)
        def make(path, change=change):
            oci_layout(path, [LAYER], **{edit_name: change})
        TABLE.append((prefix + "-" + reason, regex, make))


def setting(*keys_and_value):
    """A function that sets doc[k1][k2]... to the last argument."""
    *keys, last, value = keys_and_value

    def edit(doc):
        for k in keys:
            doc = doc[k]
        doc[last] = value
    return edit


def without(*keys):
    *keys, last = keys

    def edit(doc):
        for k in keys:
            doc = doc[k]
        del doc[last]
    return edit


def deep(n):
    return b"[" * n + b"]" * n


# --- index.json -------------------------------------------------------------------------------

table("index", "index|json|manifest|image", "edit_index", {
    "empty": b"", "not-json": b"{", "trailing": lambda d: dump(d) + b"}", "array": [1],
    "string": b'"x"', "null": b"null", "not-utf8": b'{"schemaVersion": 2, "x": "\xff\xfe"}',
    "deep": deep(100000), "no-manifests": without("manifests"),
    "manifests-null": setting("manifests", None), "manifests-object": setting("manifests", {}),
    "manifests-empty": setting("manifests", []), "manifest-string": setting("manifests", ["x"]),
    "manifest-null": setting("manifests", [None]),
    "schema-1": setting("schemaVersion", 1), "schema-string": setting("schemaVersion", "2"),
    "manifest-typed": setting("mediaType", MANIFEST_TYPE),
    "duplicate-key": lambda d: dump(d)[:-1] + b', "manifests": []}',
})
DIGESTS = {
    "missing": None, "number": 5, "empty": "", "no-algorithm": "0" * 64, "short": "sha256:abcd",
    "long": ZERO + "0", "not-hex": "sha256:" + "g" * 64, "upper": None, "md5": "md5:" + "0" * 32,
    "traversal": "sha256:../../../../../../../../../../etc/passwd",
    "traversal-64": "sha256:" + ("../" * 22)[:64], "slash-algorithm": "../sha256:" + "0" * 64,
    "absolute": "/etc/passwd", "nul": "sha256:" + "0" * 63 + "\0",
}
del DIGESTS["upper"]
for where, keys in (("index", ("manifests", 0)), ("config", ("config",)), ("layer", ("layers", 0))):
    document = "edit_index" if where == "index" else "edit_manifest"
    table(where + "-digest", "digest|blob", document,
          {k: setting(*keys, "digest", v) if v is not None else without(*keys, "digest")
           for k, v in DIGESTS.items()})
    table(where + "-size", "size|length|bytes", document, {
        "missing": without(*keys, "size"), "negative": setting(*keys, "size", -1),
        "string": setting(*keys, "size", "1"), "float": setting(*keys, "size", 1.5),
        "wrong": setting(*keys, "size", 12345), "2-60": setting(*keys, "size", 2**60),
        "2-64": setting(*keys, "size", 2**64),
    })
    table(where, "blob|missing|no such|not found|exist|digest", document,
          {"blob-missing": setting(*keys, "digest", ZERO)})
    table(where, "media ?type|type", document, {
        "type-unknown": setting(*keys, "mediaType", "application/x-unknown"),
        "type-number": setting(*keys, "mediaType", 7),
    })


# --- the manifest -----------------------------------------------------------------------------

table("manifest", "manifest|json|layers|config|schema|type", "edit_manifest", {
    "empty": b"", "not-json": b"]", "array": b"[]", "string": b'"m"', "deep": deep(100000),
    "trailing": lambda d: dump(d) + b" x", "schema-1": setting("schemaVersion", 1),
    "no-schema": without("schemaVersion"), "no-config": without("config"),
    "config-null": setting("config", None), "config-array": setting("config", []),
    "config-string": setting("config", ZERO), "no-layers": without("layers"),
    "layers-null": setting("layers", None), "layers-object": setting("layers", {"0": {}}),
    "layers-strings": setting("layers", [ZERO]), "layer-null": setting("layers", [None]),
    "layer-empty": setting("layers", [{}]),
    # CVE-2021-41190: one document that is a manifest to one reader and an index to another
    "and-index": setting("manifests", []),
    "and-schema-1": setting("fsLayers", [{"blobSum": ZERO}]),
    "index-typed": setting("mediaType", INDEX_TYPE),
    "duplicate-layers": lambda d: dump(d)[:-1] + b', "layers": []}',
    "huge": lambda d: dump(d) + b" " * (64 << 20),
})
table("artifact", "config|type|image", "edit_manifest",
      {"config": setting("config", "mediaType", "application/vnd.oci.empty.v1+json")})
table("layer", "encrypt|type", "edit_manifest",
      {"encrypted": setting("layers", 0, "mediaType", LAYER_TYPE["gzip"] + "+encrypted")})


def retype(media_type):
    def edit(descriptor):
        descriptor["mediaType"] = media_type
    return edit


@bad("type|manifest|index")
def manifest_declared_as_index(path):
    oci_layout(path, [LAYER], edit_descriptor=retype(INDEX_TYPE))


@bad("type|schema|version")
def manifest_declared_as_docker_schema_1(path):
    oci_layout(path, [LAYER], edit_descriptor=retype(
        "application/vnd.docker.distribution.manifest.v1+prettyjws"))


@bad("type|manifest|index")
def index_declared_as_manifest(path):
    layout = Layout(path)
    layout.index([layout.image([LAYER], None)[0]])
    layout.manifests[0]["mediaType"] = MANIFEST_TYPE
    layout.save()


@bad("platform|architecture")
def index_without_this_platform(path):
    layout = Layout(path)
    layout.index([layout.image([LAYER], None, arch="s390y")[0]])
    layout.save()


@bad("nest|deep|index")
def index_in_index_in_index(path):
    layout = Layout(path)
    layout.image([LAYER])
    for _ in range(50):
        layout.index(layout.manifests)
    layout.save()


@bad("several|more than one|which|tag|ambiguous")
def several_images_and_no_tag(path):
    layout = Layout(path)
    layout.image([LAYER], "one")
    layout.image([SECOND], "two")
    layout.save()
    return "oci:" + path


@bad("tag|no image|not found|no such|reference")
def tag_missing(path):
    oci_layout(path, [LAYER])
    return "oci:%s:other" % path


@bad("large|size|limit|index")
def index_huge(path):
    oci_layout(path, [LAYER], edit_index=lambda d: dump(d) + b" " * (64 << 20))


@bad("no such|not found|exist|index")
def layout_missing(path):
    return "oci:%s:t" % path


@bad("no such|not found|exist|index|layout")
def layout_empty(path):
    os.makedirs(path)


# --- the configuration ------------------------------------------------------------------------

table("config", "config|json|rootfs|diff_id", "edit_config", {
    "empty": b"", "not-json": b"{", "array": b"[]", "string": b'"c"', "deep": deep(100000),
    "no-rootfs": without("rootfs"), "rootfs-null": setting("rootfs", None),
    "rootfs-array": setting("rootfs", []), "no-diff-ids": without("rootfs", "diff_ids"),
    "diff-ids-object": setting("rootfs", "diff_ids", {}),
    "diff-ids-too-few": setting("rootfs", "diff_ids", []),
    "diff-ids-too-many": lambda d: d["rootfs"]["diff_ids"].append(ZERO),
    "diff-id-number": setting("rootfs", "diff_ids", [5]),
    "diff-id-short": setting("rootfs", "diff_ids", ["sha256:12"]),
    "diff-id-traversal": setting("rootfs", "diff_ids", ["sha256:../../../../x"]),
    "duplicate-rootfs": lambda d: dump(d)[:-1] + b', "rootfs": {"type": "layers"}}',
    "huge": lambda d: dump(d) + b" " * (64 << 20),
})
table("layer", "diff_?id|digest|layer", "edit_config",
      {"diff-id-wrong": setting("rootfs", "diff_ids", [ZERO]),
       "diff-id-is-compressed-digest": lambda d: d["rootfs"].update(
           diff_ids=[sha256(compress(LAYER, "gzip"))])})


@bad("diff_?id|digest|layer")
def second_diff_id_wrong(path):
    oci_layout(path, [LAYER, SECOND],
               edit_config=lambda d: d["rootfs"]["diff_ids"].__setitem__(1, ZERO))


@bad("diff_?id|digest|layer")
def layers_swapped(path):
    oci_layout(path, [LAYER, SECOND], edit_manifest=lambda d: d["layers"].reverse())


# --- blobs ------------------------------------------------------------------------------------

def blob_paths(path, manifest):
    """The files of an image's manifest, configuration and first layer."""
    layout = Layout(path)
    first = json.load(open(os.path.join(path, "index.json")))["manifests"][0]
    return {"manifest": layout.blob_path(first["digest"]),
            "config": layout.blob_path(manifest["config"]["digest"]),
            "layer": layout.blob_path(manifest["layers"][0]["digest"])}


def damage_flip(file, path):
    data = bytearray(open(file, "rb").read())
    data[len(data) // 2] ^= 1
    write(file, data)


def damage_space(file, path):
    """The same length and meaning, but other bytes."""
    data = open(file, "rb").read()
    write(file, data.replace(b", ", b" ,", 1) if b", " in data else data[:-1] + b"\1")


def damage_cut(file, path):
    os.truncate(file, os.path.getsize(file) - 1)


def damage_longer(file, path):
    with open(file, "ab") as f:
        f.write(b" ")


def damage_symlink(file, path):
    """The right bytes, but outside of the layout: a link in a layout leads where it likes."""
    outside = path + ".outside-" + os.path.basename(file)[:8]
    shutil.move(file, outside)
    os.symlink(os.path.abspath(outside), file)


def damage_directory(file, path):
    os.unlink(file)
    os.mkdir(file)


def damage_fifo(file, path):
    os.unlink(file)
    os.mkfifo(file)


def damage_gone(file, path):
    os.unlink(file)


for which in ("manifest", "config", "layer"):
    for how, want in (("flip", "digest"), ("space", "digest"), ("cut", "size|digest|short|bytes"),
                      ("longer", "size|digest|bytes|long"),
                      ("symlink", "symlink|symbolic|link|blob|regular"),
                      ("directory", "blob|file|directory|regular"),
                      ("fifo", "blob|file|regular"), ("gone", "blob|missing|no such|not found|exist")):
        def make(path, which=which, damage=globals()["damage_" + how]):
            manifest = oci_layout(path, [LAYER])
            damage(blob_paths(path, manifest)[which], path)
        # A layer's stream is read as it is digested, so its decoder may be first to complain.
        also = "|gzip" if which == "layer" else "|json"
        TABLE.append(("%s-blob-%s" % (which, how), want + also, make))


@bad("symlink|symbolic|link|blob|regular")
def blobs_is_a_symlink(path):
    oci_layout(path, [LAYER])
    shutil.move(os.path.join(path, "blobs"), path + ".blobs")
    os.symlink(os.path.abspath(path + ".blobs"), os.path.join(path, "blobs"))


@bad("layer|gzip|size|bytes|digest|limit|diff_?id")
def layer_digest_right_but_not_gzip(path):
    """Data after the gzip stream, under the right digest: other readers may see it as data."""
    layout = Layout(path)
    blob = layout.blob(compress(LAYER, "gzip") + b"not gzip" * 100, LAYER_TYPE["gzip"])
    layout.image([LAYER], edit_manifest=setting("layers", [blob]))
    layout.save()


@bad("truncated|unexpected end|ends|cut short|incomplete|tar")
def layer_is_half_a_tar(path):
    oci_layout(path, [LAYER[:5000]])


@bad("blob|missing|no such|not found|exist|foreign|url")
def layer_foreign(path):
    def edit(doc):
        doc["layers"][0].update(mediaType=OCI + "layer.nondistributable.v1.tar+gzip",
                                digest=ZERO, urls=["http://127.0.0.1:9/layer"])
    oci_layout(path, [LAYER], edit_manifest=edit)


# --- archives ---------------------------------------------------------------------------------

def docker(reason, regex, **how):
    def make(path):
        docker_archive(path + ".tar", [LAYER, SECOND], **how)
        return "docker-archive:%s.tar" % path
    TABLE.append(("docker-" + reason, regex, make))


MANIFEST = "manifest|json|config|layer"
docker("manifest-empty", MANIFEST, edit_manifest=lambda d: b"")
docker("manifest-not-json", MANIFEST, edit_manifest=lambda d: b"[{")
docker("manifest-object", MANIFEST, edit_manifest=lambda d: {})
docker("manifest-no-images", MANIFEST + "|image", edit_manifest=lambda d: [])
docker("manifest-null", MANIFEST, edit_manifest=lambda d: [None])
docker("manifest-deep", MANIFEST, edit_manifest=lambda d: deep(100000))
docker("manifest-huge", MANIFEST + "|large|limit", edit_manifest=lambda d: dump(d) + b" " * (64 << 20))
docker("no-config", MANIFEST, edit_manifest=lambda d: d[0].pop("Config") and None)
docker("config-number", MANIFEST, edit_manifest=setting(0, "Config", 3))
docker("config-missing", MANIFEST, edit_manifest=setting(0, "Config", "none.json"))
docker("config-traversal", MANIFEST, edit_manifest=setting(0, "Config", "../../../../etc/passwd"))
docker("config-not-json", MANIFEST, edit_config=lambda d: b"{")
docker("no-layers", MANIFEST, edit_manifest=lambda d: d[0].pop("Layers") and None)
docker("layers-object", MANIFEST, edit_manifest=setting(0, "Layers", {}))
docker("layers-too-few", MANIFEST + "|diff_?id", edit_manifest=lambda d: d[0]["Layers"].pop() and None)
docker("layer-number", MANIFEST, edit_manifest=setting(0, "Layers", 1, 5))
docker("layer-missing", MANIFEST, edit_manifest=setting(0, "Layers", 1, "none/layer.tar"))
docker("layer-absolute", MANIFEST, edit_manifest=setting(0, "Layers", 1, "/etc/passwd"))
docker("layer-traversal", MANIFEST, edit_manifest=setting(0, "Layers", 1, "../../etc/passwd"))
docker("diff-id-wrong", "diff_?id|digest|layer",
       edit_config=setting("rootfs", "diff_ids", [ZERO, ZERO]))
docker("layers-swapped", "diff_?id|digest|layer", edit_manifest=lambda d: d[0]["Layers"].reverse())
docker("two-images-no-tag", "several|more than one|which|tag|ambiguous",
       edit_manifest=lambda d: d + [dict(d[0], RepoTags=["other:latest"])])


@bad("manifest")
def docker_without_manifest(path):
    write(path + ".tar", layer(file_("x/layer.tar", LAYER)))
    return "docker-archive:%s.tar" % path


@bad("tag|no image|not found|no such|reference")
def docker_tag_missing(path):
    docker_archive(path + ".tar", [LAYER])
    return "docker-archive:%s.tar:other:latest" % path


def layer_member_is_link(path, make_link):
    out = path + ".tar"
    manifest = dump([{"Config": "c.json", "RepoTags": ["t:1"], "Layers": ["1/layer.tar"]}])
    config = dump({"architecture": ARCH, "os": "linux",
                   "rootfs": {"type": "layers", "diff_ids": [sha256(LAYER)]}})
    outside = os.path.abspath(path + ".layer")
    write(outside, LAYER)
    write(out, layer(make_link("1/layer.tar", outside), file_("c.json", config),
                     file_("manifest.json", manifest)))
    return "docker-archive:" + out


@bad("link|layer|missing|archive")
def docker_layer_symlink_out(path):
    return layer_member_is_link(path, symlink)


@bad("link|layer|missing|archive")
def docker_layer_hard_link_out(path):
    return layer_member_is_link(path, hardlink)


@bad("truncated|unexpected end|ends|cut short|incomplete")
def docker_truncated(path):
    docker_archive(path + ".tar", [LAYER])
    os.truncate(path + ".tar", 100000)
    return "docker-archive:%s.tar" % path


@bad("truncated|unexpected end|ends|cut short|incomplete")
def oci_archive_truncated(path):
    oci_layout(path, [LAYER])
    tar_of_dir(path, path + ".tar")
    os.truncate(path + ".tar", 100000)
    return "oci-archive:%s.tar:t" % path


@bad("index")
def oci_archive_without_index(path):
    oci_layout(path, [LAYER])
    os.unlink(os.path.join(path, "index.json"))
    tar_of_dir(path, path + ".tar")
    return "oci-archive:%s.tar:t" % path


@bad("blob|link|missing|not found|no such|exist|regular")
def oci_archive_blob_symlink_out(path):
    manifest = oci_layout(path, [LAYER])
    damage_symlink(blob_paths(path, manifest)["layer"], path)
    tar_of_dir(path, path + ".tar")
    return "oci-archive:%s.tar:t" % path


@bad("digest|gzip")
def oci_archive_blob_flipped(path):
    manifest = oci_layout(path, [LAYER])
    damage_flip(blob_paths(path, manifest)["layer"], path)
    tar_of_dir(path, path + ".tar")
    return "oci-archive:%s.tar:t" % path


@bad("transport|source|docker|unknown")
def transport_unknown(path):
    return "zip:" + path


@bad("no such|not found|exist")
def archive_missing(path):
    return "oci-archive:%s.tar" % path


@bad("no such|not found|exist")
def tar_missing(path):
    return "tar:%s.tar" % path


@bad("director|regular|tar")
def tar_is_a_directory(path):
    os.makedirs(path)
    return "tar:" + path


@bad("director")
def rootfs_is_a_file(path):
    write(path, b"x")
    return "rootfs:" + path


@bad("no such|not found|exist")
def rootfs_missing(path):
    return "rootfs:" + path


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    assert len({name for name, _, _ in TABLE}) == len(TABLE)
    for name, regex, make in TABLE:
        path = os.path.join(directory, "bad-" + name)
        source = make(path) or "oci:%s:t" % path
        print("bad-%s\t%s\t%s" % (name, regex, source), flush=True)


if __name__ == "__main__":
    main()
