# SPDX-License-Identifier: Apache-2.0
"""utimensat(2)"""
from helpers import *

OLD = 1234567890 * 10**9 + 987654321


def touch(path, atime, mtime, follow=True):
    os.utime(path, ns=(atime, mtime), follow_symlinks=follow)


def test_paths():
    path_errors(lambda p: touch(p, 1, 1))


def test_each_kind():
    for kind in KINDS:
        make_of(kind, kind)
        before = os.lstat(kind).st_ctime_ns
        time.sleep(0.015)
        touch(kind, OLD, OLD + 5, False)
        st = os.lstat(kind)
        same((st.st_atime_ns, st.st_mtime_ns), (OLD, OLD + 5), kind)
        check(st.st_ctime_ns > before, "ctime of " + kind)


def test_range():
    make("f")
    for sec in (0, 1, -1, -1000000000, 2**31 - 1, 2**31, 2**32 + 5, 15032385534):
        touch("f", sec * 10**9 + 1, sec * 10**9 + 999999999)
        same(os.stat("f").st_mtime_ns, sec * 10**9 + 999999999)


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


NOW, OMIT = 0x3fffffff, 0x3ffffffe


def utimensat(path, a, m, flags=0):
    t = (Timespec * 2)(Timespec(*a), Timespec(*m))
    if libc.utimensat(AT_FDCWD, os.fsencode(path), t, flags) < 0:
        raise OSError(ctypes.get_errno(), "utimensat")


def test_now_and_omit():
    make("f")
    touch("f", OLD, OLD)
    utimensat("f", (0, OMIT), (0, NOW))
    st = os.stat("f")
    same(st.st_atime_ns, OLD)
    check(abs(st.st_mtime - time.time()) < 5, "not now")
    touch("f", OLD, OLD)
    utimensat("f", (0, NOW), (0, OMIT))
    same(os.stat("f").st_mtime_ns, OLD)
    with changes("f", ""):
        utimensat("f", (0, OMIT), (0, OMIT))
    fails("EINVAL", utimensat, "f", (0, 1000000000), (0, 0))


def test_permissions():
    make("f", 0o666, 0)
    with user(USER):
        utimensat("f", (0, NOW), (0, NOW))  # may be written
        fails("EPERM", touch, "f", OLD, OLD)
        fails("EPERM", utimensat, "f", (0, OMIT), (0, NOW))
    os.chmod("f", 0o644)
    with user(USER):
        fails("EACCES", utimensat, "f", (0, NOW), (0, NOW))
    os.chown("f", USER, USER)
    os.chmod("f", 0)
    with user(USER):
        touch("f", OLD, OLD)
        utimensat("f", (0, NOW), (0, NOW))


def test_after_write():
    """An explicit time is not lost when what was written before reaches the disk."""
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o644)
    os.write(fd, b"x" * 100000)
    os.utime(fd, ns=(OLD, OLD))
    same(os.fstat(fd).st_mtime_ns, OLD)
    os.fsync(fd)
    same(os.fstat(fd).st_mtime_ns, OLD)
    os.close(fd)
    same(os.stat("f").st_mtime_ns, OLD)


def test_write_moves_mtime():
    make("f", content=b"abc")
    touch("f", OLD, OLD)
    fd = os.open("f", os.O_RDWR)
    os.pread(fd, 3, 0)
    same(os.fstat(fd).st_mtime_ns, OLD)
    os.pwrite(fd, b"z", 0)
    check(os.fstat(fd).st_mtime_ns > OLD + 10**9, "not moved")
    os.close(fd)
    check(os.stat("f").st_mtime_ns > OLD + 10**9, "not moved")


def test_unlinked():
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.unlink("f")
    os.utime(fd, ns=(OLD, OLD))
    same(os.fstat(fd).st_mtime_ns, OLD)
    os.close(fd)
