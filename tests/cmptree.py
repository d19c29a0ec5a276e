#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare two directory trees in every attribute.

usage: cmptree.py [options] A B

Compared: names, type, mode, owner, mtime with nanoseconds, size, symlink target, device number,
all xattrs, which names are links to one inode, link counts, and content.  Each difference is one
line `PATH: ATTRIBUTE: A's value, B's value`; exit 1 if there is any, 2 for wrong usage.

--mtime-tolerance SEC   times may differ by less than SEC seconds
--ignore ATTRS          comma-separated attributes not compared (mode, uid, gid, mtime, size,
                        xattrs, nlink, ...); `dir-nlink` is always the file system's own affair
--ignore-root ATTRS     the same, for the root directory only
--ignore-xattr GLOB     xattrs whose name matches are not compared (repeatable)
--ignore-path GLOB      paths that match, and all below them, are left out (repeatable)
--sparse                B may have no data where A has a hole (rounded to --sparse-grain bytes)
--sparse-grain BYTES    131072 unless told
--max N                 stop after N lines of differences (100)

It never builds a path: it goes down and up by directory descriptors, so trees may be deeper than
PATH_MAX.  Content is compared as a digest over the blocks that are not zero, so that holes and
written zeros are equal and a huge sparse file costs nothing.
"""
import argparse
import errno
import fnmatch
import hashlib
import os
import stat
import sys

BLOCK = 64 * 1024
TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
         stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket"}


def data_extents(fd, size):
    """[start, end) of each run of data, as the file system tells."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def content(fd, size):
    """(digest over the non-zero blocks and their offsets, list of data extents)"""
    digest, extents, done = hashlib.sha256(), [], 0
    for start, end in data_extents(fd, size):
        extents.append((start, end))
        at = max(done, start - start % BLOCK)
        os.lseek(fd, at, os.SEEK_SET)
        while at < end:
            data = b""
            while len(data) < BLOCK:
                more = os.read(fd, BLOCK - len(data))
                if not more:
                    break
                data += more
            if not data:
                break
            if data.count(0) != len(data):
                digest.update(at.to_bytes(8, "big") + data)
            at += len(data)
        done = at
    return digest.hexdigest(), extents


def xattrs(name):
    try:
        names = os.listxattr(name, follow_symlinks=False)
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            return {}
        raise
    return {k: os.getxattr(name, k, follow_symlinks=False) for k in names}


class Tree:
    """All of a tree's attributes, as {path: {attribute: value}}, and its link groups."""

    def __init__(self, root, ignored_path):
        self.entries, self.groups, self.errors = {}, {}, []
        self.contents, self.extents, self.ignored_path = {}, {}, ignored_path
        self.home = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        os.chdir(root)
        try:
            self.device = os.lstat(".").st_dev
            self.walk()
        finally:
            os.fchdir(self.home)
            os.close(self.home)

    def walk(self):
        """Depth first with the working directory as the only descriptor in use."""
        self.add(b".", b".", os.lstat("."))
        stack = [(b"", self.read_dir(b""))]
        while stack:
            path, subdirs = stack[-1]
            if not subdirs:
                stack.pop()
                if stack:
                    os.chdir("..")
                continue
            name = subdirs.pop()
            below = path + b"/" + name if path else name
            try:
                os.chdir(name)
            except OSError as e:
                self.errors.append((below, e))
                continue
            stack.append((below, self.read_dir(below)))

    def read_dir(self, path):
        """Add the working directory's entries; returns the names of its directories."""
        dirs = []
        try:
            names = os.listdir(b".")
        except OSError as e:
            self.errors.append((path, e))
            return dirs
        if len(names) != len(set(names)):
            self.errors.append((path, "a name is listed twice"))
        for name in sorted(names, reverse=True):
            full = path + b"/" + name if path else name
            if self.ignored_path(full):
                continue
            try:
                st = os.lstat(name)
                self.add(full, name, st)
            except OSError as e:
                self.errors.append((full, e))
                continue
            if stat.S_ISDIR(st.st_mode):
                dirs.append(name)
        return dirs

    def add(self, path, name, st):
        kind = TYPES[stat.S_IFMT(st.st_mode)]
        e = {"type": kind, "mode": "%04o" % stat.S_IMODE(st.st_mode), "uid": st.st_uid,
             "gid": st.st_gid, "mtime": st.st_mtime_ns, "xattrs": xattrs(name)}
        if kind == "directory":
            self.entries[path] = e
            return
        e["nlink"] = st.st_nlink
        self.groups.setdefault(st.st_ino, []).append(path)
        if kind in ("file", "symlink"):
            e["size"] = st.st_size
        if kind == "symlink":
            e["target"] = os.readlink(name)
        if kind in ("char", "block"):
            e["device"] = "%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
        if kind == "file":
            if st.st_ino not in self.contents:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    self.contents[st.st_ino] = content(fd, st.st_size)
                finally:
                    os.close(fd)
            e["content"], self.extents[path] = self.contents[st.st_ino]
        self.entries[path] = e

    def partition(self):
        """{path: the set of names of its inode within this tree}"""
        out = {}
        for paths in self.groups.values():
            group = tuple(sorted(paths))
            for p in paths:
                out[p] = group
        return out


def show(path):
    text = path.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
    return text if len(text) < 300 else text[:140] + "..." + text[-140:]


def brief(value):
    text = repr(value)
    return text if len(text) < 120 else text[:117] + "..."


def covered(a, b, grain):
    """The first data extent of b that a, rounded out to the grain, does not hold, or None."""
    wide = []
    for start, end in a:
        start, end = start - start % grain, end + -end % grain
        if wide and start <= wide[-1][1]:
            wide[-1][1] = max(end, wide[-1][1])
        else:
            wide.append([start, end])
    for start, end in b:
        if not any(s <= start and end <= e for s, e in wide):
            return start, end
    return None


class Report:
    def __init__(self, limit):
        self.count, self.limit = 0, limit

    def __call__(self, path, what, *values):
        self.count += 1
        if self.count <= self.limit:
            print("%s: %s%s" % (show(path), what,
                                ": " + ", ".join(brief(v) for v in values) if values else ""))
        elif self.count == self.limit + 1:
            print("...")


def compare_entry(path, a, b, args, report):
    ignore = args.ignore | (args.ignore_root if path == b"." else set())
    if a["type"] != b["type"]:
        report(path, "type", a["type"], b["type"])
        return
    for key in a:
        if key in ignore or key == "xattrs":
            continue
        if key == "mtime" and abs(a[key] - b[key]) < args.mtime_tolerance * 10**9:
            continue
        if a[key] != b[key]:
            report(path, key, a[key], b[key])
    if "xattrs" in ignore:
        return
    for key in sorted(set(a["xattrs"]) | set(b["xattrs"])):
        if any(fnmatch.fnmatchcase(key, g) for g in args.ignore_xattr):
            continue
        va, vb = a["xattrs"].get(key), b["xattrs"].get(key)
        if va != vb:
            report(path, "xattr " + key, va, vb)


def compare(a, b, args, report):
    for tree, name in ((a, "A"), (b, "B")):
        for path, error in tree.errors:
            report(path, "error in " + name, str(error))
    for path in sorted(a.entries.keys() - b.entries.keys()):
        report(path, "only in A", a.entries[path]["type"])
    for path in sorted(b.entries.keys() - a.entries.keys()):
        report(path, "only in B", b.entries[path]["type"])
    links_a, links_b = a.partition(), b.partition()
    for path in sorted(a.entries.keys() & b.entries.keys()):
        ea, eb = a.entries[path], b.entries[path]
        compare_entry(path, ea, eb, args, report)
        if "links" not in args.ignore and links_a.get(path) != links_b.get(path) \
                and ea["type"] == eb["type"]:
            report(path, "linked with", links_a.get(path), links_b.get(path))
        if args.sparse and path in a.extents and path in b.extents:
            extra = covered(a.extents[path], b.extents[path], args.sparse_grain)
            if extra:
                report(path, "data where A has a hole", extra)


def main():
    names = lambda s: set(filter(None, s.split(",")))
    p = argparse.ArgumentParser(usage="cmptree.py [options] A B")
    p.add_argument("a")
    p.add_argument("b")
    p.add_argument("--mtime-tolerance", type=float, default=0)
    p.add_argument("--ignore", type=names, default=set())
    p.add_argument("--ignore-root", type=names, default=set())
    p.add_argument("--ignore-xattr", action="append", default=[])
    p.add_argument("--ignore-path", action="append", default=[], type=os.fsencode)
    p.add_argument("--sparse", action="store_true")
    p.add_argument("--sparse-grain", type=int, default=131072)
    p.add_argument("--max", type=int, default=100)
    args = p.parse_args()
    ignored = lambda path: any(fnmatch.fnmatchcase(path, g) for g in args.ignore_path)
    report = Report(args.max)
    trees = []
    for root in (args.a, args.b):
        try:
            trees.append(Tree(root, ignored))
        except OSError as e:
            print("cmptree.py: %s: %s" % (root, e), file=sys.stderr)
            sys.exit(2)
    compare(*trees, args, report)
    sys.exit(1 if report.count else 0)


if __name__ == "__main__":
    main()
