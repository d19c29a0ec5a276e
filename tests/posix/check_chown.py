# SPDX-License-Identifier: Apache-2.0
"""chown(2)"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.chown(p, 0, 0))


def test_each_kind():
    for kind in KINDS:
        make_of(kind, kind)
        with changes(kind, "c"):
            os.chown(kind, USER, OTHER, follow_symlinks=False)
        same(owner(kind), (USER, OTHER), kind)
        os.chown(kind, -1, 5, follow_symlinks=False)
        same(owner(kind), (USER, 5), kind)
        os.chown(kind, 6, -1, follow_symlinks=False)
        same(owner(kind), (6, 5), kind)


def test_large_ids():
    make("f")
    os.chown("f", 4294967294, 4294967293)
    same(owner("f"), (4294967294, 4294967293))


def test_symlink_follows():
    make("f")
    os.symlink("f", "l")
    os.chown("l", USER, USER)
    same((owner("f"), owner("l")), ((USER, USER), (0, 0)))


def test_user_may_give_to_own_groups():
    make("f", 0o644, USER)
    with user(USER, USER, [OTHER]):
        fails("EPERM", os.chown, "f", OTHER, -1)
        fails("EPERM", os.chown, "f", -1, 12345)
        os.chown("f", -1, OTHER)
        os.chown("f", USER, OTHER)
    same(owner("f"), (USER, OTHER))
    make("r")
    with user(USER):
        fails("EPERM", os.chown, "r", -1, USER)
        fails("EPERM", os.chown, "r", USER, -1)


def test_drops_setuid():
    for who in (0, USER):
        make("f", 0o6755, USER)
        with (user(USER) if who else contextlib.nullcontext()):
            os.chown("f", -1, USER)
        same(mode("f"), 0o755, "by %d" % who)
        os.unlink("f")
    make("g", 0o2644, USER)  # no group execute: stays
    os.chown("g", OTHER, OTHER)
    same(mode("g"), 0o2644)


def test_keeps_bits_of_directories():
    make_dir("d", 0o7755, USER)
    os.chown("d", OTHER, OTHER)
    same(mode("d"), 0o7755)


def test_fchown():
    make("f")
    fd = os.open("f", os.O_RDONLY)
    os.unlink("f")
    os.fchown(fd, USER, OTHER)
    st = os.fstat(fd)
    same((st.st_uid, st.st_gid), (USER, OTHER))
    os.close(fd)


def test_takes_rights():
    make("f", 0o600, USER, b"x")
    with user(USER):
        open("f").read()
    os.chown("f", OTHER, OTHER)
    with user(USER):
        fails("EACCES", open, "f")


def test_removes_capability():
    make("f", 0o755)
    os.setxattr("f", "security.capability", b"\x00\x00\x00\x02\x00\x04\x00\x00" + bytes(12))
    os.chown("f", USER, USER)
    fails("ENODATA", os.getxattr, "f", "security.capability")
