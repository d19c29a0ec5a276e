# SPDX-License-Identifier: Apache-2.0
# df says of each image what only it needs, and rmi and gc free just that.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
base = layer(file_("base", os.urandom(1 << 20)), file_("gone", os.urandom(300000)))
top = os.urandom(200000)
oci_layout("a", [base, layer(file_(".wh.gone", b""), file_("a", os.urandom(500000)), file_("both", top))])
oci_layout("b", [base, layer(file_("b", os.urandom(100000)), file_("copy", top))])
hidden = layer(file_("x", os.urandom(400000)))
oci_layout("c", [hidden, layer(file_(".wh.x", b""), file_("c", os.urandom(5000)))])
PY
for i in a b c; do expect_ok plyfs import oci:$i:t $i >/dev/null; done
expect_ok plyfs tag a a2
blocks() { # of files of these sizes, in chunks of 128 KiB, in bytes
	local n sum=0
	for n; do sum=$((sum + (n + 4095) / 4096 * 4096)); done
	echo $sum
}
row() { get "[[i['names'], i['own_bytes'], i['shared_bytes'], i['layers']] for i in d['image_list'] if '$1:latest' in i['names']][0]" df; }
[ "$(row a)" = "[['a2:latest', 'a:latest'], $(blocks 500000), $(blocks 1048576 200000), 2]" ] || fail "a: $(row a)"
[ "$(row b)" = "[['b:latest'], $(blocks 100000), $(blocks 1048576 300000 200000), 2]" ] || fail "b: $(row b)"
# what a lower layer has and the image does not show is its own all the same
[ "$(row c)" = "[['c:latest'], $(blocks 400000 5000), 0, 2]" ] || fail "c: $(row c)"
layers=$(get 'sorted([l["images"], l["own_bytes"], l["shared_bytes"]] for l in d["layer_list"])' df --layers)
[ "$layers" = "[[1, $(blocks 5000), 0], [1, $(blocks 100000), $(blocks 200000)], [1, $(blocks 400000), 0], [1, $(blocks 500000), $(blocks 200000)], [2, $(blocks 1048576 300000), 0]]" ] ||
	fail "layers: $layers"
expect_ok plyfs df --layers >text
grep -q ' a2:latest a:latest$' text && [ "$(grep -c '^[0-9a-f]\{12\} ' text)" = 8 ] || fail "$(cat text)"
for i in a b c; do
	own=$(get "[i['own_bytes'] for i in d['image_list'] if '$i:latest' in i['names']][0]" df)
	expect_ok plyfs rmi $i
	[ $i != a ] || expect_ok plyfs rmi a2
	[ "$(get 'd["unused_bytes"]' df)" = "$own" ] || fail "unused after rmi $i: $(plyfs df)"
	freed=$(get 'd["pack_bytes"]' gc)
	[ "$freed" = "$own" ] || fail "df said that $own bytes are $i's own, gc freed $freed"
done
[ "$(get '[d["unused_bytes"], d["image_list"], d["held_bytes"]]' df)" = '[0, [], 0]' ] || fail "$(plyfs df)"
