# SPDX-License-Identifier: Apache-2.0
"""rename(2), renameat2(2)"""
from helpers import *


def test_paths_old():
    path_errors(lambda p: os.rename(p, "new"))


def test_paths_new():
    make("old")
    path_errors(lambda p: os.rename("old", p), None)


def test_each_kind():
    for kind in KINDS:
        make_of(kind, kind)
        before = os.lstat(kind)
        os.mkdir("to." + kind)
        with changes(".", "mc"), changes("to." + kind, "mc"):
            os.rename(kind, "to." + kind + "/new")
        after = os.lstat("to." + kind + "/new")
        same((after.st_ino, after.st_mode, after.st_mtime_ns), (before.st_ino, before.st_mode, before.st_mtime_ns))
        fails("ENOENT", os.lstat, kind)


def test_over_each_kind():
    for old in NON_DIRS:
        for new in NON_DIRS:
            make_of(old, "a")
            make_of(new, "b")
            ino = os.lstat("a").st_ino
            os.rename("a", "b")
            same(os.lstat("b").st_ino, ino, old + " over " + new)
            os.unlink("b")


def test_directory_rules():
    os.mkdir("d")
    make("f")
    os.mkdir("full")
    make("full/x")
    fails("ENOTDIR", os.rename, "d", "f")
    fails("EISDIR", os.rename, "f", "d")
    fails("ENOTEMPTY|EEXIST", os.rename, "d", "full")
    os.rename("full", "d")
    same(names("d"), ["x"])
    fails("EINVAL", os.rename, "d", "d/x2")
    os.mkdir("d/e")
    fails("EINVAL", os.rename, "d", "d/e/g")
    fails("ENOTEMPTY", os.rename, "d/e", "d")


def test_dots():
    os.mkdir("d")
    fails("EBUSY|EINVAL", os.rename, "d/.", "e")
    fails("EBUSY|EINVAL", os.rename, "d/..", "e")
    os.mkdir("e")
    fails("EBUSY|EINVAL", os.rename, "e", "d/.")


def test_same_file():
    make("a")
    os.link("a", "b")
    with changes(".", ""):
        os.rename("a", "b")  # does nothing
        os.rename("a", "a")
    same(names(), ["a", "b"])


def test_link_counts():
    make("a")
    os.link("a", "a2")
    make("b")
    os.link("b", "b2")
    with changes("b2", "c"):
        os.rename("a", "b")
    same((os.stat("b").st_nlink, os.stat("b2").st_nlink), (2, 1))


def test_directory_parent():
    os.makedirs("a/d")
    os.mkdir("b")
    make("a/d/f", content=b"x")
    os.rename("a/d", "b/d")
    same(os.stat("b/d/..").st_ino, os.stat("b").st_ino)
    same(open("b/d/f").read(), "x")
    os.chdir("b/d")
    os.rename("../../b/d", "../../a/e")
    same(os.getcwd().split("/")[-2:], ["a", "e"])
    make("g")
    os.chdir("../..")
    same(names("a/e"), ["f", "g"])


def test_open_files_stay():
    make("a", content=b"A")
    make("b", content=b"B")
    fa, fb = os.open("a", os.O_RDWR), os.open("b", os.O_RDWR)
    os.rename("a", "b")
    os.write(fa, b"from a")
    os.write(fb, b"from b")
    same(open("b").read(), "from a")
    same(os.pread(fb, 99, 0), b"from b")
    same((os.fstat(fa).st_nlink, os.fstat(fb).st_nlink), (1, 0))
    os.close(fa)
    os.close(fb)


def test_noreplace():
    make("a")
    for kind in KINDS:
        make_of(kind, kind)
        fails("EEXIST", renameat2, "a", kind, RENAME_NOREPLACE)
    renameat2("a", "new", RENAME_NOREPLACE)
    fails("ENOENT", renameat2, "a", "c", RENAME_NOREPLACE)


def test_exchange():
    for a in KINDS:
        for b in KINDS:
            make_of(a, "a")
            make_of(b, "b")
            inos = os.lstat("a").st_ino, os.lstat("b").st_ino
            renameat2("a", "b", RENAME_EXCHANGE)
            same((os.lstat("b").st_ino, os.lstat("a").st_ino), inos, a + " and " + b)
            for n in names():
                os.rmdir(n) if os.path.isdir(n) and not os.path.islink(n) else os.unlink(n)
    make("a")
    fails("ENOENT", renameat2, "a", "none", RENAME_EXCHANGE)
    os.makedirs("d/e")
    fails("EINVAL", renameat2, "d", "d/e", RENAME_EXCHANGE)
    fails("EINVAL", renameat2, "a", "d", RENAME_EXCHANGE | RENAME_NOREPLACE)


def test_exchange_full_directories():
    os.makedirs("a/d/x")
    os.makedirs("b/e/y")
    with changes("a", "mc"), changes("b", "mc"):
        renameat2("a/d", "b/e", RENAME_EXCHANGE)
    same((names("a/d"), names("b/e")), (["y"], ["x"]))
    same(os.stat("a/d/..").st_ino, os.stat("a").st_ino)


def test_permissions():
    make_dir("from", 0o555, USER)
    make_dir("to", 0o777, USER)
    make("from/f", 0o666, USER)
    with user(USER):
        fails("EACCES", os.rename, "from/f", "to/f")
    os.chmod("from", 0o777)
    os.chmod("to", 0o555)
    with user(USER):
        fails("EACCES", os.rename, "from/f", "to/f")
    os.chmod("to", 0o777)
    make_dir("from/d", 0o555, OTHER)
    with user(USER):  # a directory that is moved gets another ..: it must be writable
        fails("EACCES", os.rename, "from/d", "to/d")


def test_sticky():
    make_dir("s", 0o1777)
    make_dir("t", 0o1777)
    make("s/others", 0o666, OTHER)
    make("s/mine", 0o666, USER)
    make("t/others", 0o666, OTHER)
    with user(USER):
        fails("EPERM|EACCES", os.rename, "s/others", "s/x")
        fails("EPERM|EACCES", os.rename, "s/mine", "t/others")
        os.rename("s/mine", "t/new")


def test_deep_and_back():
    os.makedirs("a/b/c/d")
    make("a/b/c/d/f", content=b"x")
    for i in range(20):
        os.rename("a/b/c", "a/c")
        os.rename("a/c", "a/b/c")
    same(open("a/b/c/d/f").read(), "x")


def test_name_is_free_after():
    for i in range(30):
        make("a", content=b"%d" % i)
        os.rename("a", "b")
        fails("ENOENT", os.stat, "a")
        same(open("b").read(), str(i))
        os.mkdir("a")
        make("a/x")
        same(names("a"), ["x"])
        os.unlink("a/x")
        os.rmdir("a")
