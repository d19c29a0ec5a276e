# SPDX-License-Identifier: Apache-2.0
"""What other users than root may do: access(2), path_resolution(7), capabilities(7)"""
from helpers import *


def may(path, what):
    return os.access(path, what, effective_ids=True)


def test_access():
    make("f", 0o640, (USER, OTHER))
    for uid, gid, r, w in ((USER, 0, 1, 1), (1, OTHER, 1, 0), (1, 1, 0, 0)):
        with user(uid, gid):
            same((may("f", os.R_OK), may("f", os.W_OK), may("f", os.X_OK)), (bool(r), bool(w), False))
            same(may("f", os.F_OK), True)
    same((may("f", os.R_OK | os.W_OK), may("f", os.X_OK)), (True, False))  # root
    os.chmod("f", 0o100)
    same(may("f", os.X_OK), True)


def test_root_passes_directories():
    make_dir("d", 0, USER)
    make("d/f", 0, USER, b"x")
    same(open("d/f").read(), "x")
    make("d/g")
    os.unlink("d/g")


def test_search_on_each_component():
    os.makedirs("a/b/c")
    make("a/b/c/f", 0o644)
    os.chmod("a/b", 0o700)
    with user(USER):
        fails("EACCES", os.stat, "a/b/c/f")
        fails("EACCES", os.stat, "a/b/c/none")
        fails("EACCES", os.stat, "a/b/../b/c")
    os.chmod("a/b", 0o711)
    with user(USER):
        same(open("a/b/c/f").read(), "")


def test_every_class():
    """All 512 modes, for the owner, the group and others."""
    make("f", 0, (USER, OTHER))
    for m in range(512):
        os.chmod("f", m)
        for who, shift in (((USER, 1), 6), ((1, OTHER), 3), ((1, 1), 0)):
            bits = m >> shift & 7
            with user(*who):
                same(may("f", os.R_OK), bool(bits & 4), "%o %r" % (m, who))
                same(may("f", os.W_OK), bool(bits & 2), "%o %r" % (m, who))
                same(may("f", os.X_OK), bool(bits & 1), "%o %r" % (m, who))


def test_execute():
    import subprocess
    make("p", 0o755, content=b"#!/bin/sh\nexit 3\n")
    same(subprocess.run(["./p"], check=False).returncode, 3)
    os.chmod("p", 0o644)
    fails("EACCES", subprocess.run, ["./p"])
    os.chmod("p", 0o700)
    with user(USER):
        same(may("p", os.X_OK), False)


def test_setuid_program():
    import shutil
    import subprocess
    shutil.copy("/usr/bin/id", "id")
    os.chown("id", USER, OTHER)
    os.chmod("id", 0o6755)
    got = subprocess.run(["./id", "-u"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    mounted = "nosuid" in [o for l in open("/proc/self/mounts") for o in l.split()[3].split(",")
                           if os.getcwd().startswith(l.split()[1]) and l.split()[1] != "/"]
    same(got, "0" if mounted else str(USER))


def test_descriptors_cross_users():
    make("f", 0o600, content=b"secret")
    fd = os.open("f", os.O_RDWR)
    with user(USER):
        same(os.read(fd, 9), b"secret")
        os.pwrite(fd, b"S", 0)
        fails("EPERM", os.fchmod, fd, 0o777)
        fails("EACCES", os.open, "/proc/self/fd/%d" % fd, os.O_RDONLY)
    os.close(fd)


def test_protected_after_rename():
    make_dir("closed", 0o700)
    make("closed/f", 0o666)
    with user(USER):
        fails("EACCES", open, "closed/f")
    os.rename("closed", "still")
    with user(USER):
        fails("EACCES", open, "still/f")
        fails("ENOENT", open, "closed/f")
    os.chmod("still", 0o755)
    with user(USER):
        open("still/f", "r+").close()
