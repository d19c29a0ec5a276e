# SPDX-License-Identifier: Apache-2.0
# skopeo, umoci and podman take what is exported: the tree is the same, and the image's ID.
# timeout: 300
. "$TESTS/lib.sh"
need skopeo umoci podman
need_kernel_mount
make_layers <<'PY'
first = layer(dir_("d", mode=0o750, uid=7, mtime=5), file_("d/a", "one" * 1000, xattrs={"user.x": "y"}),
              file_("d/b", os.urandom(300000)), hardlink("d/c", "d/b"), symlink("l", "d/a"),
              char("null", 1, 3), file_("gone", "gone"), dir_("o"), file_("o/low", "low"))
second = layer(whiteout("gone"), opaque("o"), dir_("o"), file_("o/high", bytes(2500000)))
third = layer(dir_("d", mode=0o750, uid=7, mtime=5), file_("d/a", "three", mtime=77))
oci_layout("in", [first, second, third])
PY
expect_ok plyfs import oci:in:t first >/dev/null
id=$(get 'd["id"]' inspect first)
mounted first m
podman() {
	command podman --root "$T/pod/root" --runroot "$T/pod/run" --tmpdir "$T/pod/tmp" \
		--storage-driver vfs --cgroup-manager cgroupfs --events-backend none "$@"
}

for codec in none gzip zstd; do
	for form in oci oci-archive docker-archive; do
		note $form $codec
		expect_ok plyfs export --compress $codec first "$form:$form-$codec:x/y:1" >/dev/null
		expect_ok skopeo inspect --config --raw "$form:$form-$codec:x/y:1" >config
		[ "sha256:$(sha256sum <config | cut -d' ' -f1)" = "$id" ] || fail "another config"
		expect_ok skopeo copy -q "$form:$form-$codec:x/y:1" dir:copy
		rm -rf copy
		expect_ok podman pull -q "$form:$form-$codec:x/y:1" >pulled
		[ "sha256:$(cat pulled)" = "$id" ] || fail "podman pull: $(cat pulled) instead of $id"
		expect_ok podman rmi -f "$(cat pulled)" >/dev/null
		[ $form = oci ] || {
			expect_ok podman load -q -i "$form-$codec" >/dev/null
			[ "$(podman images --no-trunc -q)" = "$id" ] || fail 'podman load: another ID'
			expect_ok podman rmi -f "$id" >/dev/null
		}
	done
	[ $codec = zstd ] || { # which umoci 0.4 does not know
		expect_ok umoci unpack --image "oci-$codec:x/y:1" "bundle-$codec" >/dev/null
		same_as_unpacked "bundle-$codec/rootfs" m
	}
done

note 'the name of the image goes along'
expect_ok plyfs tag first quay.io/some/thing:v1
expect_ok plyfs export quay.io/some/thing:v1 docker-archive:named >/dev/null
expect_ok podman load -q -i named >/dev/null
[ "$(podman images --format '{{.Repository}}:{{.Tag}}')" = quay.io/some/thing:v1 ] ||
	fail "$(podman images)"
expect_ok plyfs export first docker-archive:short >/dev/null
[ "$(skopeo inspect --raw docker-archive:short:docker.io/library/first:latest | wc -c)" -gt 100 ] ||
	fail 'not docker.io/library/first:latest'
expect_ok plyfs export "$(get 'd["digest"]' inspect first)" docker-archive:nameless >/dev/null
tar -xOf nameless manifest.json | grep -qF '"RepoTags":[]' || fail 'a name out of nowhere'
