# SPDX-License-Identifier: Apache-2.0
"""rmdir(2)"""
from helpers import *


def test_paths():
    path_errors(os.rmdir)


def test_goes():
    os.mkdir("d")
    with changes(".", "mc"):
        os.rmdir("d")
    fails("ENOENT", os.lstat, "d")
    fails("ENOENT", os.rmdir, "d")


def test_not_empty():
    for kind in KINDS:
        os.mkdir("d." + kind)
        make_of(kind, "d." + kind + "/x")
        fails("ENOTEMPTY|EEXIST", os.rmdir, "d." + kind)


def test_not_a_directory():
    for kind in NON_DIRS:
        make_of(kind, kind)
        fails("ENOTDIR", os.rmdir, kind)
    os.mkdir("d")
    os.symlink("d", "l")
    fails("ENOTDIR", os.rmdir, "l")


def test_dots():
    os.mkdir("d")
    fails("EINVAL", os.rmdir, "d/.")
    fails("ENOTEMPTY|EEXIST|EINVAL", os.rmdir, "d/..")


def test_permissions():
    make_dir("p", 0o555, USER)
    os.mkdir("p/d")
    with user(USER):
        fails("EACCES", os.rmdir, "p/d")


def test_sticky():
    make_dir("p", 0o1777, 0)
    make_dir("p/mine", 0o755, USER)
    make_dir("p/others", 0o777, OTHER)
    with user(USER):
        os.rmdir("p/mine")
        fails("EPERM|EACCES", os.rmdir, "p/others")
    os.chown("p", USER, USER)
    with user(USER):  # the directory's owner may
        os.rmdir("p/others")


def test_open_directory_lives():
    make_dir("d", 0o700, USER)
    fd = os.open("d", os.O_RDONLY)
    os.rmdir("d")
    same(stat.S_ISDIR(os.fstat(fd).st_mode), True)
    same(os.fstat(fd).st_uid, USER)
    fails("ENOENT", os.open, "f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)


def test_working_directory():
    os.mkdir("d")
    os.chdir("d")
    os.rmdir("../d")
    fails("ENOENT", os.mkdir, "x")
    fails("ENOENT", os.getcwd)
    os.chdir("/")


def test_again():
    for i in range(20):
        os.mkdir("d")
        make("d/%d" % i)
        same(names("d"), [str(i)])
        os.unlink("d/%d" % i)
        os.rmdir("d")
