# SPDX-License-Identifier: Apache-2.0
# System calls of a repair, or of an import that heals, that fail or at which it is killed: the image
# is quarantined or whole afterwards, never wrong, and the next try heals.
# timeout: 900
. "$TESTS/lib.sh"
[ -f "$BUILD/fault.so" ] || skip "no fault.so: built without -Dtests=true"
make_layers <<'PY'
data = os.urandom(900000)
write("data", data)
oci_layout("one", [layer(dir_("d"), file_("d/f", data)), layer(file_("top", "x" * 9000))])
PY
expect_ok plyfs import oci:one:t one >/dev/null
layer=$(get 'd["layers"][1][7:]' inspect one)
image=$(get 'd["digest"][7:]' inspect one)
for at in 5 300000 600000; do flip store/packs/0.pack $at; done
cp -a store chunks
rm store/layers/$layer.index store/images/$image.config
truncate -s 4096 store/packs/0.pack
cp -a store all
cp -a all recorded
PLYFS_STORE=$T/recorded fsck_says 1 left --data --repair
cat >faults.py <<'PY'
import os, shutil, subprocess, sys
plyfs, library = sys.argv[1:]
right = open("data", "rb").read()
KINDS = {"write": "ENOSPC", "pwrite": "ENOSPC", "sync": "EIO", "rename": "EIO", "link": "EIO",
         "alloc": "EIO", "memory": "ENOMEM", "kill": None}

def run(*args, **env):
    return subprocess.run([plyfs, "--store", "try", *args], env={**os.environ, **env},
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

def fresh(store):
    shutil.rmtree("try", ignore_errors=True)
    subprocess.run(["cp", "-a", store, "try"], check=True)

def fail(what, r):
    sys.exit("%s: %d, %s, %s" % (what, r.returncode, r.stderr, r.stdout[:3000]))

runs = 0
for store, args in [("chunks", ["fsck", "--data", "--repair", "oci:one:t"]),
                    ("all", ["fsck", "--repair", "oci:one:t"]),
                    ("recorded", ["fsck", "oci:one:t"]),
                    ("recorded", ["import", "oci:one:t", "one"])]:
    fresh(store)
    counted = run(*args, LD_PRELOAD=library, PLYFS_FAULT_COUNT="count")
    if counted.returncode:
        fail(" ".join(args), counted)
    counts = {k: int(v) for k, v in map(str.split, open("count"))}
    for kind, error in KINDS.items():
        total = counts["any" if kind == "kill" else kind]
        wanted = 25 if kind == "kill" else 6
        for n in sorted({1 + total * i // wanted for i in range(wanted)} | {total}):
            if not 1 <= n <= total:
                continue
            fault = "kill:any:%d" % n if kind == "kill" else "%s:%d:%s" % (kind, n, error)
            what = "%s of %s at %s" % (args[0], store, fault)
            fresh(store)
            r = run(*args, LD_PRELOAD=library, PLYFS_FAULT=fault)
            # libcrypto's own start does not survive the lack of memory
            if r.returncode not in (0, 1, -9) and not (kind == "memory" and r.returncode == -11):
                fail(what, r)
            if len(r.stderr.splitlines()) > 1:
                fail(what, r)
            done = r.returncode == 0
            r = run("cat", "one", "/d/f")
            if store == "recorded" or done: # else it may not have come so far as to record it
                if done and r.returncode or r.returncode == 0 and r.stdout != right:
                    fail(what + ", then cat", r)
                if r.returncode and b"is quarantined" not in r.stderr:
                    fail(what + ", then cat", r)
            for again in (["fsck", "--data", "--repair", "oci:one:t"], ["gc"], ["fsck", "--data"]):
                r = run(*again)
                if r.returncode:
                    fail(what + ", then " + " ".join(again), r)
            if run("cat", "one", "/d/f").stdout != right:
                fail(what + ", healed", r)
            runs += 1
print("%d faults" % runs)
PY
python3 faults.py "$PLYFS" "$BUILD/fault.so" || fail "see above"
