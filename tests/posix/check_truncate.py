# SPDX-License-Identifier: Apache-2.0
"""truncate(2), ftruncate(2)"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.truncate(p, 0))


def test_sizes():
    make("f", content=b"x" * 10000)
    for size in (9999, 4096, 4095, 1, 0, 5, 100000, 1 << 32, 3):
        with changes("f", "mc"):
            os.truncate("f", size)
        same(os.stat("f").st_size, size)
    same(open("f", "rb").read(), b"\0\0\0")


def test_zeros_after_growing():
    make("f", content=b"abc" * 5000)
    os.truncate("f", 7)
    os.truncate("f", 20000)
    same(open("f", "rb").read(), b"abcabca" + bytes(20000 - 7))


def test_same_size_counts():
    make("f", content=b"abc")
    with changes("f", "mc"):
        fd = os.open("f", os.O_WRONLY)
        os.ftruncate(fd, 3)
        os.close(fd)


def test_kinds():
    os.mkdir("d")
    fails("EISDIR", os.truncate, "d", 0)
    os.mkfifo("p")
    fails("EINVAL", os.truncate, "p", 0)
    make("f")
    fails("EINVAL", os.truncate, "f", -1)
    fd = os.open("f", os.O_RDONLY)
    fails("EINVAL", os.ftruncate, fd, 0)
    os.close(fd)


def test_permissions():
    make("f", 0o644, content=b"abc")
    with user(USER):
        fails("EACCES", os.truncate, "f", 0)
    make("w", 0o200, USER, b"abc")
    with user(USER):
        os.truncate("w", 1)
    same(os.stat("w").st_size, 1)


def test_through_symlink():
    make("f", content=b"abc")
    os.symlink("f", "l")
    os.truncate("l", 1)
    same(os.stat("f").st_size, 1)


def test_drops_setuid():
    make("f", 0o6777, USER, b"abc")
    with user(OTHER):
        os.truncate("f", 1)
    same(mode("f"), 0o777)


def test_file_size_limit():
    import resource
    import signal
    make("f")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10000, old[1]))
    try:
        fails("EFBIG", os.truncate, "f", 10001)
        fd = os.open("f", os.O_WRONLY)
        same(os.pwrite(fd, b"x" * 100, 9990), 10)
        fails("EFBIG", os.pwrite, fd, b"x", 10000)
        os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_mapping_sees_it():
    import mmap
    make("f", content=b"x" * 8192)
    with open("f", "r+b") as f:
        m = mmap.mmap(f.fileno(), 8192)
        os.truncate("f", 100)
        os.truncate("f", 8192)
        same(m[99:102], b"x\0\0")
        m[8191:8192] = b"y"
        m.close()
    same(open("f", "rb").read()[8190:], b"\0y")
