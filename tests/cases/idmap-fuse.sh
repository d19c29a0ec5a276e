# SPDX-License-Identifier: Apache-2.0
# --uidmap and --gidmap by the FUSE drivers: as idmap-kernel.
. "$TESTS/lib.sh"
need_fuse
make_layers <<'PY'
write("x.tar", layer(dir_("d", uid=5, gid=6), file_("d/f", "x", uid=5, gid=6), file_("r", "x"), file_("far", "x", uid=70000)))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
mkdir m
chmod 711 "$T"
map='--uidmap 0:100000:65536 --gidmap 0:200000:10 --gidmap 10:300000:10'
for how in '--driver fuse' '--rw --driver cow'; do
	expect_ok plyfs mount x m $map $how >/dev/null
	[ "$(stat -c %u:%g m/d/f m/r m/far | xargs)" = '100005:200006 100000:200000 65534:200000' ] ||
		fail "$how: $(stat -c %u:%g m/d/f m/r m/far | xargs)"
	expect_ok plyfs umount m
done
expect_ok plyfs mount x m $map --rw --driver cow --container c >/dev/null
setpriv --reuid 100005 --regid 300002 --clear-groups sh -c 'echo more >>m/d/f; mkdir m/d/new'
chown 100007:300003 m/r
! mkdir m/as-host 2>/dev/null || fail "root of the host has no id there"
expect_ok plyfs umount m
for driver in cow auto; do
	expect_ok plyfs mount --rw --driver $driver --container c m >/dev/null
	[ "$(stat -c %u:%g m/d/f m/d/new m/r | xargs)" = '5:6 5:12 7:13' ] ||
		fail "kept as: $(stat -c %u:%g m/d/f m/d/new m/r | xargs)"
	[ "$(cat m/d/f)" = xmore ] || fail "content"
	expect_ok plyfs umount m
done

# ids in ACLs
cat >acl.py <<'PY'
import os, struct, sys
what, path = sys.argv[1:3]
name = "system.posix_acl_access" if not os.path.isdir(path) else "system.posix_acl_default"
if what == "get":
    v = os.getxattr(path, name)
    print(*["%x:%d" % (t, i) for t, p, i in struct.iter_unpack("<HHI", v[4:]) if t in (2, 8)])
else:
    ids = {2: int(sys.argv[3]), 8: int(sys.argv[4])}
    os.setxattr(path, name, struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", t, 6, ids.get(t, 0xffffffff)) for t in (1, 2, 4, 8, 16, 32)))
PY
acl() { expect_ok python3 acl.py "$@"; }
expect_ok plyfs mount x m --rw --driver cow --container acl >/dev/null
acl set m/d/f 5 6
acl set m/d 70000 7
expect_ok plyfs umount m
expect_ok plyfs commit acl y >/dev/null
for how in '--driver fuse' '--rw --driver cow'; do
	expect_ok plyfs mount y m $map $how >/dev/null
	[ "$(acl get m/d/f) $(acl get m/d)" = '2:100005 8:200006 2:65534 8:200007' ] ||
		fail "$how: $(acl get m/d/f) $(acl get m/d)"
	expect_ok plyfs umount m
done
expect_ok plyfs mount y m $map --rw --driver cow --container acl2 >/dev/null
acl set m/r 100001 300009
[ "$(acl get m/r)" = '2:100001 8:300009' ] || fail "set: $(acl get m/r)"
! python3 acl.py set m/far 1 1 2>/dev/null || fail "an id that the layers have not"
setpriv --reuid 100005 --regid 300002 --clear-groups touch m/d/f # copied up
setpriv --reuid 100001 --regid 300002 --clear-groups cat m/r >/dev/null || fail "the ACL does not count"
[ "$(acl get m/d/f)" = '2:100005 8:200006' ] || fail "copied up: $(acl get m/d/f)"
expect_ok plyfs umount m
expect_ok plyfs mount --rw --driver cow --container acl2 m >/dev/null
[ "$(acl get m/r) $(acl get m/d/f) $(acl get m/d)" = '2:1 8:19 2:5 8:6 2:70000 8:7' ] ||
	fail "kept as: $(acl get m/r) $(acl get m/d/f) $(acl get m/d)"
expect_ok plyfs umount m
