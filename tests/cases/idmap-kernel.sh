# SPDX-License-Identifier: Apache-2.0
# --uidmap and --gidmap show other owners, by the kernel's drivers; what is made under a map is kept
# with the image's ids.
# asan
. "$TESTS/lib.sh"
need_kernel_mount
make_layers <<'PY'
write("x.tar", layer(dir_("d", uid=5, gid=6), file_("d/f", "x", uid=5, gid=6), file_("r", "x"), file_("far", "x", uid=70000)))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m
chmod 711 "$T"
map='--uidmap 0:100000:65536 --gidmap 0:200000:10 --gidmap 10:300000:10'
for how in '' '--rw --driver overlay'; do
	expect_ok plyfs mount x m $map $how >/dev/null
	[ "$(stat -c %u:%g m/d/f m/r m/far | xargs)" = '100005:200006 100000:200000 65534:200000' ] ||
		fail "$how: $(stat -c %u:%g m/d/f m/r m/far | xargs)"
	expect_ok plyfs umount m
done
expect_ok plyfs mount x m $map --rw --driver overlay --container c >/dev/null
setpriv --reuid 100005 --regid 300002 --clear-groups sh -c 'echo more >>m/d/f; mkdir m/d/new'
chown 100007:300003 m/r
! mkdir m/as-host 2>/dev/null || fail "root of the host has no id there"
expect_ok plyfs umount m
expect_ok plyfs mount --rw --driver overlay --container c m >/dev/null
[ "$(stat -c %u:%g m/d/f m/d/new m/r | xargs)" = '5:6 5:12 7:13' ] ||
	fail "kept as: $(stat -c %u:%g m/d/f m/d/new m/r | xargs)"
[ "$(cat m/d/f)" = xmore ] || fail "content"
expect_ok plyfs umount m
for bad in 0 0:1 0:1:0 0:1:2:3:4 a:b:c 0:0:10,5:20:10 -1:0:5; do
	expect_fail 'ids|map' plyfs mount x m --uidmap="$bad"
done
