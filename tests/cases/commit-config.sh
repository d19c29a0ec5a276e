#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The config of a committed image: history, author, time, and changes in a Dockerfile's words; all else
# is the base image's. What is no such change is refused, and leaves the store as it was.
. "$TESTS/lib.sh"
need_demo

expect_ok plyfs import "oci:$DEMO:demo" demo >/dev/null
mkdir rw
need_kernel_mount
expect_ok plyfs mount --rw --driver overlay --container c demo rw >/dev/null
echo x >rw/x
export SOURCE_DATE_EPOCH=1700000000
expect_ok plyfs commit c new --message 'what I did' --author me --change 'CMD ["a", "b"]' \
	--change 'ENV A=b c' --change 'ENV PATH=/bin' --change 'LABEL k="v w"' --change 'USER nobody' \
	--change 'WORKDIR /tmp' --change 'EXPOSE 80 53/udp' --change 'VOLUME /data' \
	--change 'ENTRYPOINT run it' --change 'cmd=x' >digest1
expect_ok plyfs export new oci:out:t --compress none >/dev/null
expect_ok plyfs export demo oci:old:t --compress none >/dev/null
python3 - <<'END'
import json
def load(top):
    def blob(d): return json.load(open(top + "/blobs/" + d.replace(":", "/")))
    return blob(blob(json.load(open(top + "/index.json"))["manifests"][0]["digest"])["config"]["digest"])
c, old = load("out"), load("old")
run = c["config"]
assert c["created"] == "2023-11-14T22:13:20Z" and c["author"] == "me"
h = c["history"][-1]
assert h == {"created": "2023-11-14T22:13:20Z", "created_by": "plyfs commit", "author": "me",
             "comment": "what I did"}, h
assert len(c["history"]) >= len(old.get("history", [])) + 1
assert run["Cmd"] == ["/bin/sh", "-c", "x"] and run["Entrypoint"] == ["/bin/sh", "-c", "run it"]
assert "A=b c" in run["Env"] and "PATH=/bin" in run["Env"]
assert sum(e.startswith("PATH=") for e in run["Env"]) == 1
assert run["Labels"]["k"] == "v w" and run["User"] == "nobody" and run["WorkingDir"] == "/tmp"
assert set(run["ExposedPorts"]) >= {"80/tcp", "53/udp"} and "/data" in run["Volumes"]
assert c["os"] == old["os"] and c["architecture"] == old["architecture"]
assert c["rootfs"]["diff_ids"][:-1] == old["rootfs"]["diff_ids"]
END
expect_ok plyfs commit c new --message 'what I did' --author me >/dev/null
expect_ok plyfs commit c new2 --message 'what I did' --author me >digest2
[ "$(get 'd["digest"]' inspect new)" = "$(cat digest2)" ] || fail "the same commit, another digest"
for bad in 'RUN x' 'ENV' 'ENV x' 'WORKDIR tmp' 'EXPOSE http'; do
	expect_fail "change '" plyfs commit c bad --change "$bad"
done
expect_fail 'no image|not found|bad' plyfs inspect bad
expect_fail "container 'nobody'" plyfs commit nobody new
