#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stacks of layers that are unusual but harmless, and the tree that each must give.

usage: stacks.py list [PATTERN...]     the names that match
       stacks.py make DIR NAME         write the input; prints SOURCE for `plyfs import`
       stacks.py check NAME ROOT       compare the tree at ROOT with what is expected

A stack is a list of layers, each a tar, or one tar's bytes.  The result is a dict of every path
(except the root, which is ".") to what must be there:
    "d"  "f:CONTENT"  "l:TARGET"  "c:MAJOR,MINOR"  "b:MAJOR,MINOR"  "p"  "=PATH" (same inode)
or a pair of that and attributes {mode, uid, gid, mtime (ns), size, xattrs}.  None: may be there
or not.  Where engines differ, the rule is the OCI image specification's, read sequentially: an
entry of a layer acts on the tree that the layers before it and the entries before it have made,
whiteouts hide lower layers' content only, and never what the same layer brings.
"""
import fnmatch
import os
import stat
import sys

from mktar import *

STACKS = {}
D0 = ("d", {"mode": 0o755, "uid": 0, "gid": 0, "mtime": 0})  # a directory nobody described
NS = 10**9


def stack(name, source, want):
    assert name not in STACKS, name
    STACKS[name] = (source, want)


# --- whiteouts --------------------------------------------------------------------------------

BASE = layer(dir_("d"), file_("d/a", "a"), file_("d/b", "b"), dir_("d/sub"), file_("d/sub/x", "x"))

stack("whiteout-file", [BASE, layer(whiteout("d/a"))],
      {"d": "d", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
stack("whiteout-directory", [BASE, layer(whiteout("d/sub"))],
      {"d": "d", "d/a": "f:a", "d/b": "f:b"})
stack("whiteout-top", [BASE, layer(whiteout("d"))], {})
stack("whiteout-of-nothing", [BASE, layer(whiteout("d/none"), whiteout("none"))],
      {"d": "d", "d/a": "f:a", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
stack("whiteout-below-nothing", [BASE, layer(whiteout("no/such/file"))],
      {"d": "d", "d/a": "f:a", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x",
       "no": None, "no/such": None})
stack("whiteout-in-first-layer", [layer(whiteout("x"), file_("y", "y"))], {"y": "f:y"})
stack("whiteout-before-sibling", [BASE, layer(whiteout("d/a"), file_("d/a", "new"))],
      {"d": "d", "d/a": "f:new", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
stack("whiteout-after-sibling", [BASE, layer(file_("d/a", "new"), whiteout("d/a"))],
      {"d": "d", "d/a": "f:new", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
stack("whiteout-before-new-directory",
      [BASE, layer(whiteout("d/sub"), dir_("d/sub"), file_("d/sub/new", "n"))],
      {"d": "d", "d/a": "f:a", "d/b": "f:b", "d/sub": "d", "d/sub/new": "f:n"})
stack("whiteout-after-new-directory",
      [BASE, layer(dir_("d/sub"), file_("d/sub/new", "n"), whiteout("d/sub"))],
      {"d": "d", "d/a": "f:a", "d/b": "f:b", "d/sub": "d", "d/sub/new": "f:n"})
stack("whiteout-of-one-hard-linked-name",
      [layer(file_("a", "x"), hardlink("b", "a"), hardlink("c", "a")), layer(whiteout("a"))],
      {"b": "f:x", "c": "=b"})
stack("whiteout-of-all-but-one-hard-linked-name",
      [layer(file_("a", "x"), hardlink("b", "a"), hardlink("c", "a")),
       layer(whiteout("a"), whiteout("b"))],
      {"c": ("f:x", {"nlink": 1})})
stack("whiteout-then-back", [BASE, layer(whiteout("d")), layer(file_("d/a", "again"))],
      {"d": D0, "d/a": "f:again"})
stack("whiteout-twice", [BASE, layer(whiteout("d/a")), layer(whiteout("d/a"))],
      {"d": "d", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
stack("whiteout-of-symlink", [layer(dir_("t"), file_("t/f", "f"), symlink("s", "t")),
                              layer(whiteout("s"))], {"t": "d", "t/f": "f:f"})
# The name of a whiteout says it, whatever its type and content.
stack("whiteout-with-content", [BASE, layer(file_("d/.wh.a", "content"))],
      {"d": "d", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
# AUFS left such names in old images; nobody shows them.
stack("aufs-leftovers", [layer(file_(".wh..wh.aufs"), file_("x", "x"))], {"x": "f:x"})

# --- opaque directories -----------------------------------------------------------------------

stack("opaque-first", [BASE, layer(dir_("d"), opaque("d"), file_("d/new", "n"))],
      {"d": "d", "d/new": "f:n"})
stack("opaque-last", [BASE, layer(dir_("d"), file_("d/new", "n"), opaque("d"))],
      {"d": "d", "d/new": "f:n"})
stack("opaque-before-directory-entry", [BASE, layer(opaque("d"), dir_("d"), file_("d/new", "n"))],
      {"d": "d", "d/new": "f:n"})
stack("opaque-without-directory-entry", [BASE, layer(opaque("d"), file_("d/new", "n"))],
      {"d": "d", "d/new": "f:n"})
stack("opaque-keeps-same-layer-subdirectory",
      [BASE, layer(dir_("d"), dir_("d/sub"), file_("d/sub/y", "y"), opaque("d"))],
      {"d": "d", "d/sub": "d", "d/sub/y": "f:y"})
stack("opaque-of-root", [BASE, layer(file_("new", "n"), opaque(""))], {"new": "f:n"})
stack("opaque-in-first-layer", [layer(dir_("d"), opaque("d"), file_("d/x", "x"))],
      {"d": "d", "d/x": "f:x"})
stack("opaque-then-more", [BASE, layer(dir_("d"), opaque("d")), layer(file_("d/z", "z"))],
      {"d": "d", "d/z": "f:z"})
stack("opaque-of-a-lower-file", [layer(file_("d", "file")), layer(dir_("d"), opaque("d"))],
      {"d": "d"})
stack("opaque-many-times", [BASE, layer(dir_("d"), *[opaque("d")] * 2000, file_("d/n", "n"))],
      {"d": "d", "d/n": "f:n"})

# --- one path, several types ------------------------------------------------------------------

stack("file-directory-file", [layer(file_("p", "1")), layer(dir_("p"), file_("p/x", "x")),
                              layer(file_("p", "3"))], {"p": "f:3"})
stack("directory-file-directory", [layer(dir_("p"), file_("p/old", "o")), layer(file_("p", "2")),
                                   layer(dir_("p"), file_("p/new", "n"))],
      {"p": "d", "p/new": "f:n"})
stack("directory-to-symlink", [layer(dir_("p"), file_("p/old", "o"), dir_("q")),
                               layer(symlink("p", "q"))], {"p": "l:q", "q": "d"})
stack("symlink-to-directory", [layer(symlink("p", "q"), dir_("q"), file_("q/x", "x")),
                               layer(dir_("p"), file_("p/y", "y"))],
      {"p": "d", "p/y": "f:y", "q": "d", "q/x": "f:x"})
stack("symlink-to-file", [layer(symlink("p", "q"), file_("q", "q")), layer(file_("p", "new"))],
      {"p": "f:new", "q": "f:q"})
stack("device-to-file", [layer(char("p", 1, 3)), layer(file_("p", "f"))], {"p": "f:f"})
stack("directory-keeps-lower-content", [BASE, layer(dir_("d", mode=0o700, uid=7, mtime=9))],
      {"d": ("d", {"mode": 0o700, "uid": 7, "mtime": 9 * NS}), "d/a": "f:a", "d/b": "f:b",
       "d/sub": "d", "d/sub/x": "f:x"})
stack("upper-xattrs-replace-lower",
      [layer(dir_("d", xattrs={"user.a": "1", "user.b": "1"}), file_("f", xattrs={"user.a": "1"})),
       layer(dir_("d", xattrs={"user.c": "2"}), file_("f"))],
      {"d": ("d", {"xattrs": {"user.c": b"2"}}), "f": ("f:", {"xattrs": {}})})

# --- directories that no entry describes ------------------------------------------------------

stack("implicit-parents", [layer(file_("a/b/c", "c"))], {"a": D0, "a/b": D0, "a/b/c": "f:c",
                                                       ".": D0})
stack("implicit-parents-keep-lower",
      [layer(dir_("a", mode=0o1711, uid=5, gid=6, mtime=77, xattrs={"user.x": "y"})),
       layer(file_("a/f", "f"))],
      {"a": ("d", {"mode": 0o1711, "uid": 5, "gid": 6, "mtime": 77 * NS,
                   "xattrs": {"user.x": b"y"}}), "a/f": "f:f"})
stack("implicit-parents-of-whiteouts-keep-lower",
      [layer(dir_("a", mode=0o711, mtime=77), file_("a/f", "f")), layer(whiteout("a/f"))],
      {"a": ("d", {"mode": 0o711, "mtime": 77 * NS})})
stack("parent-entry-after-child", [layer(file_("a/f", "f"), dir_("a", mode=0o700, mtime=5))],
      {"a": ("d", {"mode": 0o700, "mtime": 5 * NS}), "a/f": "f:f"})
stack("root-entry", [layer(dir_("./", mode=0o750, uid=3, mtime=4))],
      {".": ("d", {"mode": 0o750, "uid": 3, "mtime": 4 * NS})})
stack("root-entry-of-upper-layer-wins",
      [layer(dir_("./", mode=0o750), file_("x", "x")), layer(dir_("./", mode=0o711))],
      {".": ("d", {"mode": 0o711}), "x": "f:x"})
stack("root-without-entry-keeps-lower",
      [layer(dir_("./", mode=0o750, mtime=4)), layer(file_("x", "x"))],
      {".": ("d", {"mode": 0o750, "mtime": 4 * NS}), "x": "f:x"})

# --- paths through symlinks: followed, never out of the root ----------------------------------

stack("below-symlink-of-same-layer",
      [layer(dir_("real"), symlink("s", "real"), file_("s/x", "x"))],
      {"real": "d", "real/x": "f:x", "s": "l:real"})
stack("below-symlink-of-lower-layer",
      [layer(dir_("usr"), dir_("usr/lib", mode=0o711), symlink("lib", "usr/lib")),
       layer(file_("lib/x", "x"))],
      {"usr": "d", "usr/lib": ("d", {"mode": 0o711}), "usr/lib/x": "f:x", "lib": "l:usr/lib"})
stack("below-absolute-symlink", [layer(dir_("etc"), symlink("s", "/etc"), file_("s/passwd", "x"))],
      {"etc": "d", "etc/passwd": "f:x", "s": "l:/etc"})
stack("below-symlink-above-root",
      [layer(dir_("d"), dir_("t"), symlink("d/s", "../../../../t"), file_("d/s/x", "x"))],
      {"d": "d", "t": "d", "t/x": "f:x", "d/s": "l:../../../../t"})
stack("below-symlink-chain",
      [layer(dir_("t"), symlink("s1", "t"), symlink("s2", "s1"), symlink("s3", "/s2"),
             file_("s3/x", "x"))],
      {"t": "d", "t/x": "f:x", "s1": "l:t", "s2": "l:s1", "s3": "l:/s2"})
stack("whiteout-below-symlink",
      [layer(dir_("t"), file_("t/x", "x"), file_("t/y", "y"), symlink("s", "t")),
       layer(whiteout("s/x"))],
      {"t": "d", "t/y": "f:y", "s": "l:t"})

# --- hard links -------------------------------------------------------------------------------

stack("hard-link-to-lower-layer", [layer(file_("a", "x", uid=4)), layer(hardlink("b", "a"))],
      {"a": "f:x", "b": ("=a", {"uid": 4, "nlink": 2})})
stack("hard-link-before-its-target", [layer(hardlink("b", "a"), hardlink("d/c", "b"),
                                            file_("a", "x"))],
      {"a": "f:x", "b": ("=a", {"nlink": 3}), "d": "d", "d/c": "=a"})
stack("hard-link-to-lower-file-and-not-to-a-later-one",
      [layer(file_("a", "x")), layer(hardlink("b", "a"), file_("a", "y"))],
      {"a": "f:y", "b": "f:x"})
stack("hard-link-to-lower-layer-then-changed",
      [layer(file_("a", "x"), hardlink("b", "a")), layer(file_("a", "new"))],
      {"a": "f:new", "b": ("f:x", {"nlink": 1})})
stack("hard-link-absolute-and-dotted", [layer(file_("a", "x"), hardlink("b", "/a"),
                                              hardlink("c", "./a"))],
      {"a": "f:x", "b": "=a", "c": "=a"})
stack("hard-link-to-symlink", [layer(symlink("s", "nowhere"), hardlink("h", "s"))],
      {"s": "l:nowhere", "h": "=s"})
stack("hard-link-to-device", [layer(char("n", 1, 3), hardlink("h", "n"), fifo("p"),
                                    hardlink("q", "p"))],
      {"n": "c:1,3", "h": "=n", "p": "p", "q": "=p"})
stack("hard-link-through-symlinked-directory",
      [layer(dir_("d"), file_("d/f", "f"), symlink("s", "d"), hardlink("h", "s/f"))],
      {"d": "d", "d/f": "f:f", "s": "l:d", "h": "=d/f"})
stack("hard-link-replaces", [layer(file_("a", "a"), file_("b", "b"), hardlink("b", "a"))],
      {"a": "f:a", "b": "=a"})
stack("hard-link-to-file-replaced-later", [layer(file_("a", "1"), hardlink("b", "a"),
                                                 file_("a", "2"))],
      {"a": "f:2", "b": "f:1"})
stack("hard-link-to-file-that-same-layer-whites-out",
      [layer(file_("a", "x")), layer(hardlink("b", "a"), whiteout("a"))], {"b": "f:x"})

# --- duplicates: the last one wins ------------------------------------------------------------

stack("duplicate-file", [layer(file_("a", "1", mode=0o600), file_("a", "22", mode=0o640))],
      {"a": ("f:22", {"mode": 0o640})})
stack("duplicate-directory", [layer(dir_("d", mode=0o700), file_("d/x", "x"),
                                    dir_("d", mode=0o711))],
      {"d": ("d", {"mode": 0o711}), "d/x": "f:x"})
stack("duplicate-directory-then-file", [layer(dir_("d"), file_("d/x", "x"), file_("d", "f"))],
      {"d": "f:f"})
stack("duplicate-file-then-directory", [layer(file_("d", "f"), dir_("d"), file_("d/x", "x"))],
      {"d": "d", "d/x": "f:x"})
stack("duplicate-spelled-differently", [layer(file_("./a", "1"), file_("a", "2"),
                                              file_("/a", "3"), file_("b/../a", "4"))],
      {"a": "f:4", "b": None})

# --- names ------------------------------------------------------------------------------------

stack("absolute-names", [layer(dir_("/a"), file_("/a/x", "x"), symlink("//s", "/a"))],
      {"a": "d", "a/x": "f:x", "s": "l:/a"})
stack("dot-components", [layer(file_("./a/./b//c", "c"), dir_("e/"))],
      {"a": D0, "a/b": D0, "a/b/c": "f:c", "e": "d"})
stack("dotdot-inside", [layer(dir_("a"), file_("a/../b", "b"))], {"a": "d", "b": "f:b"})
stack("name-255", [layer(file_("n" * 255, "x"))], {"n" * 255: "f:x"})
stack("name-bytes", [layer(file_(b"\xff\xfe\n\t\\", "x"), file_(b"caf\xc3\xa9", "y"))],
      {b"\xff\xfe\n\t\\": "f:x", b"caf\xc3\xa9": "f:y"})
stack("name-like-a-whiteout", [layer(file_("x.wh.y", "1"), file_(".whx", "2"), file_(".wh", "3"))],
      {"x.wh.y": "f:1", ".whx": "f:2", ".wh": "f:3"})
stack("gnu-long-names", [layer(file_("l" * 200 + "/" + "m" * 200, "x", fmt="gnu"),
                               symlink("s", "t" * 300, fmt="gnu"))],
      {"l" * 200: D0, "l" * 200 + "/" + "m" * 200: "f:x", "s": "l:" + "t" * 300})
stack("pax-long-names", [layer(file_("l" * 200 + "/" + "m" * 200, "x"), symlink("s", "t" * 300))],
      {"l" * 200: D0, "l" * 200 + "/" + "m" * 200: "f:x", "s": "l:" + "t" * 300})
stack("ustar-prefix", [layer(file_("p" * 120 + "/" + "q" * 99, "x", fmt="ustar"))],
      {"p" * 120: D0, "p" * 120 + "/" + "q" * 99: "f:x"})
stack("long-path", [layer(file_("/".join(["c" * 100] * 39), "x"))],
      {**{"/".join(["c" * 100] * n): D0 for n in range(1, 39)}, "/".join(["c" * 100] * 39): "f:x"})
stack("symlink-longest", [layer(symlink("s", "t" * 4095))], {"s": "l:" + "t" * 4095})

# --- the tar format's corners -----------------------------------------------------------------

stack("no-end-blocks", layer(file_("a", "x"), end=b""), {"a": "f:x"})
stack("one-end-block", layer(file_("a", "x"), end=bytes(512)), {"a": "f:x"})
stack("no-last-padding", layer(file_("a", "xyz", padding=False), end=b""), {"a": "f:xyz"})
stack("garbage-after-end", layer(file_("a", "x")) + b"garbage" * 1000, {"a": "f:x"})
stack("entries-after-end", layer(file_("a", "x")) + layer(file_("b", "y")), {"a": "f:x"})
stack("garbage-in-padding", layer(file_("a", "x", padding=False) + b"\xff" * 511), {"a": "f:x"})
stack("empty-layer", [layer(file_("a", "x")), layer()], {"a": "f:x"})
stack("only-empty-layer", layer(), {})
stack("v7", layer(file_("a", "x", fmt="v7", mode=0o640), entry("d/", b"\0", fmt="v7")),
      {"a": ("f:x", {"mode": 0o640}), "d": "d"})  # v7: a name that ends in / is a directory
stack("type-zero-byte", layer(entry("a", b"\0", b"x")), {"a": "f:x"})
stack("type-7-is-a-file", layer(entry("a", b"7", b"x")), {"a": "f:x"})
stack("gzip-multi-member", compress(layer(file_("a", "x"), end=b""), "gzip") +
      compress(layer(file_("b", "y")), "gzip"), {"a": "f:x", "b": "f:y"})
stack("gzip-zeros-after-end", compress(layer(file_("a", "x")), "gzip") + bytes(512), {"a": "f:x"})
stack("zstd-multi-frame", compress(layer(file_("a", "x"), end=b""), "zstd") +
      compress(layer(file_("b", "y")), "zstd"), {"a": "f:x", "b": "f:y"})
stack("zstd-skippable-frame", b"\x50\x2a\x4d\x18\x04\0\0\0abcd" +
      compress(layer(file_("a", "x")), "zstd"), {"a": "f:x"})
stack("global-pax-header", layer(global_pax({"comment": "c" * 40}), file_("a", "x")), {"a": "f:x"})
stack("global-pax-header-sets-defaults",
      layer(global_pax({"uid": "77", "mtime": "5"}), file_("a", "x"),
            file_("b", "x", pax_extra={"uid": "78"})),
      {"a": ("f:x", {"uid": 77, "mtime": 5 * NS}), "b": ("f:x", {"uid": 78})})
stack("pax-unknown-records", layer(file_("a", "x", pax_extra={"VENDOR.thing": "1", "hdrcharset":
                                                             "BINARY", "comment": "\n"})),
      {"a": "f:x"})
stack("pax-size-wins", layer(file_("a", "y" * 600, size=600, raw={"size": b"0" * 11},
                                   pax_extra={"size": "600"}), file_("b", "x")),
      {"a": "f:" + "y" * 600, "b": "f:x"})
# A size record describes the entry, never the extended headers that stand between them.
stack("pax-size-skips-long-name-header",
      layer(pax({"size": "600"}) + long_("named") + header("cut", b"0", 0) +
            pad(b"y" * 600), file_("b", "x")),
      {"named": "f:" + "y" * 600, "b": "f:x"})
stack("pax-record-twice", layer(file_("a", "x", pax_extra=[("path", "b"), ("path", "c")])),
      {"c": "f:x"})
stack("pax-path-wins", layer(file_("a", "x", pax_extra={"path": "b"})), {"b": "f:x"})
# POSIX: an empty value deletes the field of that name, and the header's own counts again.
stack("pax-empty-value-deletes", layer(file_("a", "x", pax_extra={"path": ""}),
                                       file_("b", "x", uid=7, raw={"uid": b"0000007"},
                                             pax_extra=[("uid", "9"), ("uid", "")])),
      {"a": "f:x", "b": ("f:x", {"uid": 7})})
stack("pax-mtime-fraction", layer(file_("a", "x", pax_extra={"mtime": "1.25"}),
                                  file_("b", "x", pax_extra={"mtime": "3.1234567899"})),
      {"a": ("f:x", {"mtime": 1250000000}), "b": ("f:x", {"mtime": 3123456789})})
stack("mtime-negative", layer(file_("a", "x", mtime_ns=-1500000001),
                              file_("b", "x", fmt="gnu", mtime=-5)),
      {"a": ("f:x", {"mtime": -1500000001}), "b": ("f:x", {"mtime": -5 * NS})})
stack("mtime-far", layer(file_("a", "x", mtime=2**33)), {"a": ("f:x", {"mtime": 2**33 * NS})})
stack("ids-base256", layer(file_("a", "x", fmt="gnu", uid=2**32 - 2, gid=2**31)),
      {"a": ("f:x", {"uid": 2**32 - 2, "gid": 2**31})})
stack("ids-pax", layer(file_("a", "x", uid=2**32 - 2, gid=2**31)),
      {"a": ("f:x", {"uid": 2**32 - 2, "gid": 2**31})})
stack("ids-not-names", layer(file_("a", "x", uid=12345, uname="root", gname="root")),
      {"a": ("f:x", {"uid": 12345, "gid": 0})})
stack("mode-with-type-bits", layer(file_("a", "x", raw={"mode": b"0104755\0"})),
      {"a": ("f:x", {"mode": 0o4755})})
stack("numbers-with-spaces", layer(file_("a", "x", raw={"mode": b"   644 \0", "uid": b"     7 \0",
                                                       "size": b"          1 "})),
      {"a": ("f:x", {"mode": 0o644, "uid": 7})})
stack("checksum-signed", layer((lambda h: h[:148] + b"%06o\0 " % (
      sum(c - 256 if c > 127 else c for c in h[:148] + b" " * 8 + h[156:]) & 0o777777) + h[156:])
      (header(b"\xe9" * 3, b"0", 1)) + pad(b"x")), {b"\xe9" * 3: "f:x"})

HOLES = [(0, b"a" * 512), (1 << 20, b"b" * 1024)]
HOLED = ("s", {"size": (1 << 20) + 1024 + 4096, "data": HOLES})
for form, data in (
        ("gnu", sparse_gnu("h", HOLED[1]["size"], HOLES)),
        ("pax-0.0", sparse_pax("h", HOLED[1]["size"], HOLES, "0.0")),
        ("pax-0.1", sparse_pax("h", HOLED[1]["size"], HOLES, "0.1")),
        ("pax-1.0", sparse_pax("h", HOLED[1]["size"], HOLES, "1.0"))):
    stack("sparse-" + form, layer(data, file_("after", "x")), {"h": HOLED, "after": "f:x"})
MANY = [(i * 1024, b"%d" % (i % 10) * 512) for i in range(100)]
stack("sparse-gnu-many", layer(sparse_gnu("h", 200 * 1024, MANY), file_("after", "x")),
      {"h": ("s", {"size": 200 * 1024, "data": MANY}), "after": "f:x"})
stack("sparse-pax-many", layer(sparse_pax("h", 200 * 1024, MANY), file_("after", "x")),
      {"h": ("s", {"size": 200 * 1024, "data": MANY}), "after": "f:x"})
stack("sparse-all-hole", layer(sparse_pax("h", 1 << 40, []), file_("after", "x")),
      {"h": ("s", {"size": 1 << 40, "data": []}), "after": "f:x"})

# --- what must not take effect ----------------------------------------------------------------

stack("overlay-xattrs-are-dropped",
      [BASE, layer(dir_("d", xattrs={"trusted.overlay.opaque": "y", "user.overlay.opaque": "y",
                                     "user.kept": "1"}),
                   file_("r", "r", xattrs={"trusted.overlay.redirect": "/d/a",
                                           "trusted.overlay.metacopy": "",
                                           "user.overlay.whiteout": "y"}))],
      {"d": ("d", {"xattrs": {"user.kept": b"1"}}), "d/a": "f:a", "d/b": "f:b", "d/sub": "d",
       "d/sub/x": "f:x", "r": ("f:r", {"xattrs": {}})})
stack("char-device-0-0-is-a-device", [BASE, layer(char("d/a", 0, 0), char("d/new", 0, 0))],
      {"d": "d", "d/a": "c:0,0", "d/new": "c:0,0", "d/b": "f:b", "d/sub": "d", "d/sub/x": "f:x"})
stack("xattrs-kept", [layer(file_("a", "x", xattrs={
        "user.empty": b"", "user.bytes": b"\0=\n\xff", "trusted.t": "1",
        "security.capability": b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"}))],
      {"a": ("f:x", {"xattrs": {"user.empty": b"", "user.bytes": b"\0=\n\xff", "trusted.t": b"1",
             "security.capability": b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"}})})
# Images made on a Mac carry such names; Linux has no place for them, and engines drop them.
stack("xattrs-of-other-systems-are-dropped",
      layer(file_("a", "x", xattrs={"com.apple.provenance": "1", "user.a": "1"})),
      {"a": ("f:x", {"xattrs": {"user.a": b"1"}})})
stack("xattr-64k", layer(file_("a", "x", xattrs={"user.big": b"v" * 65535})),
      {"a": ("f:x", {"xattrs": {"user.big": b"v" * 65535}})})
stack("xattr-name-255", layer(file_("a", "x", xattrs={"user." + "n" * 250: "1"})),
      {"a": ("f:x", {"xattrs": {"user." + "n" * 250: b"1"}})})

stack("devices", layer(char("null", 1, 3, mode=0o666), block("sda", 8, 0), fifo("p"),
                       char("far", 4095, 1048575)),
      {"null": ("c:1,3", {"mode": 0o666}), "sda": "b:8,0", "p": "p", "far": "c:4095,1048575"})
stack("many-layers", [layer(file_("f%d" % n, str(n)), file_("same", str(n))) for n in range(130)],
      {**{"f%d" % n: "f:%d" % n for n in range(130)}, "same": "f:129"})


# --- making and checking ----------------------------------------------------------------------

def make(directory, name):
    source, _ = STACKS[name]
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    if isinstance(source, bytes):
        write(path + ".tar", source)
        return "tar:%s.tar" % path
    oci_layout(path, source, how="plain")
    return "oci:%s:t" % path


def what_is(path, st):
    kind = stat.S_IFMT(st.st_mode)
    device = "%d,%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
    if kind == stat.S_IFREG:
        return "f"
    return {stat.S_IFDIR: "d", stat.S_IFIFO: "p", stat.S_IFCHR: "c:" + device,
            stat.S_IFBLK: "b:" + device, stat.S_IFSOCK: "socket"}.get(kind) or \
        "l:" + os.fsdecode(os.readlink(path))


def check_data(path, size, data):
    """A sparse file: what is in its extents, and zeros at places between them."""
    with open(path, "rb") as f:
        end = 0
        for at, piece in data + [(size, b"")]:
            f.seek(end)
            hole = f.read(min(at - end, 1 << 21))
            if hole.count(0) != len(hole):
                return "the hole at %d is not zeros" % end
            f.seek(at)
            if f.read(len(piece)) != piece:
                return "the data at %d differ" % at
            end = at + len(piece)
    return None


def check_entry(root, path, want, attrs):
    full = os.path.join(root, path)
    st = os.lstat(full)
    if want.startswith("="):
        other = os.lstat(os.path.join(root, os.fsencode(want[1:])))
        if other.st_ino != st.st_ino:
            yield "is not the inode of " + want[1:]
    elif want == "s":
        if st.st_size != attrs["size"]:
            yield "size %d, expected %d" % (st.st_size, attrs["size"])
        else:
            wrong = check_data(full, attrs["size"], attrs["data"])
            if wrong:
                yield wrong
    else:
        got = what_is(full, st)
        if got == "f":
            with open(full, "rb") as f:
                got += ":" + f.read(1 << 20).decode("latin-1")
        if got != want:
            yield "%.80r, expected %.80r" % (got, want)
    values = {"mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid,
              "mtime": st.st_mtime_ns, "nlink": st.st_nlink}
    for key, value in values.items():
        if key in attrs and attrs[key] != value:
            yield "%s %s, expected %s" % (key, value, attrs[key])
    if "xattrs" in attrs:
        got = {k: os.getxattr(full, k, follow_symlinks=False)
               for k in os.listxattr(full, follow_symlinks=False)}
        if got != attrs["xattrs"]:
            yield "xattrs %.200r, expected %.200r" % (got, attrs["xattrs"])


def check(name, root):
    """The differences between the tree at root and what the stack must give."""
    root = os.fsencode(root)
    want = {os.fsencode(k): v for k, v in STACKS[name][1].items()}
    found = {b"."}
    for top, dirs, files in os.walk(root):
        found |= {os.path.relpath(os.path.join(top, n), root) for n in dirs + files}
    for path in sorted(found - want.keys() - {b"."}):
        yield "%s: should not be there" % show(path)
    for path, value in sorted(want.items()):
        if value is None:
            continue
        if path not in found:
            yield "%s: is missing" % show(path)
            continue
        spec, attrs = value if isinstance(value, tuple) else (value, {})
        for line in check_entry(root, path, spec, attrs):
            yield "%s: %s" % (show(path), line)


def show(path):
    return repr(path)[1:] if len(path) < 100 else repr(path[:97])[1:] + "..."


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "list":
        for name in STACKS:
            if not args or any(fnmatch.fnmatch(name, a) for a in args):
                print(name)
    elif what == "make":
        print(make(*args))
    elif what == "check":
        wrong = list(check(*args))
        for line in wrong:
            print(line)
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
