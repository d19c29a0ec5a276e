# SPDX-License-Identifier: Apache-2.0
# Odd tars, and all the stacks of layers: every layer comes out byte for byte, every image with its
# ID.
# timeout: 600
# core
. "$TESTS/lib.sh"

config_of() { jq -r '.manifests[0].digest[7:]' "$1/index.json" | xargs -I{} jq -r .config.digest "$1/blobs/sha256/{}"; }

"$TESTS/oddtars.py" tars >count
for tar in tars/*.tar; do
	id=$(sha256sum "$tar")
	expect_ok plyfs import "tar:$tar" x >/dev/null
	expect_ok plyfs export x oci:out --compress none >/dev/null
	cmp "$tar" "out/blobs/sha256/${id%% *}" || fail "$tar comes out with other bytes"
	rm -r out
done
[ "$(ls tars | wc -l)" = "$(cat count)" ] || fail "not all of $(cat count) tars were tried"
note "$(cat count) odd tars"

count=0
for name in $("$TESTS/stacks.py" list '*'); do
	source=$("$TESTS/stacks.py" make stacks "$name")
	[[ $source == oci:* ]] || continue
	expect_ok plyfs import "$source" "$name" >/dev/null
	expect_ok plyfs export "$name" "oci:out:t" --compress none >/dev/null
	dir=${source#oci:}
	[ "$(config_of out)" = "$(config_of "${dir%%:*}")" ] || fail "$name comes out with another ID"
	for id in $(get '" ".join(d["layers"])' inspect "$name"); do
		[ "$(sha256sum <"out/blobs/sha256/${id#sha256:}")" = "${id#sha256:}  -" ] ||
			fail "$name: layer $id comes out with other bytes"
	done
	rm -r out
	count=$((count + 1))
done
[ $count -gt 50 ] || fail "only $count stacks were tried"
note "$count stacks"
expect_ok plyfs gc >/dev/null
fsck_store
