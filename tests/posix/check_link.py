# SPDX-License-Identifier: Apache-2.0
"""link(2)"""
from helpers import *


def test_paths_old():
    path_errors(lambda p: os.link(p, "new"))


def test_paths_new():
    make("old")
    path_errors(lambda p: os.link("old", p), None)


def test_one_file():
    for kind in NON_DIRS:
        make_of(kind, kind)
        with changes(kind, "c"), changes(".", "mc"):
            os.link(kind, kind + "2", follow_symlinks=False)
        a, b = os.lstat(kind), os.lstat(kind + "2")
        same((a.st_ino, a.st_mode, a.st_nlink), (b.st_ino, b.st_mode, 2), kind)
        os.chown(kind, USER, OTHER, follow_symlinks=False)
        same(owner(kind + "2"), (USER, OTHER))
        os.unlink(kind)
        same(os.lstat(kind + "2").st_nlink, 1)


def test_content_is_shared():
    make("a")
    os.link("a", "b")
    os.mkdir("d")
    os.link("b", "d/c")
    open("a", "w").write("one")
    same(open("d/c").read(), "one")
    open("d/c", "a").write("two")
    same(open("b").read(), "onetwo")
    with changes("a", "c"):
        os.chmod("d/c", 0o600)
    same(mode("a"), 0o600)
    same(os.stat("a").st_nlink, 3)


def test_exists():
    make("old")
    for kind in KINDS:
        make_of(kind, kind)
        fails("EEXIST", os.link, "old", kind)
    same(os.stat("old").st_nlink, 1)


def test_directory():
    os.mkdir("d")
    fails("EPERM", os.link, "d", "e")


def test_symlink():
    make("t")
    os.symlink("t", "l")
    os.link("l", "l2", follow_symlinks=False)
    check(os.path.islink("l2"), "no symlink")
    link_follow("l", "t2")
    same(os.stat("t").st_nlink, 2)


def test_permissions():
    make("f", 0o666, USER)
    make_dir("d", 0o755)
    with user(USER):
        fails("EACCES", os.link, "f", "d/f")
        os.link("f", "g")


def test_of_unlinked():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o644)
    os.unlink("f")
    fails("ENOENT", link_fd, fd, "g")
    os.close(fd)


def test_many():
    make("f")
    for i in range(300):
        os.link("f", "l%d" % i)
    same(os.stat("l299").st_nlink, 301)
    same(len({os.stat(n).st_ino for n in names()}), 1)


def test_other_file_system():
    make("f")
    fails("EXDEV", os.link, "/proc/self/stat", "g")
