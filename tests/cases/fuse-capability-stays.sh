# SPDX-License-Identifier: Apache-2.0
# What the kernel writes back late does not take a capability away that was set meanwhile; what is
# written after it does, as on other file systems.
. "$TESTS/lib.sh"
need_fuse
mkdir l u w m
head -c 300000 /dev/urandom >l/lower
expect_ok plyfs overlay -o "lowerdir=$T/l,upperdir=$T/u,workdir=$T/w,block_copy" m
cat >late.py <<'EOF'
import os, sys
NAME, CAP = "security.capability", bytes([0, 0, 0, 2, 0, 4, 0, 0]) + bytes(12)
def get(path):
    try:
        return os.getxattr(path, NAME)
    except OSError:
        return None
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o755)
    os.pwrite(fd, b"x" * 50000, 0)
    os.setxattr(path, NAME, CAP)
    os.fsync(fd)
    assert get(path) == CAP, path + ": lost with fsync"
    os.close(fd)
    assert get(path) == CAP, path + ": lost with close"
    fd = os.open(path, os.O_RDWR)
    os.pwrite(fd, b"y", 0)
    assert get(path) is None, path + ": a later write leaves it"
    os.setxattr(path, NAME, CAP)
    os.close(fd)
    assert get(path) == CAP, path
EOF
expect_ok python3 late.py m/new m/lower
umount m
while pgrep -f '^plyfs fuse-s' >/dev/null; do sleep 0.05; done
for f in new lower; do
	getfattr -n security.capability "u/$f" >/dev/null 2>&1 || fail "$f: lost in the upper directory"
	if getfattr -m - -d "u/$f" | grep -q plyfs.capability; then fail "$f: a mark is left"; fi
done
