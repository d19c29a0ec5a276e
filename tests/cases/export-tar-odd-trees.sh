# SPDX-License-Identifier: Apache-2.0
# Large directories, deep trees, files over 4 GiB: exported to tar: and to rootfs:, and imported
# again, they are the same.
# timeout: 300
. "$TESTS/lib.sh"
make_layers <<'PY'
write("crowd.tar", layer(dir_("d"), *[file_("d/entry-%05d" % n, str(n)) for n in range(20000)]))
write("deep.tar", layer(file_("/".join(["d"] * 3000) + "/bottom", "found"),
      hardlink("z", "/".join(["d"] * 3000) + "/bottom"), file_("/".join(["d"] * 2500) + "/e/f")))
PY
"$TESTS/torture.py" huge huge
expect_ok plyfs import tar:crowd.tar crowd >/dev/null
expect_ok plyfs import tar:deep.tar deep >/dev/null
expect_ok plyfs import rootfs:huge huge >/dev/null
for name in crowd deep huge; do
	expect_ok plyfs export $name tar:$name-out.tar
	expect_ok plyfs import tar:$name-out.tar again >/dev/null
	want=$(get 'd["index_digest"]' inspect $name)
	[ "$(get 'd["index_digest"]' inspect again)" = "$want" ] || fail "$name: another tree comes back"
	expect_ok plyfs export $name rootfs:$name-out
	expect_ok plyfs import rootfs:$name-out again >/dev/null
	[ "$(get 'd["index_digest"]' inspect again)" = "$want" ] || fail "$name: other files come out"
done
[ "$(stat -c %s huge-out.tar)" -lt 10000000 ] || fail "its holes were written"
same_tree huge huge-out --sparse --sparse-grain $((32 << 20))
mkdir unpacked
tar -xf huge-out.tar -C unpacked
same_tree huge unpacked --sparse --sparse-grain $((32 << 20))
