# SPDX-License-Identifier: Apache-2.0
"""mkdir(2)"""
from helpers import *


def test_paths():
    path_errors(os.mkdir, None)


def test_mode_and_umask():
    for umask in (0, 0o022, 0o777):
        old = os.umask(umask)
        for m in (0o777, 0o700, 0o1777, 0):
            os.mkdir("d", m)
            same(mode("d"), m & ~umask)
            os.rmdir("d")
        os.umask(old)


def test_owner_and_setgid():
    with user(USER, OTHER):
        os.mkdir("d")
    same(owner("d"), (USER, OTHER))
    make_dir("s", 0o2777, (0, OTHER))
    with user(USER):
        os.mkdir("s/d", 0o755)
    same(owner("s/d"), (USER, OTHER))
    same(mode("s/d"), 0o2755)  # mkdir(2): inherits the bit


def test_times():
    with changes(".", "mc"):
        os.mkdir("d")
    st = os.stat("d")
    check(st.st_mtime_ns == st.st_ctime_ns == os.stat(".").st_mtime_ns or
          abs(st.st_mtime_ns - os.stat(".").st_mtime_ns) < 10**9, "times")


def test_exists():
    for kind in KINDS:
        make_of(kind, kind)
        fails("EEXIST", os.mkdir, kind)
    fails("EEXIST", os.mkdir, ".")
    fails("EEXIST", os.mkdir, "/")


def test_trailing_slash():
    os.mkdir("d/")
    same(names(), ["d"])
    os.symlink("t", "l")
    fails("EEXIST", os.mkdir, "l")
    check(not os.path.lexists("t"), "made through the link")


def test_permission():
    make_dir("d", 0o555, USER)
    with user(USER):
        fails("EACCES", os.mkdir, "d/x")


def test_empty():
    os.mkdir("d")
    same(names("d"), [])
    same([e.name for e in os.scandir("d")], [])


def test_in_removed_directory():
    os.mkdir("d")
    fd = os.open("d", os.O_RDONLY)
    os.rmdir("d")
    fails("ENOENT", os.mkdir, "x", dir_fd=fd)
    os.close(fd)


def test_deep():
    path = "."
    for i in range(60):
        path += "/deep"
        os.mkdir(path)
    make(path + "/f", content=b"x")
    same(open(path + "/f").read(), "x")


def test_many():
    os.mkdir("d")
    for i in range(3000):
        os.mkdir("d/%d" % i)
    same(len(set(os.listdir("d"))), 3000)
