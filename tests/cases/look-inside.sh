# SPDX-License-Identifier: Apache-2.0
# ls, cat, stat and cp show what an image holds without mounting it.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
data = os.urandom(700000)
write("data", data)
write("x.tar", layer(dir_("d", mode=0o711), file_("d/f", data, mode=0o4750, uid=12, gid=34,
      mtime_ns=1234567890123456789, xattrs={"user.a": "1"}), hardlink("d/h", "d/f"),
      symlink("s", "d/f"), symlink("sd", "/d"), symlink("up", "../../etc"), char("c", 1, 3),
      fifo("p"), file_("empty"), file_("new\nline", "n"), symlink("loop", "loop")))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
[ "$(plyfs ls x /d | sort | tr '\n' ' ')" = 'f h ' ] || fail "ls: $(plyfs ls x /d)"
[ "$(plyfs ls x / | wc -l)" -ge 9 ] || fail "ls: $(plyfs ls x /)"
expect_ok plyfs ls -l x /d | grep -q -- '-rwsr-x---' || fail "ls -l: $(plyfs ls -l x /d)"
[ "$(get 'len(rows(d))' ls x /d)" = 2 ] || fail "ls --json"
plyfs cat x /d/f | cmp - data || fail "cat"
plyfs cat x d/h | cmp - data || fail "cat without the leading slash"
plyfs cat x /s | cmp - data || fail "cat through a symlink"
plyfs cat x /sd/f | cmp - data || fail "cat through an absolute symlink"
[ "$(plyfs cat x $'/new\nline')" = n ] || fail "cat of a name with a newline"
[ -z "$(plyfs cat x /empty)" ] || fail "cat of an empty file"
expect_ok plyfs stat x /d/f | grep -q 700000 || fail "stat: $(plyfs stat x /d/f)"
for want in 'f["size"] == 700000' 'f["uid"] == 12' 'f["gid"] == 34' 'f["links"] == 2' \
	'f["type"] == "file"' '"user.a" in f["xattrs"]'; do
	[ "$(get "[$want for f in rows(d)][0]" stat x /d/f)" = True ] || fail "stat --json: not $want: $(cat .json)"
done
expect_ok plyfs stat x /c >/dev/null
expect_ok plyfs stat x /loop >/dev/null
expect_fail 'no such|not found|exist' plyfs cat x /nothing
expect_fail 'no such|not found|exist' plyfs cat x /up/passwd
expect_fail 'loop|symlink|symbolic|level' plyfs cat x /loop
expect_fail 'director|regular' plyfs cat x /d
expect_fail 'director' plyfs ls x /d/f/g
expect_fail 'no such|not found|exist' plyfs ls x /nothing
expect_fail 'no such|not found|no image|unknown' plyfs ls nobody /
expect_fail '.' plyfs cat x /c
expect_fail '.' timeout 10 "$PLYFS" cat x /p
