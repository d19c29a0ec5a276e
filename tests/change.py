#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a small tree, and change one at random: what an overlay mount has to keep, and a commit.

usage: change.py make DIR SEED     files, directories, links of all kinds
       change.py change DIR SEED N  N random changes: write, truncate, chmod, xattr, rename (also of
                                    directories), link, unlink, remove and make again
"""
import os
import random
import stat
import sys


def content(r):
    n = r.choice([0, 1, 100, 512, 513, 4096, 5000, 70000, 131072, 300000])
    return r.randbytes(n) if r.random() < 0.7 else bytes(n)


def walk(top):
    dirs, files = [top], []
    for path, names, others in os.walk(top):
        names.sort()
        dirs += [os.path.join(path, n) for n in names if not os.path.islink(os.path.join(path, n))]
        files += [os.path.join(path, n) for n in sorted(others)]
    return dirs, files


def is_file(path):
    return stat.S_ISREG(os.lstat(path).st_mode)


def new_name(r, dirs):
    return os.path.join(r.choice(dirs), r.choice("abcdefgh") + r.choice(["", "1", ".x"]))


def write(r, path):
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size
        how = r.randrange(4)
        if how == 0:
            f.truncate(r.randrange(size + 10000))
        elif how == 1:
            f.seek(r.randrange(size + 200000))
            f.write(content(r))
        else:
            f.seek(r.randrange(size + 1))
            f.write(r.randbytes(r.randrange(1, 9000)))


def create(r, dirs):
    path = new_name(r, dirs)
    if os.path.lexists(path):
        return
    how = r.randrange(8)
    if how < 3:
        with open(path, "wb") as f:
            f.write(content(r))
    elif how < 5:
        os.mkdir(path)
    elif how == 5:
        os.symlink(r.choice(["a", "../b", "/c", "x" * 200]), path)
    elif how == 6:
        os.mkfifo(path)
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def attributes(r, path):
    how = r.randrange(4)
    if how == 0 and not os.path.islink(path):
        os.chmod(path, r.choice([0o600, 0o644, 0o755, 0o700, 0o4755]))
    elif how == 1:
        os.chown(path, r.randrange(5), r.randrange(5), follow_symlinks=False)
    elif how == 2:
        os.utime(path, ns=(10**18, r.randrange(10**18)), follow_symlinks=False)
    elif is_file(path) or os.path.isdir(path) and not os.path.islink(path):
        os.setxattr(path, "user." + r.choice("abc"), r.randbytes(r.randrange(1, 300)))


def rename(r, dirs, files):
    old = r.choice(dirs[1:] + files) if len(dirs) + len(files) > 1 else None
    new = new_name(r, dirs)
    if not old or (new + "/").startswith(old + "/"):
        return
    if os.path.isdir(new) and not os.path.islink(new):
        return
    if os.path.lexists(new) and os.path.isdir(old) and not os.path.islink(old):
        return
    os.rename(old, new)


def remove_tree(top):
    for path, names, files in os.walk(top, topdown=False):
        for n in files + [n for n in names if os.path.islink(os.path.join(path, n))]:
            os.unlink(os.path.join(path, n))
        os.rmdir(path)


def change(r, top):
    dirs, files = walk(top)
    regular = [f for f in files if is_file(f)]
    how = r.randrange(20)
    if how < 5:
        create(r, dirs)
    elif how < 9 and regular:
        write(r, r.choice(regular))
    elif how < 11 and regular:
        new = new_name(r, dirs)
        if not os.path.lexists(new):
            os.link(r.choice(regular), new)
    elif how < 13:
        attributes(r, r.choice(dirs + files))
    elif how < 17:
        rename(r, dirs, files)
    elif how < 19 and files:
        os.unlink(r.choice(files))
    elif len(dirs) > 1:
        victim = r.choice(dirs[1:])
        remove_tree(victim)
        if r.random() < 0.5:
            os.mkdir(victim)


def main():
    what, top, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    r = random.Random(seed)
    if what == "make":
        os.makedirs(top, exist_ok=True)
    for _ in range(60 if what == "make" else int(sys.argv[4])):
        change(r, top)


main()
