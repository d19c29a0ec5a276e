# SPDX-License-Identifier: Apache-2.0
"""xattr(7) and its calls"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.setxattr(p, "user.x", b""))


def test_paths_get():
    path_errors(lambda p: os.getxattr(p, "user.x"))


def test_values():
    make("f")
    for value in (b"", b"\0", b"x" * 1000, bytes(range(256))):
        with changes("f", "c"):
            os.setxattr("f", "user.x", value)
        same(os.getxattr("f", "user.x"), value)
    with changes("f", "c"):
        os.removexattr("f", "user.x")
    fails("ENODATA", os.getxattr, "f", "user.x")
    fails("ENODATA", os.removexattr, "f", "user.x")


def test_create_and_replace():
    make("f")
    fails("ENODATA", os.setxattr, "f", "user.x", b"1", os.XATTR_REPLACE)
    os.setxattr("f", "user.x", b"1", os.XATTR_CREATE)
    fails("EEXIST", os.setxattr, "f", "user.x", b"2", os.XATTR_CREATE)
    os.setxattr("f", "user.x", b"2", os.XATTR_REPLACE)
    same(os.getxattr("f", "user.x"), b"2")


def test_list():
    make("f")
    want = ["user.n%d" % i for i in range(20)]
    for n in want:
        os.setxattr("f", n, n.encode())
    same(sorted(n for n in os.listxattr("f") if n.startswith("user.")), sorted(want))
    for n in want:
        same(os.getxattr("f", n), n.encode())


def test_sizes():
    make("f")
    os.setxattr("f", "user.x", b"12345")
    buffer = ctypes.create_string_buffer(4)
    same(libc.getxattr(b"f", b"user.x", None, 0), 5)
    same((libc.getxattr(b"f", b"user.x", buffer, 4), ctypes.get_errno()), (-1, errno.ERANGE))
    same((libc.listxattr(b"f", buffer, 2), ctypes.get_errno()), (-1, errno.ERANGE))
    fails("ERANGE|ENAMETOOLONG", os.setxattr, "f", "user." + "n" * 251, b"")
    os.setxattr("f", "user." + "n" * 250, b"")
    fails("E2BIG|ENOSPC", os.setxattr, "f", "user.big", b"x" * 65537)


def test_names():
    make("f")
    fails("EOPNOTSUPP", os.setxattr, "f", "nowhere.x", b"")
    fails("EINVAL", os.setxattr, "f", "user.", b"")
    fails("EOPNOTSUPP", os.getxattr, "f", "plain")


def test_user_on_special_files():
    for kind in ("symlink", "fifo", "socket", "char", "block"):
        make_of(kind, kind)
        fails("EPERM", os.setxattr, kind, "user.x", b"", follow_symlinks=False)
        fails("ENODATA|EPERM", os.getxattr, kind, "user.x", follow_symlinks=False)
        os.setxattr(kind, "trusted.x", b"t", follow_symlinks=False)
        same(os.getxattr(kind, "trusted.x", follow_symlinks=False), b"t")


def test_trusted_is_roots():
    make("f", 0o666, USER)
    os.setxattr("f", "trusted.x", b"t")
    with user(USER):
        fails("ENODATA", os.getxattr, "f", "trusted.x")
        fails("EPERM", os.setxattr, "f", "trusted.x", b"")
        check("trusted.x" not in os.listxattr("f"), "listed")
    check("trusted.x" in os.listxattr("f"), "not listed")


def test_user_needs_permission():
    make("f", 0o644)
    with user(USER):
        fails("EACCES", os.setxattr, "f", "user.x", b"")
        fails("ENODATA", os.getxattr, "f", "user.x")
    make("g", 0o200, USER)
    with user(USER):
        os.setxattr("g", "user.x", b"")
        fails("EACCES", os.getxattr, "g", "user.x")
    make_dir("s", 0o1777)  # sticky: the owner's alone
    with user(USER):
        fails("EPERM", os.setxattr, "s", "user.x", b"")


def test_security():
    make("f", 0o755, USER)
    cap = b"\x00\x00\x00\x02\x00\x04\x00\x00" + bytes(12)
    os.setxattr("f", "security.capability", cap)
    same(os.getxattr("f", "security.capability"), cap)
    with user(USER):
        fails("EPERM", os.setxattr, "f", "security.capability", cap)
    os.setxattr("f", "security.other", b"s")
    same(os.getxattr("f", "security.other"), b"s")


def test_write_removes_capability():
    make("f", 0o777, USER, b"abc")
    cap = b"\x00\x00\x00\x02\x00\x04\x00\x00" + bytes(12)
    for how in ("write", "truncate"):
        os.setxattr("f", "security.capability", cap)
        with user(OTHER):
            if how == "write":
                fd = os.open("f", os.O_WRONLY)
                os.write(fd, b"x")
                os.close(fd)
            else:
                os.truncate("f", 1)
        fails("ENODATA", os.getxattr, "f", "security.capability")


def test_stay_with_the_file():
    make("f")
    os.setxattr("f", "user.x", b"1")
    os.link("f", "g")
    os.rename("f", "h")
    same(os.getxattr("g", "user.x"), b"1")
    os.setxattr("h", "user.x", b"2")
    same(os.getxattr("g", "user.x"), b"2")
    fd = os.open("g", os.O_RDONLY)
    os.unlink("g")
    os.unlink("h")
    same(os.getxattr(fd, "user.x"), b"2")
    os.close(fd)
    make("g")
    same(os.listxattr("g"), [])


def test_directories():
    os.mkdir("d")
    os.setxattr("d", "user.x", b"d")
    make("d/f")
    same(os.listxattr("d/f"), [])
    os.rename("d", "e")
    same(os.getxattr("e", "user.x"), b"d")


def test_overlay_private_names():
    """What a union keeps for itself is not seen, and what looks like it does it no harm."""
    make("f", content=b"abc")
    check(not [n for n in os.listxattr("f") if "overlay" in n], "shown")
