#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a tree of everything that a file system can hold and a converter can lose.

usage: torture.py DIR PART...     parts: attrs types links times xattrs big-xattrs acls sizes
                                  names deep holes huge crowd; `common` is all but the last
                                  three and big-xattrs

big-xattrs needs a file system with large xattrs (tmpfs, XFS): ext4 takes 4 KiB in all.
The same call makes the same tree, apart from inode numbers.
"""
import os
import random
import socket
import stat
import struct
import sys

CHUNK = 131072
XATTR_FILE_CAP = struct.pack("<IIIII", 0x02000001, 0x2400, 0, 0, 0)


def put(name, data=b""):
    with open(name, "wb") as f:
        f.write(data)
    os.utime(name, ns=(1300000000000000001 + len(data),) * 2)
    return name


def noise(n, seed):
    return random.Random(seed).randbytes(n)


def attrs():
    """Every mode bit, and owners up to the last one that can own a file."""
    for mode in (0, 0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777):
        os.chmod(put("file-%04o" % mode, b"m"), mode)
        os.mkdir("dir-%04o" % mode)
        os.chmod("dir-%04o" % mode, mode)
    for owner in (1, 65534, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 2):
        os.chown(put("owner-%d" % owner, b"o"), owner, 2**32 - 1 - owner or 1)
        os.symlink("x", "link-owner-%d" % owner)
        os.chown("link-owner-%d" % owner, owner, owner, follow_symlinks=False)
    put("set-after-chown", b"x")
    os.chown("set-after-chown", 1000, 1000)
    os.chmod("set-after-chown", 0o6755)


def types():
    os.mkfifo("fifo", 0o640)
    s = socket.socket(socket.AF_UNIX)
    s.bind("socket")
    for name, kind, major, minor in (("null", stat.S_IFCHR, 1, 3), ("char-0-0", stat.S_IFCHR, 0, 0),
                                     ("sda", stat.S_IFBLK, 8, 0), ("odd", stat.S_IFBLK, 259, 65537),
                                     ("far", stat.S_IFCHR, 4095, 1048575)):
        os.mknod(name, kind | 0o600, os.makedev(major, minor))
    os.mkdir("empty-directory")
    put("empty-file")
    for n in (1, 59, 60, 255, 1000, 4000, 4094, 4095):
        os.symlink("t" * n, "symlink-%d" % n)
    os.symlink(b"bytes-\xff\n", "symlink-bytes")
    os.symlink("/absolute", "symlink-absolute")
    os.symlink("symlink-self", "symlink-self")


def links():
    """Names that share an inode: of every type, in many directories, and very many."""
    for d in ("one", "two/deep"):
        os.makedirs(d)
    os.link(put("one/file", noise(5000, "l")), "two/deep/file")
    os.link("one/file", "file-above")
    os.link(put("one/empty"), "two/empty")
    os.symlink("target", "one/symlink")
    os.link("one/symlink", "two/symlink", follow_symlinks=False)
    os.mknod("one/device", stat.S_IFCHR | 0o600, os.makedev(1, 7))
    os.link("one/device", "two/device")
    os.mkfifo("one/fifo")
    os.link("one/fifo", "two/fifo")
    put("many-0", noise(200000, "m"))
    os.mkdir("many")
    for n in range(1, 300):
        os.link("many-0", "many/%d" % n)
    os.chmod("many-0", 0o4711)
    os.setxattr("many-0", "user.shared", b"1")


def times():
    for name, ns in (("zero", 0), ("nanosecond", 1), ("before-1970", -1), ("minus-1.5", -1500000001),
                     ("1901", -(2**31) * 10**9 + 123456789), ("2038", 2**31 * 10**9 + 999999999),
                     ("2106", 2**32 * 10**9 + 5), ("2400", 13569465600 * 10**9 + 7)):
        put("file-" + name, b"t")
        os.mkdir("dir-" + name)
        os.symlink("t", "link-" + name)
        for kind in ("file-", "dir-", "link-"):
            os.utime(kind + name, ns=(ns, ns), follow_symlinks=False)


def xattrs():
    put("f", b"x")
    for key, value in (("user.text", b"value"), ("user.empty", b""), ("user.bytes", b"\0\n=\xff"),
                       ("trusted.t", b"1"), ("trusted.overlayish", b"1"),
                       ("security.capability", XATTR_FILE_CAP), ("security.other", b"s"),
                       ("user." + "n" * 250, b"long name")):
        os.setxattr("f", key, value)
    put("big", b"x")
    os.setxattr("big", "user.3k", noise(3000, "x"))
    os.mkdir("d")
    os.setxattr("d", "user.on-directory", b"1")
    os.symlink("t", "s")
    os.setxattr("s", "trusted.on-symlink", b"1", follow_symlinks=False)
    os.mknod("c", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.setxattr("c", "trusted.on-device", b"1")
    put("forty", b"x")
    for n in range(40):
        os.setxattr("forty", "user.%02d" % n, b"%d" % n)
    for n in range(50):  # the same on many: shared xattrs, where the writer makes such
        os.setxattr(put("same-%d" % n, b"x"), "user.same", b"a value that many files have")


def big_xattrs():
    for n in (4000, 4096, 8191, 65535):
        os.setxattr(put("xattr-%d" % n, b"x"), "user.big", noise(n, n))
    os.mkdir("directory")
    os.setxattr("directory", "trusted.big", noise(65535, "d"))
    put("two", b"x")
    os.setxattr("two", "user.one", noise(60000, 1))
    os.setxattr("two", "user.two", noise(60000, 2))


def acl(*entries):
    """system.posix_acl_*: (tag, permissions, id) triples."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


def acls():
    none = 0xffffffff
    value = acl((1, 7, none), (2, 5, 1000), (2, 1, 2**31), (4, 5, none), (8, 4, 50),
                (16, 7, none), (32, 5, none))
    os.setxattr(put("file", b"a"), "system.posix_acl_access", value)
    os.mkdir("directory")
    os.setxattr("directory", "system.posix_acl_access", value)
    os.setxattr("directory", "system.posix_acl_default", value)


def sizes():
    """Around block and chunk boundaries; noise, so that no two chunks are the same."""
    around = {0, 1, 4095, 4096, 4097}
    for size in (4096 * 2, 16384, 65536, CHUNK, 2 * CHUNK, 262144, 3 * CHUNK, 1 << 20):
        around |= {size - 1, size, size + 1}
    around |= {CHUNK + 4095, CHUNK + 4096, CHUNK + 4097}
    for n in sorted(around):
        put("size-%d" % n, noise(n, n))
    put("zeros", bytes(3 * CHUNK + 1))
    put("same-chunks", noise(CHUNK, "same") * 8)
    put("tail-of-zeros", noise(CHUNK, "t") + bytes(5000))


def names():
    for name in (b"n" * 255, b"\xff\xfe", b"new\nline", b"tab\t", b"back\\slash", b"quote\"'",
                 b" ", b"-dash", b"caf\xc3\xa9", b"cafe\xcc\x81", b"\x01", b"\x7f", b"%s%n",
                 b".hidden", b"...", b"~", b"A", b"a", "\U0001f600".encode(), b"x.wh.y"):
        put(name, name)
        os.mkdir(b"d" + name[:254])
    os.mkdir(b"m" * 255)
    put(b"m" * 255 + b"/" + b"k" * 255, b"k")
    for n in range(1000):  # enough for a directory of several blocks
        put("several-blocks-%04d" % n)


def deep():
    """Twice as deep as one path can say."""
    for _ in range(40):
        os.mkdir("d" * 200)
        put("beside", b"b")
        os.chdir("d" * 200)
    put("bottom", b"found")
    for n in range(600):
        os.mkdir("e")
        os.chdir("e")
    put("bottom", b"found")
    for n in range(640):  # settle() does not come so far
        os.chdir("..")
        os.utime("e" if n < 600 else "d" * 200, ns=(n * 10**9 + 5,) * 2)


def holes():
    def sparse(name, size, *pieces):
        with open(name, "wb") as f:
            f.truncate(size)
            for at, data in pieces:
                f.seek(at)
                f.write(data)
    sparse("all-hole", 1 << 20)
    sparse("hole-first", 1 << 20, ((1 << 20) - 5, b"tail!"))
    sparse("hole-last", (1 << 20) + 77, (0, b"head"))
    sparse("hole-between", 4 << 20, (0, noise(4096, 1)), (2 << 20, noise(4096, 2)))
    sparse("tebibyte", 1 << 40, (0, b"first"), ((1 << 39) + 12345, b"middle"),
           ((1 << 40) - 4, b"last"))
    sparse("odd-tebibyte", (1 << 40) + 12345, (1 << 38, noise(300000, 3)))


def huge():
    """More than 4 GiB, with data on both sides of the 32-bit boundary."""
    with open("huge", "wb") as f:
        f.truncate((5 << 30) + 3)
        for at in (0, (1 << 32) - 70000, (1 << 32) + CHUNK - 1, 5 << 30):
            f.seek(at)
            f.write(noise(140000, at) if at < 5 << 30 else b"end")


def crowd():
    os.mkdir("d")
    os.chdir("d")
    for n in range(100000):
        put("entry-%06d" % n)


COMMON = ("attrs", "types", "links", "times", "xattrs", "acls", "sizes", "names", "deep", "holes")


def settle(root, top):
    """Give everything a time that says if it was kept, and that is the same in each tree."""
    for here, dirs, files in os.walk(top, topdown=False):
        for path in [os.path.join(here, name) for name in files + dirs] + [top]:
            ns = 1600000000123456789 + sum(os.fsencode(os.path.relpath(path, root))) * 1000000007
            if os.path.basename(here) != "times" and len(path) < 4096:
                os.utime(path, ns=(ns, ns), follow_symlinks=False)


def main():
    root = os.path.abspath(sys.argv[1])
    parts = [q for p in sys.argv[2:] for q in (COMMON if p == "common" else (p,))]
    os.umask(0o022)
    os.makedirs(root, exist_ok=True)
    for part in parts:
        top = os.path.join(root, part)
        os.mkdir(top)
        os.chdir(top)
        globals()[part.replace("-", "_")]()
        os.chdir(root)
        settle(root, top)
    os.utime(root, ns=(1500000000987654321,) * 2)


if __name__ == "__main__":
    main()
