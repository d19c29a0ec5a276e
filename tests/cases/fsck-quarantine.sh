# SPDX-License-Identifier: Apache-2.0
# What fsck --repair cannot heal is quarantined: no command looks into such an image any more, it is
# marked in the list, and it can be tagged, removed, or imported again, which heals it. Other images
# do not notice.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
data, both = os.urandom(300000), os.urandom(9000)
write("data", data)
write("both", both)
oci_layout("one", [layer(dir_("d"), file_("d/f", data), file_("d/other", both))])
oci_layout("two", [layer(file_("both", both))])
oci_layout("three", [layer(file_("third", os.urandom(5000)))])
PY
for i in one two three; do expect_ok plyfs import oci:$i:t $i >/dev/null; done
pack=store/packs/0.pack
where() {
	python3 -c 'import sys; print(open(sys.argv[2], "rb").read().index(open(sys.argv[1], "rb").read(4096)))' "$1" $pack
}
at=$(where both)
flip $pack $((at + 10))
fsck_says 1 'len(damaged) == 1' --data
expect_ok plyfs cat one /d/f >/dev/null # until it is recorded
fsck_says 1 'len(left) == 1 and d["left"] == 1 and touches(left) == ["one:latest /d/other", "two:latest /both"]' --data --repair
fsck_says 1 'len(damaged) == 1 and touches(damaged) == ["one:latest /d/other", "two:latest /both"]' # without --data now
mkdir m
want="image '(one|two)' is quarantined: chunk sha256:[0-9a-f]{64} is damaged"
expect_fail "$want" plyfs cat one /d/f
expect_fail "$want" plyfs ls two
expect_fail "$want" plyfs stat two /both
expect_fail "$want" plyfs cp one:/d out
expect_fail "$want" plyfs mount one m
expect_fail "$want" plyfs export one oci:out:t
expect_fail "$want" plyfs export one rootfs:out
[ ! -e out ] || fail "export has begun"
make_layers <<<'write("more.tar", layer(file_("m", b"m")))'
expect_fail "$want" plyfs layer add one tar:more.tar x
expect_ok plyfs cat three /third >/dev/null
[ "$(get '[i["name"] for i in rows(d) if i["quarantined"]]' images)" = "['one:latest', 'two:latest']" ] ||
	fail "not marked: $(plyfs images --json)"
[ "$(plyfs images | grep -c ' quarantined$')" = 2 ] || fail "not marked: $(plyfs images)"
[ "$(get 'd["quarantined"], len(d["layers"])' inspect one)" = '(True, 1)' ] || fail "inspect"
expect_ok plyfs history one >/dev/null
expect_ok plyfs tag one eins
expect_fail "'eins' is quarantined" plyfs ls eins
expect_ok plyfs rmi eins
expect_ok plyfs df >/dev/null

# importing either of them again heals both
expect_ok plyfs import oci:two:t zwei >/dev/null
fsck_says 0 'not d["problems"]' --data
for i in one two three; do expect_ok plyfs cp $i:/ out-$i; done
cmp data out-one/d/f
cmp both out-one/d/other
cmp both out-two/both
[ "$(python3 -c 'import os; print(os.stat("store/packs/0.pack").st_size)')" -gt $at ] && [ "$(where both)" = $at ] ||
	fail "it was not healed in its place"

# a quarantined image goes with its last name
flip $pack $(($(where data) + 131072))
fsck_says 1 'len(left) == 1' --data --repair
expect_ok plyfs rmi one
expect_ok plyfs gc >/dev/null
fsck_says 0 'not d["problems"]' --data --repair
expect_ok plyfs cat two /both | cmp - both
