# SPDX-License-Identifier: Apache-2.0
"""unlink(2)"""
from helpers import *


def test_paths():
    path_errors(os.unlink)


def test_each_kind():
    for kind in NON_DIRS:
        make_of(kind, kind)
        with changes(".", "mc"):
            os.unlink(kind)
        fails("ENOENT", os.lstat, kind)


def test_directory():
    os.mkdir("d")
    fails("EISDIR", os.unlink, "d")  # Linux's, where POSIX says EPERM


def test_link_count():
    make("a")
    os.link("a", "b")
    same(os.stat("a").st_nlink, 2)
    with changes("b", "c"):
        os.unlink("a")
    same(os.stat("b").st_nlink, 1)


def test_symlink_not_target():
    make("t")
    os.symlink("t", "l")
    os.unlink("l")
    same(names(), ["t"])
    fails("ENOTDIR", os.unlink, "t/")


def test_permissions():
    make_dir("d", 0o555, USER)
    make("d/f", 0o666, USER)
    with user(USER):
        fails("EACCES", os.unlink, "d/f")
    os.chmod("d", 0o755)
    os.chmod("d/f", 0)
    with user(USER):
        os.unlink("d/f")


def test_sticky():
    make_dir("d", 0o1777)
    for name, who in (("mine", USER), ("others", OTHER), ("roots", 0)):
        make("d/" + name, 0o666, who)
    with user(USER):
        os.unlink("d/mine")
        fails("EPERM|EACCES", os.unlink, "d/others")
        fails("EPERM|EACCES", os.unlink, "d/roots")
    os.unlink("d/others")


def test_while_reading_the_directory():
    for i in range(500):
        make("f%03d" % i)
    seen = set()
    with os.scandir(".") as it:
        for e in it:
            check(e.name not in seen, "seen twice: " + e.name)
            seen.add(e.name)
            os.unlink(e.name)
    same(len(seen), 500)
    same(names(), [])


def test_name_is_free_again():
    for i in range(50):
        make("f", content=b"%d" % i)
        same(open("f").read(), str(i))
        os.unlink("f")
    for kind in KINDS:
        make_of(kind, "f")
        os.rmdir("f") if kind == "dir" else os.unlink("f")


def test_mapped_file_lives():
    import mmap
    make("f", content=b"x" * 8192)
    with open("f", "r+b") as f:
        m = mmap.mmap(f.fileno(), 8192)
    os.unlink("f")
    m[5000:5003] = b"abc"
    same(m[4999:5004], b"xabcx")
    m.close()
