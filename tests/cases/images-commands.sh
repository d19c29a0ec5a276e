# SPDX-License-Identifier: Apache-2.0
# images, inspect, history, tag, rmi: also by digest, and in JSON.
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("i", [layer(file_("a", "1")), layer(file_("b", "2"))],
           edit_config=lambda d: d["config"].update(Cmd=["/bin/hello"], Env=["A=1"]))
PY
digest=$(expect_ok plyfs import oci:i:t localhost:5000/team/app:v1)
plyfs images | grep -q 'localhost:5000/team/app' || fail "images: $(plyfs images)"
plyfs images | grep -q 'v1' || fail "images: $(plyfs images)"
expect_ok plyfs tag localhost:5000/team/app:v1 app:latest
[ "$(get 'len(rows(d))' images)" = 2 ] || fail "not two names"
for name in localhost:5000/team/app:v1 app:latest app "$digest"; do
	expect_ok plyfs inspect "$name" >/dev/null
	[ "$(plyfs cat "$name" /b)" = 2 ] || fail "cat $name"
done
plyfs inspect app | grep -q /bin/hello || fail "inspect does not show the configuration"
get 'd["index_digest"].startswith("sha256:") or 1/0' inspect app >/dev/null
[ "$(plyfs history app | grep -c 'layer [01]')" = 2 ] || fail "history: $(plyfs history app)"
[ "$(get 'len(rows(d))' history app)" = 2 ] || fail "history --json: $(plyfs history app --json)"
expect_ok plyfs rmi app:latest
expect_fail 'no such|not found|no image|unknown' plyfs inspect app
expect_ok plyfs inspect localhost:5000/team/app:v1 >/dev/null
expect_ok plyfs rmi "$digest"
[ "$(get 'len(rows(d))' images)" = 0 ] || fail "rmi by digest left: $(plyfs images)"
expect_fail 'no such|not found|no image|unknown' plyfs rmi app
expect_fail 'no such|not found|no image|unknown|no name' plyfs rmi "$digest"
expect_fail 'no such|not found|no image|unknown' plyfs tag app other
