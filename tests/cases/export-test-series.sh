# SPDX-License-Identifier: Apache-2.0
# Every real image that is at hand: exported and read by others, it has the ID that it came with.
# timeout: 1800
# core
. "$TESTS/lib.sh"
need skopeo
need_demo

for tag in $(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' "$DEMO/index.json"); do
	want=$(skopeo inspect --raw "oci:$DEMO:$tag" | jq -r .config.digest)
	expect_ok plyfs import "oci:$DEMO:$tag" "$tag" >/dev/null
	for form in oci oci-archive docker-archive; do
		expect_ok plyfs export "$tag" "$form:out:x:$tag" --compress none >/dev/null
		got=$(skopeo inspect --raw "$form:out:x:$tag" | jq -r .config.digest)
		[ "$got" = "$want" ] || fail "$tag in $form: is $got, not $want"
		rm -r out
	done
	note "$tag $want"
done
