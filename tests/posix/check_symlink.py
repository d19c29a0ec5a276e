# SPDX-License-Identifier: Apache-2.0
"""symlink(2), readlink(2)"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.symlink("t", p), None)


def test_paths_readlink():
    path_errors(os.readlink)


def test_targets():
    for t in ("a", "../x", "/", "x" * 255, "a/" * 1000, "y" * 4095, "\xff\n"):
        os.symlink(t, "l")
        same(os.readlink("l"), t)
        same(os.lstat("l").st_size, len(os.fsencode(t)))
        os.unlink("l")
    fails("ENOENT", os.symlink, "", "l")
    fails("ENAMETOOLONG", os.symlink, "y" * 4096, "l")


def test_mode_and_owner():
    os.umask(0o077)
    with changes(".", "mc"):
        os.symlink("t", "l")
    os.umask(0)
    same(mode("l"), 0o777)
    with user(USER, OTHER):
        os.symlink("t", "u")
    same(owner("u"), (USER, OTHER))


def test_exists():
    for kind in KINDS:
        make_of(kind, kind)
        fails("EEXIST", os.symlink, "t", kind)


def test_follow():
    os.mkdir("d")
    make("d/f", content=b"x")
    os.symlink("d", "l")
    same(open("l/f").read(), "x")
    same(os.stat("l").st_ino, os.stat("d").st_ino)
    os.symlink("l/f", "m")
    same(open("m").read(), "x")


def test_loop():
    os.symlink("l", "l")
    fails("ELOOP", os.stat, "l")
    for i in range(45):
        os.symlink("c%d" % (i + 1), "c%d" % i)
    make("c45")
    fails("ELOOP", os.stat, "c0")
    os.stat("c6")  # 39 in a row


def test_readlink_of_others():
    for kind in KINDS:
        if kind != "symlink":
            make_of(kind, kind)
            fails("EINVAL", os.readlink, kind)


def test_permission():
    make_dir("d", 0o555, USER)
    with user(USER):
        fails("EACCES", os.symlink, "t", "d/l")
