# SPDX-License-Identifier: Apache-2.0
"""chmod(2), and the rules of setuid, setgid and sticky (inode(7))"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.chmod(p, 0o644))


def test_each_kind():
    for kind in KINDS:
        if kind == "symlink":
            continue
        make_of(kind, kind)
        for m in (0, 0o111, 0o777, 0o6750, 0o1777, 0o7777):
            with changes(kind, "c"):
                os.chmod(kind, m)
            same(mode(kind), m, kind)


def test_symlink_follows():
    make("f")
    os.symlink("f", "l")
    os.chmod("l", 0o600)
    same(mode("f"), 0o600)
    same(mode("l"), 0o777)


def test_only_owner():
    make("f", 0o644, USER)
    with user(OTHER, USER):
        fails("EPERM", os.chmod, "f", 0o777)
    with user(USER):
        os.chmod("f", 0)
        os.chmod("f", 0o700)
    same(mode("f"), 0o700)


def test_setgid_of_a_foreign_group():
    make("f", 0o755, (USER, OTHER))
    with user(USER):
        os.chmod("f", 0o2755)
    same(mode("f"), 0o755)  # silently left out
    with user(USER, USER, [OTHER]):
        os.chmod("f", 0o2755)
    same(mode("f"), 0o2755)
    os.chmod("f", 0o755)
    os.chmod("f", 0o2755)  # root
    same(mode("f"), 0o2755)


def test_sticky_of_a_user():
    make("f", 0o644, USER)
    make_dir("d", 0o755, USER)
    with user(USER):
        os.chmod("d", 0o1777)
        os.chmod("f", 0o1644)  # Linux allows it
    same((mode("d"), mode("f")), (0o1777, 0o1644))


def test_fchmod():
    make("f")
    fd = os.open("f", os.O_RDONLY)
    with changes("f", "c"):
        os.fchmod(fd, 0o4711)
    same(mode("f"), 0o4711)
    os.unlink("f")
    os.fchmod(fd, 0o640)
    same(stat.S_IMODE(os.fstat(fd).st_mode), 0o640)
    os.close(fd)


def test_write_drops_setuid():
    # setgid without execution by the group means something else, and stays: but not when the writer
    # is outside of the group (Linux 6.2)
    for m, after in ((0o6777, (0o777,)), (0o4757, (0o757,)), (0o2757, (0o757,)),
                     (0o2646, (0o2646, 0o646)), (0o4646, (0o646,))):
        for how in ("write", "truncate"):
            make("f", m, USER, b"x" * 100)
            with user(OTHER):
                fd = os.open("f", os.O_RDWR)
                os.write(fd, b"y") if how == "write" else os.ftruncate(fd, 10)
                os.close(fd)
            check(mode("f") in after, "%s of %o: %o" % (how, m, mode("f")))
            os.unlink("f")


def test_root_keeps_setuid_when_writing():
    make("f", 0o6755, USER, b"x")
    fd = os.open("f", os.O_RDWR)
    os.write(fd, b"y")
    os.close(fd)
    same(mode("f"), 0o6755)  # CAP_FSETID


def test_empty_write_changes_nothing():
    make("f", 0o6777, USER, b"x")
    with user(OTHER):
        fd = os.open("f", os.O_RDWR)
        with changes("f", ""):
            os.write(fd, b"")
        os.close(fd)
    same(mode("f"), 0o6777)


def test_open_descriptor_keeps_its_rights():
    make("f", 0o600, USER, b"abc")
    with user(USER):
        fd = os.open("f", os.O_RDWR)
        os.chmod("f", 0)
        same(os.read(fd, 9), b"abc")
        os.write(fd, b"d")
        os.close(fd)
    same(open("f").read(), "abcd")


def test_directory_search_and_read():
    make_dir("x", 0o711)
    make("x/f")
    make_dir("r", 0o744)
    make("r/f")
    with user(USER):
        os.stat("x/f")
        fails("EACCES", os.listdir, "x")
        same(os.listdir("r"), ["f"])
        fails("EACCES", os.stat, "r/f")
