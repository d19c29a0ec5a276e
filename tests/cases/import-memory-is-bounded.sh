# SPDX-License-Identifier: Apache-2.0
# 1 GiB of zeros in a tiny layer, and a header that promises 2^60 bytes, need little memory.
# core
# timeout: 300
. "$TESTS/lib.sh"
need zstd
make_layers <<'PY'
import zlib
head, tail = file_("zeros", size=1 << 30), END
z = zlib.compressobj(6, wbits=31)
with open("bomb.gz", "wb") as f:
    f.write(z.compress(head))
    for _ in range(1024):
        f.write(z.compress(bytes(1 << 20)))
    f.write(z.compress(tail) + z.flush())
write("promise.tar", layer(file_("a", "x", fmt="gnu", size=2**60)))
PY
gzip -dc bomb.gz | zstd -q -19 >bomb.zst
cat >peak.py <<'PY'
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print("-- peak %d MiB: %s" % (peak, " ".join(sys.argv[3:])), file=sys.stderr)
sys.exit(99 if peak >= 128 else code)
PY
for how in gz zst; do
	python3 peak.py "$PLYFS" import tar:bomb.$how bomb-$how || fail "exit $? for bomb.$how"
	[ "$(plyfs cat bomb-$how /zeros | head -c 2000000 | tr -d '\0' | wc -c)" = 0 ] ||
		fail "not zeros"
done
[ "$(disk_bytes)" -lt 8000000 ] || fail "1 GiB of zeros takes $(disk_bytes) bytes on disk"
rc=0
python3 peak.py "$PLYFS" import tar:promise.tar promise 2>err || rc=$?
[ $rc = 1 ] || fail "exit $rc for a header that promises 2^60 bytes: $(cat err)"
