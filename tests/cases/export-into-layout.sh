# SPDX-License-Identifier: Apache-2.0
# A layout that is there keeps its other images; blobs that are there are not written again; several
# exports at once do not lose each other's tags.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
base = layer(file_("base", os.urandom(400000)))
layout = Layout("in")
for n in range(6):
    layout.image([base, layer(file_("n", "%d" % n))], tag="t%d" % n)
layout.save(edit_index=lambda d: d.update(annotations={"mine": "stays"}))
PY
for n in 0 1 2 3 4 5; do expect_ok plyfs import oci:in:t$n i$n >/dev/null; done

# tags DIR: "TAG=CONTENT" of each image, as an import of it finds it
tags() {
	local tag
	for tag in $(python3 -c '
import json, sys
for d in json.load(open(sys.argv[1]))["manifests"]:
    print(d.get("annotations", {}).get("org.opencontainers.image.ref.name", "@" + d["digest"]))
' "$1/index.json"); do
		expect_ok plyfs import "oci:$1:$tag" tmp >/dev/null
		printf '%s=%s ' "${tag/@*/-}" "$(plyfs cat tmp n)"
	done
}

note 'into a layout that others made'
cp -r in out
expect_ok plyfs export i5 oci:out:t1 >/dev/null
expect_ok plyfs export i2 oci:out:new >/dev/null
[ "$(tags out)" = 't0=0 t1=5 t2=2 t3=3 t4=4 t5=5 new=2 ' ] || fail "$(tags out)"
grep -q '"mine":"stays"' out/index.json || fail 'the index lost its annotations'
cmp in/oci-layout out/oci-layout

note 'without a tag'
rm -rf out
for n in 0 0 1 0; do expect_ok plyfs export i$n oci:out >/dev/null; done
[ "$(tags out)" = '-=0 -=1 ' ] || fail "$(tags out)"
mkdir empty
expect_ok plyfs export i0 oci:empty >/dev/null

note 'blobs that are there stay'
for codec in none gzip; do
	rm -rf out
	expect_ok plyfs export --compress $codec i0 oci:out:a >/dev/null
	find out/blobs -type f -printf '%p %i %T@\n' | sort >before
	expect_ok plyfs export --compress $codec i0 oci:out:b >/dev/null
	find out/blobs -type f -printf '%p %i %T@\n' | sort | diff before -
	# one that is cut off is written again
	big=$(find out/blobs -type f -size +300k)
	truncate -s 1000 "$big"
	expect_ok plyfs export --compress $codec i0 oci:out:c >/dev/null
	[ "$(tags out)" = 'a=0 b=0 c=0 ' ] || fail "$(tags out)"
	expect_ok plyfs --store fresh import oci:out:a a >/dev/null
	rm -rf fresh
done

note 'six at once'
for round in 1 2 3; do
	rm -rf out
	pids=
	for n in 0 1 2 3 4 5; do
		plyfs export i$n oci:out:t$n >/dev/null 2>err$n &
		pids="$pids $!"
	done
	for p in $pids; do wait $p || fail "an export failed: $(cat err?)"; done
	[ "$(tags out | tr ' ' '\n' | sort | tr -d '\n')" = t0=0t1=1t2=2t3=3t4=4t5=5 ] ||
		fail "$(tags out)"
done
! find . -name '.plyfs-*' | grep . || fail 'temporary files were left'
