# SPDX-License-Identifier: Apache-2.0
# An image goes out in each form and each compression, and comes in again with the same config and
# the same layers; nothing is added to the store. The same export gives the same bytes.
# core
# asan
# timeout: 300
. "$TESTS/lib.sh"
need zstd
make_layers <<'PY'
first = layer(dir_("d", mode=0o750, uid=7, mtime=5), file_("d/a", "one" * 1000, xattrs={"user.x": "y"}),
              file_("d/b", os.urandom(300000)), hardlink("d/c", "d/b"), symlink("l", "d/a"),
              char("null", 1, 3), file_("gone", "gone"), file_("o/low", "low"))
second = layer(whiteout("gone"), opaque("o"), dir_("o"), file_("o/high", bytes(2500000)))
third = layer(file_("d/a", "three", mtime_ns=1234567890123456789), end=END + bytes(8192))
oci_layout("in", [first, second, third, second], how=["gzip", "zstd", "plain", "zstd"])
PY
expect_ok plyfs import oci:in:t first >/dev/null
config=$(get 'd["id"]' inspect first)
layers=$(get 'd["layers"]' inspect first)
chunks=$(get 'd["chunks"]' df)

# again SOURCE DIGEST: SOURCE is the image, and its import prints DIGEST
again() {
	local digest
	digest=$(expect_ok plyfs import "$1" again)
	[ "$digest" = "$2" ] || fail "$1: import prints $digest, export printed $2"
	[ "$(get 'd["id"]' inspect again)" = "$config" ] || fail "$1: another config"
	[ "$(get 'd["layers"]' inspect again)" = "$layers" ] || fail "$1: other layers"
	[ "$(get 'd["chunks"]' df)" = "$chunks" ] || fail "$1: chunks were added"
	digest=$(expect_ok plyfs --store fresh import "$1" fresh)
	[ "$digest" = "$2" ] || fail "$1: import into a new store prints $digest, export printed $2"
	[ "$(plyfs --store fresh cat fresh d/a)" = three ] || fail "$1: wrong content"
	rm -rf fresh
}

for codec in none gzip zstd; do
	for form in oci oci-archive docker-archive; do
		digest=$(expect_ok plyfs export --compress $codec first "$form:$form-$codec:x/y:1")
		[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || fail "export printed '$digest'"
		again "$form:$form-$codec:x/y:1" "$digest"
		expect_ok plyfs export --compress $codec first "$form:other:x/y:1" >/dev/null
		diff -r "$form-$codec" other || fail "$form $codec: not the same bytes again"
		rm -rf other
	done
	[ "$(find "oci-$codec/blobs/sha256" -type f | wc -l)" = 5 ] ||
		fail "not three layers, a config and a manifest: $(find "oci-$codec")"
	[ "$(tar -tf "docker-archive-$codec" | wc -l)" = 5 ] ||
		fail "not three layers and two documents: $(tar -tf "docker-archive-$codec")"
done

note 'the layers are what they were, by other programs'
python3 - <<'PY'
import glob, json, hashlib, subprocess
def tool(how, path):
    return subprocess.run([{"gzip": "gzip", "zstd": "zstd"}.get(how, "cat")] +
                          (["-dc"] if how != "tar" else []) + [path], stdout=-1, check=True).stdout
for codec in ("none", "gzip", "zstd"):
    blob = lambda d: "oci-%s/blobs/sha256/%s" % (codec, d["digest"][7:])
    manifest, = json.load(open("oci-%s/index.json" % codec))["manifests"]
    manifest = json.load(open(blob(manifest)))
    config = json.load(open(blob(manifest["config"])))
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"]):
        how = layer["mediaType"].rpartition("+")[2] if "+" in layer["mediaType"] else "tar"
        assert how == {"none": "tar"}.get(codec, codec), layer
        data = tool(how, blob(layer))
        assert "sha256:" + hashlib.sha256(data).hexdigest() == diff_id, (codec, diff_id)
PY
! find . -name '.plyfs-*' | grep . || fail "temporary files were left"

note 'a manifest that needs no change is kept, byte for byte'
make_layers <<'PY'
oci_layout("plain", [layer(file_("a", "x"))], how="plain", edit_manifest=lambda d: d.update(
    annotations={"k": "v"}, subject={"mediaType": "a/b", "digest": sha256(b""), "size": 0}))
PY
digest=$(expect_ok plyfs import oci:plain:t plain)
[ "$(expect_ok plyfs export --compress none plain oci:kept:t)" = "$digest" ] || fail "it changed"
diff -r plain/blobs kept/blobs

note 'annotations go along, those of the compressed form do not'
expect_ok plyfs export plain oci:packed:t >/dev/null
python3 - <<'PY'
import json
manifest, = json.load(open("packed/index.json"))["manifests"]
d = json.load(open("packed/blobs/sha256/" + manifest["digest"][7:]))
assert d["annotations"] == {"k": "v"} and d["subject"]["size"] == 0, d
PY
