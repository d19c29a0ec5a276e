# SPDX-License-Identifier: Apache-2.0
# containers, container rm: what they show, beginnings of IDs, what they refuse.
# asan
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(file_("f", "x")))
PY
digest=$(expect_ok plyfs import tar:x.tar x)
mkdir m n
id=$(expect_ok plyfs mount x m --rw)
[[ $id =~ ^[0-9a-f]{12}$ ]] || fail "ID: $id"
head -c 1000000 /dev/urandom >m/big
sync
expect_ok plyfs mount x n --rw --container my.box_1-a >/dev/null
plyfs containers >out
grep -q "^$id .*$T/m$" out && grep -q "^my.box_1-a .*$T/n$" out || fail "$(cat out)"
[ "$(get '[c["image"] for c in d]' containers)" = "['$digest', '$digest']" ] || fail "image"
[ "$(get '[c["mounts"] for c in d if c["id"] == "'$id'"]' containers)" = "[['$T/m']]" ] || fail "mounts"
[ "$(get '[c["bytes"] >= 1000000 for c in d if c["id"] == "'$id'"]' containers)" = '[True]' ] ||
	fail "size: $(plyfs containers)"
[ "$(get 'sorted((m["driver"], m["container"]) for m in d)[1][1]' mounts)" = my.box_1-a ] ||
	[ "$(get 'sorted((m["driver"], m["container"]) for m in d)[0][1]' mounts)" = my.box_1-a ] || fail "mounts"
expect_ok plyfs umount --all
[ "$(get 'len(d)' mounts)" = 0 ] || fail "not all is unmounted"
for bad in '' . -x a/b ../x "$(printf 'a%.0s' $(seq 65))" 'a b' ä; do
	rc=0
	plyfs mount x m --rw --container="$bad" 2>err || rc=$?
	[ $rc = 1 ] || [ $rc = 2 ] || fail "ID '$bad' was taken"
done
[ "$(get 'len(d)' containers)" = 2 ] || fail "a refused mount left a container"
expect_fail 'no container' plyfs container rm nosuch
expect_usage plyfs container rm
expect_usage plyfs mount m
expect_usage plyfs mount x m --container c
expect_usage plyfs mount x m --fsync
expect_usage plyfs mount x m --rw --driver kernel
expect_usage plyfs mount x m --driver overlay
expect_fail 'another image|not found|no.*image' plyfs mount nosuch m --rw --container "$id"
expect_ok plyfs container rm "${id:0:6}" my.box_1-a
[ "$(get 'len(d)' containers)" = 0 ] || fail "$(plyfs containers)"
