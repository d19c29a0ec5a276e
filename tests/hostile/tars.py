#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tar layers that must be refused: a table of reason, what the message must say, and the bytes.

usage: tars.py DIR     writes DIR/bad-REASON.tar and prints `bad-REASON<TAB>REGEX<TAB>SOURCE`

The rule for what is in here rather than in stacks.py: the input promises what it does not hold,
means nothing that could be kept, or means different things to different readers.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from mktar import *

FILE = file_("a", "x" * 1000)
GOOD = layer(FILE)
GZ, ZST = compress(GOOD, "gzip"), compress(layer(file_("a", os.urandom(3000))), "zstd")


def flip(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0x5a]) + data[at + 1:]


def with_pax(body, what=FILE):
    return layer(pax(body), what)


def sparse(numbers, data=b"d" * 512, size="1048576"):
    """A pax 1.0 sparse file with any map; numbers: the map's text."""
    rec = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "h",
           "GNU.sparse.realsize": size}
    return layer(entry("x", b"0", pad(numbers) + data, pax_extra=rec))


def gnu_sparse(extents, real=1 << 20, data=b"d" * 512):
    """An old GNU sparse file whose map is not made of its data."""
    h = bytearray(header("h", b"S", len(data), fmt="gnu"))
    h[345:500] = bytes(155)
    for n, (at, length) in enumerate(extents):
        h[386 + 24 * n:410 + 24 * n] = number(at, 12) + number(length, 12)
    h[483:495] = number(real, 12)
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return layer(bytes(h) + data)


TRUNCATED = "truncated|unexpected end|ends (early|in|before|inside)|cut short|incomplete"

TABLE = [
    # what ends too early, or is not what it says
    ("empty-input", TRUNCATED + "|empty", b""),
    ("text", "tar|checksum", b"This is not a tar file.\n" * 100),
    ("xz", "compress|tar|format", b"\xfd7zXZ\0" + os.urandom(2000)),
    ("bzip2", "compress|tar|format", b"BZh91AY&SY" + os.urandom(2000)),
    ("truncated-header", TRUNCATED, FILE[:300]),
    ("truncated-data", TRUNCATED, FILE[:1000]),
    ("truncated-second-header", TRUNCATED, (FILE + file_("b", "y"))[:1536 + 511]),
    ("truncated-pax", TRUNCATED, pax({"path": "p" * 900})[:900]),
    ("truncated-after-pax", TRUNCATED + "|extended header|extension|nothing follows", pax({"path": "p"})),
    ("truncated-after-long-name", TRUNCATED + "|long name|extension|nothing follows", long_("n" * 200)),
    ("end-after-pax", TRUNCATED + "|extended header|extension|nothing follows", layer(pax({"path": "p"}))),
    ("truncated-sparse-map", TRUNCATED + "|sparse", sparse_gnu(
        "h", 1 << 20, [(n * 1024, b"x" * 512) for n in range(30)])[:600]),
    ("gzip-truncated", TRUNCATED + "|gzip", GZ[:-12]),
    ("gzip-truncated-trailer", TRUNCATED + "|gzip", GZ[:-3]),
    ("gzip-header-only", TRUNCATED + "|gzip", GZ[:10]),
    ("gzip-bad-crc", "gzip|checksum|crc", flip(GZ, -6)),
    ("gzip-bad-length", "gzip|length|size", flip(GZ, -2)),
    ("gzip-corrupt", "gzip|deflate|inflate|data", GZ[:12] + b"\xff" * 20 + GZ[32:]),
    ("gzip-second-member-corrupt", "gzip|data|header|tar|checksum|" + TRUNCATED,
     compress(FILE, "gzip") + flip(compress(layer(file_("b", "y")), "gzip"), -6)),
    ("zstd-truncated", TRUNCATED + "|zstd", ZST[:-12]),
    ("zstd-bad-checksum", "zstd|checksum", flip(ZST, -1)),
    ("zstd-corrupt", "zstd|data", flip(flip(ZST, 8), 9)),
    ("zstd-window-2-gib", "zstd|window|memory", b"\x28\xb5\x2f\xfd\x00\xa8" + ZST[6:]),
    ("header-checksum", "checksum", flip(FILE, 10) + END),
    ("second-header-checksum", "checksum", FILE + flip(file_("b", "y"), 10) + END),

    # numbers
    ("size-2-60", TRUNCATED + "|size|a file of", layer(file_("a", "x", fmt="gnu", size=2**60))),
    ("pax-size-2-60", TRUNCATED + "|size|a file of",
     layer(file_("d/a", "x", size=2**60, pax_extra={"size": str(2**60)}))),
    ("size-negative", "size", layer(file_("a", "x", raw={"size": base256(-512, 12)}))),
    ("size-junk", "size|number|octal|field", layer(file_("a", "x", raw={"size": b"12x45678901"}))),
    ("size-base256-over-64-bits", "size|number|range", layer(
        file_("a", "x", raw={"size": b"\x80" + b"\xff" * 11}))),
    ("pax-size-junk", "size|number", layer(file_("a", "x", pax_extra={"size": "1k"}))),
    ("pax-size-negative", "size|number", layer(file_("a", "x", pax_extra={"size": "-1"}))),
    ("pax-size-2-64", "size|number|range", layer(
        file_("a", "x", pax_extra={"size": str(2**64 + 1)}))),
    ("pax-size-beyond-the-end", TRUNCATED, layer(file_("a", "x", pax_extra={"size": "4096"}))),
    ("pax-uid-2-32", "uid|user id|owner|number|range", layer(file_("a", pax_extra={"uid": str(2**32)}))),
    ("pax-uid-2-64", "uid|user id|owner|number|range", layer(file_("a", pax_extra={"uid": str(2**64)}))),
    ("pax-gid-2-32", "gid|group|number|range", layer(file_("a", pax_extra={"gid": str(2**32)}))),
    # (uid_t) -1 means "leave it" to chown(2): nobody can own a file
    ("uid-minus-1", "uid|user id|owner|number|range",
     layer(file_("a", pax_extra={"uid": str(2**32 - 1)}))),
    ("pax-uid-negative", "uid|user id|owner|number|range", layer(file_("a", pax_extra={"uid": "-1"}))),
    ("pax-uid-name", "uid|owner|number", layer(file_("a", pax_extra={"uid": "root"}))),
    ("base256-uid-2-32", "uid|user id|owner|number|range", layer(file_("a", fmt="gnu", uid=2**32))),
    ("base256-uid-negative", "uid|user id|owner|number|range",
     layer(file_("a", raw={"uid": base256(-2, 8)}))),
    ("pax-mtime-junk", "mtime|time", layer(file_("a", pax_extra={"mtime": "yesterday"}))),
    ("pax-mtime-2-64", "mtime|time|range", layer(file_("a", pax_extra={"mtime": str(2**64)}))),
    ("device-major-2-12", "device|major|range", layer(char("c", 2**12, 0))),
    ("device-minor-2-20", "device|minor|range", layer(char("c", 1, 2**20))),

    # pax records
    ("pax-record-too-long", "pax|record|extended", with_pax(b"99 path=p\n")),
    ("pax-record-too-short", "pax|record|extended", with_pax(b"5 path=p\n")),
    ("pax-record-length-0", "pax|record|extended", with_pax(b"0 path=p\n")),
    ("pax-record-length-junk", "pax|record|extended", with_pax(b"xx path=p\n")),
    ("pax-record-length-2-64", "pax|record|extended", with_pax(b"18446744073709551625 path=p\n")),
    ("pax-record-without-equals", "pax|record|extended", with_pax(b"9 path p\n")),
    ("pax-record-without-newline", "pax|record|extended", with_pax(b"10 path=pp")),
    ("pax-record-without-key", "pax|record|extended", with_pax(b"6 =pp\n")),
    ("pax-promises-1-gib", TRUNCATED + "|pax|extended|large|limit",
     header("x", b"x", 1 << 30, fmt="pax") + bytes(4096)),
    ("pax-of-2-mib", "pax|extended|large|limit|name|path", with_pax({"path": "p" * (2 << 20)})),
    ("long-name-promises-1-gib", TRUNCATED + "|long name|large|limit",
     header("././@LongLink", b"L", 1 << 30, fmt="gnu") + b"n" * 4096),
    ("long-name-promises-2-60", TRUNCATED + "|long name|large|limit",
     header("././@LongLink", b"L", 2**60, fmt="gnu") + b"n" * 4096),

    # names
    ("name-empty", "name|empty", layer(file_(""))),
    ("name-above-root", r"\.\.|above|outside|root", layer(file_("../x", "x"))),
    ("name-above-root-absolute", r"\.\.|above|outside|root", layer(file_("/../x", "x"))),
    ("name-above-root-inside", r"\.\.|above|outside|root", layer(dir_("a"),
                                                               file_("a/../../x", "x"))),
    ("name-above-root-pax", r"\.\.|above|outside|root",
     layer(file_("a", "x", pax_extra={"path": "../x"}))),
    ("name-above-root-long", r"\.\.|above|outside|root", layer(long_("../" * 50 + "x"),
                                                             file_("a"))),
    ("directory-above-root", r"\.\.|above|outside|root", layer(dir_("../x"))),
    ("whiteout-above-root", r"\.\.|above|outside|root", layer(file_("../.wh.x"))),
    ("name-nul-pax", "NUL|zero|name|byte", layer(file_("a", "x", pax_extra={"path": "b\0c"}))),
    ("name-256", "name|long", layer(file_("d/" + "n" * 256))),
    ("name-256-directory", "name|long", layer(file_("n" * 256 + "/x"))),
    ("name-256-whiteout", "name|long", layer(file_(".wh." + "n" * 256))),
    ("root-is-file", "root|name|directory", layer(file_(".", "x"))),
    ("root-is-file-slash", "root|name|directory", layer(file_("/", "x"))),
    ("root-is-file-dotdot", r"root|name|directory|\.\.", layer(dir_("a"), file_("a/..", "x"))),
    ("root-is-symlink", "root|name|directory", layer(symlink(".", "/etc"))),
    ("root-is-symlink-slash", "root|name|directory", layer(symlink("/", "/etc"))),
    ("root-is-hard-link", "root|name|directory", layer(file_("a", "x"), hardlink("./", "a"))),
    ("whiteout-of-root", "whiteout|name|root", layer(file_(".wh.."))),
    ("whiteout-of-parent", r"whiteout|name|\.\.", layer(dir_("d"), file_("d/.wh..."))),
    ("whiteout-of-no-name", "whiteout|name", layer(file_(".wh."))),

    # symbolic links, and paths through them
    ("symlink-empty", "symlink|target|empty", layer(symlink("s", ""))),
    ("symlink-nul", "symlink|target|NUL|zero|byte",
     layer(symlink("s", "t", pax_extra={"linkpath": "a\0b"}))),
    ("symlink-4096", "symlink|target|long", layer(symlink("s", "t" * 4096))),
    ("below-symlink-to-itself", "symlink|symbolic|loop|link",
     layer(symlink("s", "s"), file_("s/x", "x"))),
    ("below-symlink-loop", "symlink|symbolic|loop|link",
     layer(symlink("s", "t/u"), symlink("t", "s/u"), file_("s/x", "x"))),
    ("below-file", "director", layer(file_("a", "x"), file_("a/b", "y"))),
    ("below-symlink-to-file", "director", layer(file_("a", "x"), symlink("s", "a"),
                                                file_("s/b", "y"))),

    # hard links
    ("hard-link-to-nothing", "link|target", layer(hardlink("h", "nothing"))),
    ("hard-link-to-nothing-absolute", "link|target", layer(hardlink("h", "/etc/passwd"))),
    ("hard-links-to-each-other", "link|target", layer(hardlink("h", "i"), hardlink("i", "h"))),
    ("hard-link-to-later-directory", "link|target", layer(hardlink("h", "d"), dir_("d"))),
    ("hard-link-to-itself", "link|target", layer(hardlink("h", "h"))),
    ("hard-link-to-itself-existing", "link|target|itself", layer(FILE, hardlink("a", "a"))),
    ("hard-link-to-directory", "link|target|directory", layer(dir_("d"), hardlink("h", "d"))),
    ("hard-link-to-root", "link|target|directory", layer(hardlink("h", "/"))),
    ("hard-link-above-root", r"link|target|\.\.|above", layer(hardlink("h", "../../etc/passwd"))),
    ("hard-link-out-by-symlink", "link|target",
     layer(symlink("s", "../../../../../etc"), hardlink("h", "s/passwd"))),
    ("hard-link-empty", "link|target|empty", layer(hardlink("h", ""))),
    ("hard-link-to-whiteout", "link|target", layer(whiteout("x"), hardlink("h", ".wh.x"))),
    ("hard-link-replaces-its-own-parent", "link|target|director",
     layer(dir_("d"), file_("d/x", "x"), hardlink("d", "d/x"), file_("d/y", "y"))),

    # xattrs
    ("xattr-65536", "xattr|attribute|long|large|65535",
     layer(file_("a", xattrs={"user.big": b"v" * 65536}))),
    ("xattr-name-256", "xattr|attribute|name|long",
     layer(file_("a", xattrs={"user." + "n" * 251: "1"}))),
    ("xattr-name-empty", "xattr|attribute|name", layer(file_("a", xattrs={"": "1"}))),
    ("xattr-name-only-prefix", "xattr|attribute|name", layer(file_("a", xattrs={"user.": "1"}))),
    ("xattr-name-nul", "xattr|attribute|name|NUL|pax record",
     layer(file_("a", xattrs={"user.a\0b": "1"}))),

    # sparse maps
    ("sparse-overlap", "sparse", sparse(b"2\n0\n256\n128\n256\n")),
    ("sparse-backwards", "sparse", sparse(b"2\n4096\n256\n0\n256\n")),
    ("sparse-beyond-the-size", "sparse", sparse(b"1\n1048576\n512\n")),
    ("sparse-more-than-stored", "sparse|" + TRUNCATED, sparse(b"1\n0\n4096\n")),
    ("sparse-less-than-stored", "sparse", sparse(b"1\n0\n100\n")),
    ("sparse-negative", "sparse|number", sparse(b"1\n-1\n512\n")),
    ("sparse-junk", "sparse|number", sparse(b"1\nx\n512\n")),
    ("sparse-no-map", "sparse|number", sparse(b"\n")),
    ("sparse-2-60-extents", "sparse|" + TRUNCATED, sparse(b"1152921504606846976\n0\n512\n")),
    ("sparse-sum-overflow", "sparse|number|range",
     sparse(b"1\n9223372036854775807\n9223372036854775807\n")),
    ("sparse-size-negative", "sparse|size|number", sparse(b"1\n0\n512\n", size="-5")),
    ("sparse-size-2-63", "sparse|size|number|large|range",
     sparse(b"1\n0\n512\n", size=str(2**63))),
    ("sparse-gnu-overlap", "sparse", gnu_sparse([(0, 256), (128, 256)])),
    ("sparse-gnu-beyond-the-size", "sparse", gnu_sparse([(1 << 20, 512)])),
    ("sparse-gnu-more-than-stored", "sparse|" + TRUNCATED, gnu_sparse([(0, 4096)])),
    ("sparse-gnu-negative", "sparse|number|size", gnu_sparse([(0, 512)], real=-1)),

    # types
    # POSIX would have unknown types read as files; every Go engine refuses them, and a type we
    # don't know may change what the next entry means.
    ("type-unknown", "type", layer(entry("a", b"Z", b"x"))),
    ("type-multi-volume", "type|multi-volume", layer(entry("a", b"M", b"x"))),
]


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for reason, regex, data in TABLE:
        path = os.path.join(directory, "bad-%s.tar" % reason)
        write(path, data)
        print("bad-%s\t%s\ttar:%s" % (reason, regex, path))


if __name__ == "__main__":
    main()
