#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Tars that are odd and sound: what programs have written over the years, and what the rules allow.

usage: oddtars.py DIR    writes DIR/NAME.tar for each, and tells their number
"""
import os
import random
import subprocess
import sys

from mktar import *

TARS = {}
NOISE = random.Random(20).randbytes(700_000)


def odd(name, data):
    assert name not in TARS
    TARS[name] = data


def holes(size, *starts):
    """Extents of 4,000 bytes of data at these places of a file of `size` bytes."""
    return [(at, NOISE[at % 1000:][:4000]) for at in starts]


FILE = file_("file", NOISE[:300_000])
SMALL = file_("small", b"x" * 100)
LONG = "/".join(["directory-with-a-long-name"] * 12)

# --- names
odd("gnu-long-name", layer(long_(LONG + "/f"), file_("cut", b"1", fmt="gnu"),
                           long_(LONG, b"K"), symlink("s", "cut", fmt="gnu")))
odd("gnu-long-name-and-link", layer(long_(LONG, b"K"), long_(LONG + "2"), symlink("n", "t", fmt="gnu")))
odd("pax-long-name", layer(file_(LONG + "/" + "n" * 200, NOISE[:5000], fmt="pax")))
odd("ustar-prefix", layer(file_("p" * 90 + "/" + "n" * 90, b"1", fmt="ustar")))
odd("name-not-utf8", layer(file_(b"\xff\xfe", b"1"), file_("new\nline", b"2")))
odd("absolute-and-dotted", layer(dir_("./"), file_("./a", b"1"), file_("/b", b"2"),
                                 file_("c//./d", b"3")))

# --- dialects and numbers
for fmt in ("v7", "ustar", "gnu", "pax"):
    odd("dialect-" + fmt, layer(dir_("d", fmt=fmt), file_("d/f", NOISE[:200_001], fmt=fmt),
                                symlink("d/s", "f", fmt=fmt)))
odd("numbers-with-spaces", layer(file_("a", b"1", raw={"mode": b"   644 \0", "uid": b"     0 \0"})))
odd("numbers-base-256", layer(file_("a", b"1", uid=2 ** 31, mtime=-5, fmt="gnu")))
odd("nanoseconds-and-xattrs", layer(file_("a", b"1", mtime=7, mtime_ns=7_000_000_001,
                                          xattrs={"user.x": b"\0\n=", "user.empty": b""})))

# --- sparse
for name, make in (("gnu", lambda *a: sparse_gnu(*a)),
                   ("pax-0.0", lambda *a: sparse_pax(*a, version="0.0")),
                   ("pax-0.1", lambda *a: sparse_pax(*a, version="0.1")),
                   ("pax-1.0", lambda *a: sparse_pax(*a, version="1.0"))):
    few = holes(3_000_000, 0, 140_000, 1_000_000)
    many = holes(3_000_000, *range(512, 2_900_000, 61_440))
    odd("sparse-" + name, layer(make("few", 3_000_000, few), make("none", 1_000_000, []),
                                make("many", 3_000_000, many), SMALL))

# --- links
odd("link-before-target", layer(hardlink("link", "file"), FILE))
odd("link-after-target", layer(FILE, hardlink("link", "file"), hardlink("link2", "link")))
odd("link-target-replaced", layer(FILE, hardlink("link", "file"), file_("file", NOISE[7:200_000])))

# --- extensions
odd("pax-global", layer(global_pax({"comment": "0123456789" * 5, "mtime": "5"}), FILE,
                        global_pax({"comment": "other"}), SMALL))
odd("pax-unknown-records", layer(pax({"VENDOR.key": "value", "comment": "c"}), SMALL))
odd("gnu-volume-label", layer(entry("label", b"V", fmt="gnu"), FILE))
odd("gnu-dump-directory", layer(entry("d", b"D", data=b"Ya\0Nb\0\0", fmt="gnu"), FILE))

# --- the end
odd("garbage-after-the-end", layer(FILE) + NOISE[:77_777])
odd("tar-after-the-end", layer(FILE) + layer(SMALL))
odd("zeros-after-the-end", layer(FILE) + bytes(1 << 20))
odd("one-end-block", layer(FILE, end=bytes(512)))
odd("no-end", layer(FILE, end=b""))
odd("no-padding-and-no-end", layer(SMALL, end=b"")[:-412])
odd("padding-that-is-not-zero", layer(SMALL[:-5] + b"other", FILE))
odd("nothing-but-the-end", layer())

# --- content
odd("zero-length", layer(file_("a"), file_("b"), file_("c", b"c"), file_("d")))
odd("duplicates", layer(file_("a", NOISE[:300_000]), file_("a", NOISE[5:300_000]), file_("a", b""),
                        file_("a", NOISE[9:200_000]), dir_("d"), dir_("d", mode=0o700)))
odd("duplicate-that-changes-type", layer(FILE, dir_("file"), file_("file/x", NOISE[3:150_000])))
odd("same-content-twice", layer(FILE, file_("again", NOISE[:300_000]), file_("part", NOISE[:131_072])))
odd("zeros", layer(file_("z", bytes(1_000_000)), file_("end", NOISE[:5000] + bytes(600_000))))
odd("sizes-around-chunks", layer(*[file_("f%d" % n, NOISE[:n]) for n in (
    1, 511, 512, 513, 4095, 4096, 4097, 131_071, 131_072, 131_073, 262_144)]))
odd("whiteouts", layer(opaque("d"), whiteout("e"), file_("d/.wh.f", NOISE[:9999]), FILE))
odd("directory-with-a-size", layer(dir_("d", raw={"size": b"00000001000\0"}), FILE))


def by_programs(directory):
    """The same files, as GNU tar and Python write them."""
    top = os.path.join(directory, "files")
    os.makedirs(top + "/sub")
    for n, size in enumerate((0, 5, 600, 130_000, 500_000)):
        write("%s/f%d" % (top, n), NOISE[n:n + size])
    with open(top + "/sparse", "wb") as f:
        for at in (1 << 20, 3 << 20, 7 << 20):
            f.seek(at)
            f.write(NOISE[:9000])
        f.truncate(9 << 20)
    os.link(top + "/f4", top + "/sub/" + "long" * 40)
    os.symlink("long" * 60, top + "/sub/symlink")
    options = [["--format=" + f] for f in ("oldgnu", "gnu", "posix")]
    options += [["--format=oldgnu", "-S"], ["--format=gnu", "-S"]]
    options += [["--format=posix", "-S", "--sparse-version=" + v] for v in ("0.0", "0.1", "1.0")]
    options += [["--format=gnu", "-S", "-b", "1"], ["--format=gnu", "-V", "label"]]
    for n, o in enumerate(options):
        path = "%s/gnu-tar-%d.tar" % (directory, n)
        subprocess.run(["tar", "-c", "-f", path, "-C", top, *o, "."], check=True)
    subprocess.run(["rm", "-r", top], check=True)
    return len(options)


def main():
    directory = sys.argv[1]
    os.makedirs(directory)
    for name, data in TARS.items():
        write("%s/%s.tar" % (directory, name), data)
    print(len(TARS) + by_programs(directory))


main()
