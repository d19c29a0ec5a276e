# SPDX-License-Identifier: Apache-2.0
# --quiet says nothing on stderr; a reader that goes away is no crash.
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(file_("big", os.urandom(5 << 20)), *[file_("f%05d" % n) for n in range(20000)]))
PY
plyfs --quiet import tar:x.tar x >out 2>err
[ ! -s err ] || fail "--quiet: $(cat err)"
expect_ok plyfs import tar:x.tar y >/dev/null
plyfs cat x /big 2>err | head -c 10 >/dev/null || :
no_crash_file() { ! grep -aE 'Sanitizer|assert' err || fail "$(cat err)"; }
no_crash_file
plyfs ls x / 2>err | head -n 1 >/dev/null || :
no_crash_file
rc=0
plyfs cat x /big >/dev/full 2>err || rc=$?
[ $rc = 1 ] || fail "exit $rc with a full output"
rc=0
plyfs ls x / >/dev/full 2>err || rc=$?
[ $rc = 1 ] || fail "exit $rc from ls with a full output"
