# SPDX-License-Identifier: Apache-2.0
# An index in the store with any byte changed makes the readers fail or not, but never crash.
# timeout: 300
# asan
. "$TESTS/lib.sh"
make_layers <<'PY'
write("x.tar", layer(dir_("d", xattrs={"user.a": "1"}), file_("d/f", os.urandom(300000)),
      file_("d/g", "small", xattrs={"user.a": "1"}), symlink("d/s", "f"), hardlink("h", "d/f"),
      *[file_("d/many-%03d" % n, str(n)) for n in range(200)]))
PY
expect_ok plyfs import tar:x.tar x >/dev/null
index=$(index_file index_path x)
local_index=$(index_file local_index_path x)
cat >poke.py <<'PY'
import os, random, shutil, subprocess, sys
plyfs, *files = sys.argv[1:]
r, bad = random.Random(5), 0
commands = [["ls", "x", "/d"], ["cat", "x", "/d/f"], ["stat", "x", "/d/s"], ["cp", "x:/d", "out"],
            ["export", "x", "tar:/dev/null"], ["export", "x", "rootfs:tree"]]
for n in range(240):
    saved = {f: open(f, "rb").read() for f in files}
    for f, data in saved.items():
        # mostly the superblock and metadata at the front, in all fields in turn
        at = 1024 + n if n < 192 and len(data) > 1216 else r.randrange(len(data))
        poked = bytearray(data)
        poked[at] ^= r.choice((1, 0x80, 0xff, 0x55))
        os.chmod(f, 0o600)
        open(f, "wb").write(poked)
    command = commands[n % len(commands)]
    try:
        p = subprocess.run([plyfs] + command, timeout=20, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE)
        if p.returncode not in (0, 1) or b"Sanitizer" in p.stderr or b"runtime error" in p.stderr:
            bad += 1
            print("byte %d: exit %d from %s: %s" % (at, p.returncode, command, p.stderr[-1500:]))
    except subprocess.TimeoutExpired:
        bad += 1
        print("byte %d: %s does not end" % (at, command))
    if os.path.isdir("tree"):
        if p.returncode:
            bad += 1
            print("byte %d: an export that failed has left files" % at)
        shutil.rmtree("tree")
    for f, data in saved.items():
        open(f, "wb").write(data)
sys.exit(bad > 0)
PY
python3 poke.py "$PLYFS" "$index" "$local_index" || fail "see above"
expect_ok plyfs cat x /d/f >/dev/null
