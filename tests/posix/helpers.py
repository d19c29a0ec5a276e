# SPDX-License-Identifier: Apache-2.0
"""Helpers for the checks of one family of calls each (the other files here).

Each check is a function test_...(): it runs in an empty directory of its own, mode 0777, as root,
umask 0. What is expected is from POSIX.1-2017 and the Linux manual pages, which the comments name.
"""
import contextlib
import ctypes
import errno
import os
import stat
import time

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
USER, OTHER = 65001, 65002
LONG = "n" * 255


class Wrong(Exception):
    pass


def check(true, what):
    if not true:
        raise Wrong(what)


def same(got, want, what=""):
    if got != want:
        raise Wrong("%s: %r, expected %r" % (what, got, want))


def fails(name, function, *args, **kw):
    """The call fails with this errno (or one of several: "EEXIST|ENOTEMPTY")."""
    try:
        function(*args, **kw)
    except OSError as e:
        got = "EOPNOTSUPP" if e.errno == errno.EOPNOTSUPP else errno.errorcode.get(e.errno, "?")
        if got not in name.split("|"):
            raise Wrong("%s%.80r: %s, expected %s" % (function.__name__, args, got, name)) from e
        return
    raise Wrong("%s%.80r succeeds, expected %s" % (function.__name__, args, name))


@contextlib.contextmanager
def user(uid, gid=None, groups=()):
    """As another user: effective ids and groups, without capabilities."""
    os.setgroups(list(groups))
    os.setegid(uid if gid is None else gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


def make(path, mode=0o644, owner=None, content=b""):
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    if content:
        os.write(fd, content)
    os.close(fd)
    give(path, mode, owner)
    return path


def make_dir(path, mode=0o755, owner=None):
    os.mkdir(path)
    give(path, mode, owner)
    return path


def give(path, mode, owner):
    if owner is not None:
        os.chown(path, *(owner if isinstance(owner, tuple) else (owner, owner)))
    os.chmod(path, mode)


def make_of(kind, path):
    """One object of each kind."""
    if kind == "file":
        make(path)
    elif kind == "dir":
        os.mkdir(path)
    elif kind == "symlink":
        os.symlink("target", path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o644)
    elif kind == "char":
        os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(241, 7))
    elif kind == "block":
        os.mknod(path, stat.S_IFBLK | 0o644, os.makedev(241, 7))


KINDS = ("file", "dir", "symlink", "fifo", "socket", "char", "block")
NON_DIRS = tuple(k for k in KINDS if k != "dir")


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid


def times(path):
    st = os.lstat(path)
    return st.st_mtime_ns, st.st_ctime_ns


class changes:
    """with changes(path, "c"): its ctime becomes later, its mtime stays; "mc": both; "": none."""
    def __init__(self, path, what):
        self.path, self.what = path, what

    def look(self):
        return times(self.path) if isinstance(self.path, str) else \
            (os.fstat(self.path).st_mtime_ns, os.fstat(self.path).st_ctime_ns)

    def __enter__(self):
        self.before = self.look()
        time.sleep(0.015)  # the kernel's clock for files goes in ticks

    def __exit__(self, kind, *_):
        if kind:
            return
        after = self.look()
        for i, letter in enumerate("mc"):
            if letter in self.what:
                check(after[i] > self.before[i], "%stime of %s has not changed" % (letter, self.path))
            else:
                check(after[i] == self.before[i], "%stime of %s has changed" % (letter, self.path))


def renameat2(old, new, flags):
    r = libc.syscall(316, AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)
    if r < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def link_follow(old, new):
    if libc.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), 0x400) < 0:
        raise OSError(ctypes.get_errno(), "linkat")


def link_fd(fd, path):
    link_follow("/proc/self/fd/%d" % fd, path)


def names(path="."):
    return sorted(os.listdir(path))


def path_errors(call, missing="ENOENT"):
    """What every call that takes a path fails with: path_resolution(7)."""
    make("plain")
    os.symlink("loop2", "loop1")
    os.symlink("loop1", "loop2")
    os.mkdir("closed")
    fails("ENOTDIR", call, "plain/x")
    fails("ENOENT", call, "nowhere/x")
    fails("ELOOP", call, "loop1/x")
    fails("ENAMETOOLONG", call, LONG + "n")
    fails("ENAMETOOLONG", call, "./" * 2048 + "x")
    if missing:
        fails(missing, call, "closed/x")
    os.chmod("closed", 0)
    with user(USER):
        fails("EACCES", call, "closed/x")
