# SPDX-License-Identifier: Apache-2.0
# Whatever an image's names and links say, export to rootfs: changes nothing outside its directory.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
T = os.environ["T"]
write("evil.tar", layer(
    symlink("abs", T + "/victim", uid=7, gid=7, mtime=1, xattrs={"trusted.x": "1"}),
    symlink("up", "../victim", uid=7, gid=7, mtime=1, xattrs={"trusted.x": "1"}),
    symlink("file", "../victim/file", uid=7, gid=7, mode=0o777, mtime=1),
    hardlink("linked", "file"), symlink("d", ".."), dir_("e"), symlink("e/root", "/"),
    symlink("e/dot", "."), symlink("loop", "loop")))
PY
expect_ok plyfs import tar:evil.tar evil >/dev/null
mkdir victim
echo mine >victim/file
chmod 600 victim/file
find victim -printf '%P %m %U %G %T@ %C@ %n\n' >before
expect_ok plyfs export evil rootfs:out
find victim -printf '%P %m %U %G %T@ %C@ %n\n' | diff before - || fail "changed outside of DIR"
[ -L out/abs ] && [ -L out/linked ] && [ out/linked -ef out/file ] || [ "$(readlink out/linked)" = ../victim/file ]
[ "$(getfattr -h --only-values -n trusted.x out/up)" = 1 ] || fail "the symlink's own xattr is lost"
[ "$(stat -c '%u %Y' out/abs)" = '7 1' ] || fail "the symlink's own attributes are lost"
