# SPDX-License-Identifier: Apache-2.0
# 768 MiB go out in little memory, whatever the compression.
# timeout: 600
. "$TESTS/lib.sh"
make_layers <<'PY'
block = os.urandom(1 << 20)
with open("big.tar", "wb") as f:
    for n in range(48):
        f.write(header("f%d" % n, size=16 << 20))
        for i in range(16):
            f.write(block[n * 16 + i:] + block[:n * 16 + i])
    f.write(END)
PY
expect_ok plyfs import tar:big.tar big >/dev/null
rm big.tar
cat >peak.py <<'PY'
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print("-- peak %d MiB: %s" % (peak, " ".join(sys.argv[3:])), file=sys.stderr)
sys.exit(99 if peak >= int(sys.argv[1]) else code)
PY
python3 peak.py 48 "$PLYFS" export --compress gzip big oci-archive:out || fail "gzip: exit $?"
python3 peak.py 96 "$PLYFS" export --compress zstd big oci-archive:out || fail "zstd: exit $?"
python3 peak.py 48 "$PLYFS" export --compress none big oci:out.d || fail "none: exit $?"
