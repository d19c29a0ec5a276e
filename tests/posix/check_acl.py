# SPDX-License-Identifier: Apache-2.0
"""acl(5), by the bytes of its xattrs"""
import struct
from helpers import *

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
USER_OBJ, A_USER, GROUP_OBJ, A_GROUP, MASK, ALL = 1, 2, 4, 8, 16, 32
TAGS = {"u": (USER_OBJ, A_USER), "g": (GROUP_OBJ, A_GROUP), "m": (MASK, MASK), "o": (ALL, ALL)}


def acl(text):
    """"u::7 u:65001:6 g::5 m::7 o::0" as the xattr"""
    out = struct.pack("<I", 2)
    for entry in text.split():
        kind, who, perm = entry.split(":")
        tag = TAGS[kind][1 if who else 0]
        out += struct.pack("<HHI", tag, int(perm), int(who) if who else 0xffffffff)
    return out


def test_round_trip():
    make("f")
    value = acl("u::6 u:65001:6 g::4 m::6 o::4")
    with changes("f", "c"):
        os.setxattr("f", ACCESS, value)
    same(os.getxattr("f", ACCESS), value)
    same(mode("f"), 0o664)  # the group's bits are the mask


def test_minimal_is_the_mode():
    make("f", 0o600)
    os.setxattr("f", ACCESS, acl("u::7 g::5 o::1"))
    same(mode("f"), 0o751)
    fails("ENODATA", os.getxattr, "f", ACCESS)


def test_gives_and_takes():
    make("f", 0o600, content=b"abc")
    with user(USER):
        fails("EACCES", open, "f")
    os.setxattr("f", ACCESS, acl("u::6 u:%d:4 g::0 m::4 o::0" % USER))
    with user(USER):
        same(open("f").read(), "abc")
        fails("EACCES", open, "f", "r+")
    with user(OTHER):
        fails("EACCES", open, "f")
    os.setxattr("f", ACCESS, acl("u::6 u:%d:0 g::4 m::4 o::4" % USER))
    with user(USER):
        fails("EACCES", open, "f")
    with user(OTHER):
        open("f").close()
    os.setxattr("f", ACCESS, acl("u::6 g::0 g:%d:6 m::6 o::0" % OTHER))
    with user(USER, USER, [OTHER]):
        open("f", "r+").close()


def test_mask_limits():
    make("f", 0o600)
    os.setxattr("f", ACCESS, acl("u::6 u:%d:6 g::6 m::4 o::0" % USER))
    with user(USER):
        fails("EACCES", open, "f", "r+")
        open("f").close()
    os.chmod("f", 0o660)  # chmod sets the mask
    with user(USER):
        open("f", "r+").close()
    same(os.getxattr("f", ACCESS), acl("u::6 u:%d:6 g::6 m::6 o::0" % USER))


def test_chmod_changes_entries():
    make("f")
    os.setxattr("f", ACCESS, acl("u::6 u:65001:6 g::4 m::6 o::4"))
    os.chmod("f", 0o710)
    same(os.getxattr("f", ACCESS), acl("u::7 u:65001:6 g::4 m::1 o::0"))


def test_default_is_inherited():
    os.mkdir("d")
    default = acl("u::7 u:65001:7 g::5 m::7 o::0")
    os.setxattr("d", DEFAULT, default)
    old = os.umask(0o077)  # not used where there is a default
    make_fd = os.open("d/f", os.O_CREAT | os.O_WRONLY, 0o666)
    os.close(make_fd)
    os.mkdir("d/e", 0o777)
    os.mkfifo("d/p", 0o640)
    os.symlink("t", "d/l")
    os.umask(old)
    same(mode("d/f"), 0o660)
    same(os.getxattr("d/f", ACCESS), acl("u::6 u:65001:7 g::5 m::6 o::0"))
    same(os.getxattr("d/e", DEFAULT), default)
    same(os.getxattr("d/e", ACCESS), default)
    same(mode("d/p"), 0o640)
    same(os.getxattr("d/p", ACCESS), acl("u::6 u:65001:7 g::5 m::4 o::0"))
    fails("ENODATA", os.getxattr, "d/f", DEFAULT)
    os.mkdir("d/e/g")
    same(os.getxattr("d/e/g", DEFAULT), default)


def test_default_of_three_entries():
    os.mkdir("d")
    os.setxattr("d", DEFAULT, acl("u::7 g::5 o::0"))
    old = os.umask(0)
    os.close(os.open("d/f", os.O_CREAT | os.O_WRONLY, 0o666))
    os.umask(old)
    same(mode("d/f"), 0o640)
    fails("ENODATA", os.getxattr, "d/f", ACCESS)


def test_default_for_tmpfile():
    os.mkdir("d")
    os.setxattr("d", DEFAULT, acl("u::7 u:65001:7 g::5 m::7 o::0"))
    fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o666)
    link_fd(fd, "d/f")
    os.close(fd)
    same(mode("d/f"), 0o660)


def test_not_valid():
    make("f")
    for bad in (b"", b"\2", struct.pack("<I", 3), acl("u::6 g::4"), acl("u::6 u:1:6 g::4 o::4"),
                acl("u::6 g::4 o::4")[:-1], acl("u::9 g::4 o::4")):
        if bad == b"":
            continue
        fails("EINVAL|EOPNOTSUPP", os.setxattr, "f", ACCESS, bad)
    fails("EACCES|EINVAL|EOPNOTSUPP", os.setxattr, "f", DEFAULT, acl("u::7 g::5 o::0"))
    os.symlink("f", "l")
    fails("EOPNOTSUPP|EPERM", os.setxattr, "l", ACCESS, acl("u::6 g::4 o::4"), follow_symlinks=False)


def test_only_owner():
    make("f", 0o666, USER)
    with user(OTHER):
        fails("EPERM", os.setxattr, "f", ACCESS, acl("u::6 g::4 o::4"))
    with user(USER):
        os.setxattr("f", ACCESS, acl("u::6 u:1:6 g::4 m::6 o::4"))


def test_remove():
    make("f")
    os.setxattr("f", ACCESS, acl("u::6 u:65001:6 g::4 m::6 o::4"))
    os.removexattr("f", ACCESS)
    same(os.listxattr("f"), [])
    os.mkdir("d")
    os.setxattr("d", DEFAULT, acl("u::7 g::5 o::0"))
    os.removexattr("d", DEFAULT)
    fails("ENODATA", os.getxattr, "d", DEFAULT)


def test_listed():
    os.mkdir("d")
    os.setxattr("d", DEFAULT, acl("u::7 g::5 o::0"))
    os.setxattr("d", ACCESS, acl("u::6 u:65001:6 g::4 m::6 o::4"))
    same(sorted(os.listxattr("d")), [ACCESS, DEFAULT])


def test_setgid_is_dropped():
    make("f", 0o2755, (USER, OTHER))
    with user(USER):  # not of the group
        os.setxattr("f", ACCESS, acl("u::7 u:1:6 g::5 m::7 o::5"))
    same(mode("f"), 0o775)
