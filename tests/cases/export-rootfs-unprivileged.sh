# SPDX-License-Identifier: Apache-2.0
# Others than root get what they may have, and one warning that counts what they may not.
# asan
. "$TESTS/lib.sh"
need setpriv unshare
make_layers <<'PY'
cap = bytes.fromhex("0100000200240000000000000000000000000000")
write("x.tar", layer(dir_("./", mode=0o755), dir_("shut", mode=0), file_("shut/f", "f", mode=0),
    hardlink("a-link", "shut/f"), hardlink("z-link", "shut/f"),
    dir_("ro", mode=0o500), dir_("ro/sub", mode=0o555), file_("ro/sub/x", "x", mode=0o400, xattrs={"user.u": "1"}),
    file_("su", "s", mode=0o6755), char("null", 1, 3), hardlink("null2", "null"), fifo("fifo"),
    file_("cap", "c", xattrs={"security.capability": cap, "trusted.t": "1"}), symlink("s", "su")))
PY
chmod 755 "$T"
mkdir -m 755 user
chown 12345:12345 user x.tar
as_user() { setpriv --reuid=12345 --regid=12345 --clear-groups "$@"; }
export PLYFS_STORE=$T/user/store
as_user "$PLYFS" export x rootfs:user/x 2>/dev/null && fail "there was no image"
expect_ok as_user "$PLYFS" import tar:x.tar x >/dev/null
as_user "$PLYFS" export x rootfs:user/out 2>err || fail "exit $?: $(cat err)"
no_crash_in() { ! grep -aE 'Sanitizer|runtime error' "$1" || fail "$(cat "$1")"; }
no_crash_in err
[ "$(wc -l <err)" = 1 ] && grep -q 'warning: .*10 owners, 2 devices, 2 extended' err || fail "$(cat err)"
cd user/out
[ ! -e null ] && [ ! -e null2 ] && [ -p fifo ] && [ -L s ] || fail "$(ls -l)"
[ "$(stat -c '%a %u' su)" = '755 12345' ] || fail "setuid of another owner: $(stat -c '%a %u' su)"
[ "$(stat -c %a shut shut/f ro ro/sub ro/sub/x | tr '\n' ' ')" = '0 0 500 555 400 ' ] || fail "modes"
[ a-link -ef shut/f ] && [ z-link -ef shut/f ] || fail "hard links"
[ "$(getfattr --only-values -n user.u ro/sub/x)" = 1 ] || fail "user xattr"
cd "$T"
expect_fail 'not empty' as_user "$PLYFS" export x rootfs:user/out

# root of a user namespace has no devices and no trusted xattrs
if as_user unshare -Ur true 2>/dev/null; then
	as_user unshare -Ur "$PLYFS" export x rootfs:user/ns 2>err || fail "exit $?: $(cat err)"
	no_crash_in err
	grep -q 'warning: .*0 owners, 2 devices, 1 extended' err || fail "$(cat err)"
	[ "$(stat -c '%a %u' user/ns/su)" = '6755 12345' ] || fail "$(stat -c '%a %u' user/ns/su)"
fi

# root gets all, in silence
expect_ok plyfs export x rootfs:all
[ -c all/null ] && [ ! -s .stderr ] || fail "$(ls -l all; cat .stderr)"
