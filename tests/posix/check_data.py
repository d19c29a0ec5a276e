# SPDX-License-Identifier: Apache-2.0
"""read, write, lseek, fallocate, mmap, locks: what is not by name"""
import fcntl
import mmap
from helpers import *

KEEP, PUNCH, ZERO = 1, 2, 16


def fallocate(fd, how, off, n):
    if libc.fallocate(fd, how, ctypes.c_long(off), ctypes.c_long(n)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def test_holes():
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"end", 1 << 30)
    same(os.fstat(fd).st_size, (1 << 30) + 3)
    same(os.pread(fd, 5, 12345), bytes(5))
    same(os.pread(fd, 9, (1 << 30) - 2), b"\0\0end")
    check(os.fstat(fd).st_blocks < 1000, "not sparse")
    os.fsync(fd)
    # all may be data
    check(0 <= os.lseek(fd, 0, os.SEEK_DATA) <= 1 << 30, "data is missing")
    same(os.pread(fd, 3, 1 << 30), b"end")
    fails("ENXIO", os.lseek, fd, 1 << 31, os.SEEK_DATA)
    same(os.lseek(fd, 1 << 30, os.SEEK_HOLE), (1 << 30) + 3)
    os.close(fd)


def test_fallocate():
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x" * 20000)
    with changes("f", "mc"):
        fallocate(fd, PUNCH | KEEP, 5000, 10000)
    same(os.pread(fd, 20000, 0), b"x" * 5000 + bytes(10000) + b"x" * 5000)
    fallocate(fd, 0, 0, 30000)
    same(os.fstat(fd).st_size, 30000)
    fallocate(fd, KEEP, 0, 90000)
    same(os.fstat(fd).st_size, 30000)
    fallocate(fd, ZERO, 0, 100)
    same(os.pread(fd, 101, 0), bytes(100) + b"x")
    fails("EINVAL", fallocate, fd, 0, 0, 0)
    fails("EINVAL", fallocate, fd, 0, -1, 10)
    fails("EOPNOTSUPP", fallocate, fd, PUNCH, 0, 10)
    ro = os.open("f", os.O_RDONLY)
    fails("EBADF", fallocate, ro, 0, 0, 10)
    os.close(ro)
    os.close(fd)


def test_mapping_is_coherent():
    make("f", content=b"a" * 10000)
    fd = os.open("f", os.O_RDWR)
    m = mmap.mmap(fd, 10000)
    os.pwrite(fd, b"WRITTEN", 5000)
    same(m[5000:5007], b"WRITTEN")
    m[100:103] = b"MAP"
    same(os.pread(fd, 3, 100), b"MAP")
    private = mmap.mmap(fd, 10000, mmap.MAP_PRIVATE)
    private[0:1] = b"P"
    same(os.pread(fd, 1, 0), b"a")
    m.flush()
    m.close()
    private.close()
    os.close(fd)
    same(open("f", "rb").read(103)[100:], b"MAP")


def test_two_descriptors():
    a = os.open("f", os.O_CREAT | os.O_RDWR)
    b = os.open("f", os.O_RDWR)
    os.write(a, b"x" * 5000)
    same(os.read(b, 9999), b"x" * 5000)
    os.ftruncate(b, 10)
    same(os.pread(a, 99, 0), b"x" * 10)
    os.write(a, b"!")  # where it stood: leaves a hole
    same(os.pread(b, 9999, 4998), b"\0\0!")
    os.close(a)
    os.close(b)


def test_directio():
    fd = os.open("f", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
    page = mmap.mmap(-1, 8192)
    page[:] = b"d" * 8192
    same(os.pwritev(fd, [page], 4096), 8192)
    page[:] = bytes(8192)
    same(os.preadv(fd, [page], 4096), 8192)
    same(page[:], b"d" * 8192)
    plain = os.open("f", os.O_RDWR)
    same(os.pread(plain, 3, 4096), b"ddd")
    os.pwrite(plain, b"e", 4096)
    os.preadv(fd, [page], 4096)
    same(page[:2], b"ed")
    os.close(fd)
    os.close(plain)


def test_flock():
    make("f")
    a, b = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)
    fcntl.flock(a, fcntl.LOCK_EX)
    fails("EAGAIN", fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(a, fcntl.LOCK_SH)
    fcntl.flock(b, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(a)
    fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(b)


def test_fcntl_locks_between_processes():
    make("f", content=b"x" * 100)
    fd = os.open("f", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)
    pid = os.fork()
    if pid == 0:
        mine = os.open("f", os.O_RDWR)
        code = 0
        try:
            fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)
            code = 1
        except OSError as e:
            code = 0 if e.errno in (errno.EAGAIN, errno.EACCES) else 2
        try:
            fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50)
        except OSError:
            code = 3
        os._exit(code)
    same(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
    os.close(fd)


def test_leases_and_notify():
    """inotify sees what is done through the mount."""
    r = libc.inotify_init1(os.O_NONBLOCK)
    check(r >= 0, "inotify")
    libc.inotify_add_watch(r, b".", 0x100 | 0x200 | 0x40 | 0x80)  # create, delete, moved
    make("a")
    os.rename("a", "b")
    os.unlink("b")
    data = os.read(r, 4096)
    check(data.count(b"a\0") >= 2 and data.count(b"b\0") >= 2, "events")
    os.close(r)


def test_copy_file_range():
    make("f", content=bytes(range(256)) * 100)
    a, b = os.open("f", os.O_RDONLY), os.open("g", os.O_CREAT | os.O_RDWR)
    n = 0
    while n < 20000:
        n += os.copy_file_range(a, b, 20000 - n, 5 + n, 7 + n)
    same(os.pread(b, 99999, 0), bytes(7) + (bytes(range(256)) * 100)[5:20005])
    os.close(a)
    os.close(b)


def test_sendfile_and_splice():
    make("f", content=b"s" * 50000)
    a, b = os.open("f", os.O_RDONLY), os.open("g", os.O_CREAT | os.O_RDWR)
    n = 0
    while n < 50000:
        n += os.sendfile(b, a, n, 50000 - n)
    same(os.fstat(b).st_size, 50000)
    r, w = os.pipe()
    os.splice(a, w, 1000, offset_src=100) if hasattr(os, "splice") else os.write(w, b"s" * 1000)
    same(os.read(r, 5000), b"s" * 1000)
    for fd in (a, b, r, w):
        os.close(fd)


def test_readdir_types_and_inodes():
    for kind in KINDS:
        make_of(kind, kind)
    with os.scandir(".") as it:
        for e in it:
            same(e.inode(), os.lstat(e.name).st_ino, e.name)
            same((e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False), e.is_symlink()),
                 (e.name == "dir", e.name == "file", e.name == "symlink"), e.name)


def test_seekdir():
    for i in range(1000):
        make("f%d" % i)
    fd = os.open(".", os.O_RDONLY)
    first = sorted(os.listdir(fd))
    os.lseek(fd, 0, os.SEEK_SET)
    same(sorted(os.listdir(fd)), first)
    same(len(set(first)), 1000)
    os.close(fd)


def test_statvfs():
    v = os.statvfs(".")
    same(v.f_namemax, 255)
    check(v.f_blocks > 0 and v.f_bavail <= v.f_bfree <= v.f_blocks, "blocks")


def test_sync():
    make("f", content=b"x")
    fd = os.open("f", os.O_RDWR)
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    fd = os.open(".", os.O_RDONLY)
    os.fsync(fd)
    same(libc.syncfs(fd), 0)
    os.close(fd)
