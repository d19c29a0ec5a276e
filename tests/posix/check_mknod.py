# SPDX-License-Identifier: Apache-2.0
"""mknod(2), mkfifo(3)"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.mknod(p, stat.S_IFIFO | 0o644), None)


def test_types():
    for kind, bits in (("fifo", stat.S_IFIFO), ("socket", stat.S_IFSOCK), ("file", stat.S_IFREG),
                       ("char", stat.S_IFCHR), ("block", stat.S_IFBLK)):
        for dev in (os.makedev(241, 0), os.makedev(0, 1), os.makedev(4095, 1048575)):
            with changes(".", "mc"):
                os.mknod("n", bits | 0o640, dev)
            st = os.lstat("n")
            same(st.st_mode, bits | 0o640, kind)
            same(st.st_rdev, dev if kind in ("char", "block") else 0, kind)
            same(st.st_nlink, 1)
            os.unlink("n")
    os.mknod("z", 0o600)  # no type: a file
    check(stat.S_ISREG(os.lstat("z").st_mode), "no file")
    fails("EPERM|EINVAL", os.mknod, "d", stat.S_IFDIR | 0o755)


def test_exists():
    for kind in KINDS:
        make_of(kind, kind)
        fails("EEXIST", os.mknod, kind, stat.S_IFIFO | 0o644)


def test_owner_and_umask():
    os.umask(0o027)
    with user(USER, OTHER):
        os.mkfifo("p", 0o666)
        fails("EPERM", os.mknod, "c", stat.S_IFCHR | 0o644, os.makedev(1, 3))
    os.umask(0)
    same((owner("p"), mode("p")), ((USER, OTHER), 0o640))


def test_whiteouts():
    """A character device 0:0 is a whiteout of overlayfs: made, it either is not seen or is one."""
    try:
        os.mknod("w", stat.S_IFCHR, os.makedev(0, 0))
    except PermissionError:
        return
    if os.path.lexists("w"):
        same(os.lstat("w").st_rdev, 0)
        os.unlink("w")


def test_fifo_between_processes():
    os.mkfifo("p")
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open("p", os.O_WRONLY)
            os.write(fd, b"hello")
        finally:
            os._exit(0)
    fd = os.open("p", os.O_RDONLY)
    same(os.read(fd, 9), b"hello")
    os.close(fd)
    os.waitpid(pid, 0)


def test_sockets_work():
    import socket
    a = socket.socket(socket.AF_UNIX)
    a.bind("s")
    a.listen()
    b = socket.socket(socket.AF_UNIX)
    b.connect("s")
    fails("EADDRINUSE", socket.socket(socket.AF_UNIX).bind, "s")
    os.unlink("s")
    fails("ENOENT", socket.socket(socket.AF_UNIX).connect, "s")
