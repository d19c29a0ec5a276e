# SPDX-License-Identifier: Apache-2.0
# Every listing has --json, and what it prints is JSON with nothing around it.
. "$TESTS/lib.sh"
make_layers <<'PY'
oci_layout("i", [layer(file_(b"bytes-\xff\xfe", "1"), file_('quote"\\\n', "2"), symlink(b"s", b"\xff"))],
           edit_config=lambda d: d["history"][0].update(created_by='say "hello"\n\x01'))
PY
python3 - <<'PY'
import json, os, subprocess
plyfs = os.environ["PLYFS"]
for args in (["import", "oci:i:t", "x"], ["images"], ["inspect", "x"], ["history", "x"],
             ["ls", "x", "/"], ["stat", "x", "/"], ["stat", "x", b"/bytes-\xff\xfe"], ["df"],
             ["mounts"], ["tag", "x", "y"], ["gc"], ["rmi", "x"]):
    for where in (0, 1):  # --json is a global option: before or after
        command = [plyfs] + (["--json"] + args if where == 0 else args + ["--json"])
        p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if where == 1 and args[0] in ("rmi",):
            continue
        assert p.returncode == 0, (command, p.returncode, p.stderr)
        try:
            if p.stdout.strip() or args[0] not in ("tag", "rmi", "gc"):
                json.loads(p.stdout.decode("utf-8"))
        except ValueError as e:
            raise SystemExit("%s: %s: %r" % (command, e, p.stdout[:500]))
PY
