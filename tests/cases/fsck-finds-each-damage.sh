# SPDX-License-Identifier: Apache-2.0
# Each kind of damage is found and named, with the images and paths that it touches, and nothing
# else is; and fsck without --repair changes nothing.
# asan
# timeout: 900
. "$TESTS/lib.sh"
make_layers <<'PY'
big, both, top, hidden = (os.urandom(n) for n in (300000, 9000, 7000, 6000))
for name in ("big", "both", "top", "hidden"):
    write(name, globals()[name])
lower = layer(dir_("d"), file_("d/big", big), file_("both", both), file_("gone", hidden))
oci_layout("one", [lower, layer(file_("top", top), hardlink("link", "top"), whiteout("gone"))])
oci_layout("two", [layer(dir_("e"), file_("e/both", both))])
PY
expect_ok plyfs import oci:one:t one >/dev/null
expect_ok plyfs import oci:two:t two >/dev/null
expect_ok plyfs tag two zwei
fsck_store
cp -a store good
pack=store/packs/0.pack
where() { # FILE: the offset in the pack of the chunk that begins with the file's content
	python3 -c 'import sys; print(open(sys.argv[2], "rb").read().index(open(sys.argv[1], "rb").read(4096)))' "$1" $pack
}
one=$(basename "$(index_file index_path one)" .index)
two=$(basename "$(index_file index_path two)" .index)
lower=$(get 'd["layers"][0][7:]' inspect one)
upper=$(get 'd["layers"][1][7:]' inspect one)
sums() { find store -type f ! -name '*-lock' -exec sha256sum {} + | sort; }

# damage EXPRESSION ARGS COMMAND...: in a sound store
damage() {
	local expression=$1 args=$2
	shift 2
	rm -rf store
	cp -a good store
	note "$*"
	"$@"
	sums >before
	fsck_says 1 "not left and not healed and ($expression)" $args
	sums | cmp - before || fail "fsck has changed the store"
}
whole='["one:latest"]'

# chunks
damage 'kinds(damaged) == ["chunk"] and touches(damaged) == ["one:latest /d/big"]' --data flip $pack $(($(where big) + 100))
damage 'touches(damaged) == ["one:latest /d/big"] and damaged[0]["pack"] == "packs/0.pack" and damaged[0]["offset"] == '"$(($(where big) + 131072))" \
	--data flip $pack $(($(where big) + 131072))
damage 'touches(damaged) == ["one:latest /both", "two:latest /e/both", "zwei:latest /e/both"] and len(damaged) == 1' \
	--data flip $pack $(($(where both) + 8999))
damage 'touches(damaged) == ["one:latest /link", "one:latest /top"]' --data flip $pack "$(where top)"
damage 'touches(damaged) == ["one:latest"] and kinds(damaged) == ["chunk"]' --data flip $pack "$(where hidden)"
damage 'touches(damaged) == ["one:latest /link", "one:latest /top"] and "last block" in damaged[0]["text"]' \
	--data flip $pack $(($(where top) + 7500))
plyfs fsck --data | grep -q '^damaged: chunk sha256:.*; in one:latest$' || fail "$(plyfs fsck --data)"
plyfs fsck --data | grep -qx '  one:latest /top' || fail "$(plyfs fsck --data)"
fsck_says 0 'not damaged' # that is what --data is for

# packs
last=$(for f in big both top hidden; do echo "$(where $f) $f"; done | sort -n | tail -1)
damage 'set(kinds(damaged)) == {"pack", "chunk"} and len(damaged) == 2' '' truncate -s "${last% *}" $pack
damage 'kinds(damaged).count("chunk") == 6 and "packs/0.pack is missing" in damaged[0]["text"]' '' rm $pack

# files
for f in layers/$lower.index layers/$upper.index layers/$upper.split; do
	damage 'kinds(damaged) == ["layer"] and touches(damaged) == '"$whole"' and "'$f'" in damaged[0]["text"]' '' rm store/$f
	size=$(stat -c %s store/$f 2>/dev/null || stat -c %s good/$f)
	for at in 0 20 $((size / 2)) $((size - 1)); do
		damage 'kinds(damaged) == ["layer"] and touches(damaged) == '"$whole" '' flip store/$f $at
	done
	damage 'kinds(damaged) == ["layer"] and touches(damaged) == '"$whole" '' truncate -s $((size / 2)) store/$f
done
for f in images/$one.index images/$one.manifest images/$one.config; do
	damage 'kinds(damaged) == ["image"] and touches(damaged) == '"$whole"' and "'$f'" in damaged[0]["text"]' '' rm store/$f
	for at in 0 $(($(stat -c %s good/$f) / 2)); do
		damage 'kinds(damaged) == ["image"] and touches(damaged) == '"$whole" '' flip store/$f $at
	done
	damage 'kinds(damaged) == ["image"] and touches(damaged) == '"$whole" '' truncate -s 0 store/$f
done
size=$(stat -c %s good/local/$two.index)
for at in 1030 5000 $((size - 40)); do
	damage 'kinds(damaged) == ["local-index"] and touches(damaged) == ["two:latest", "zwei:latest"]' \
		'' flip store/local/$two.index $at
done
damage 'kinds(damaged) == ["local-index"]' '' truncate -s +1 store/local/$two.index
damage 'kinds(damaged) == ["local-index"]' '' cp good/images/$two.index store/local/$two.index

# no damage
rm -rf store
cp -a good store
rm store/local/$two.index
truncate -s -1 $pack # there is no chunk at its end
fsck_says 0 'not damaged and not leftover' --data
