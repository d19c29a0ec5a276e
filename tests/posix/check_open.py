# SPDX-License-Identifier: Apache-2.0
"""open(2)"""
from helpers import *


def test_paths():
    path_errors(lambda p: os.close(os.open(p, os.O_RDONLY)))


def test_paths_create():
    path_errors(lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY, 0o644)), None)


def test_create_mode_and_umask():
    for umask in (0, 0o022, 0o077, 0o777):
        old = os.umask(umask)
        for m in (0o777, 0o644, 0o4755, 0o2755, 0o1777, 0):
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, m))
            same(mode("f"), m & ~umask, "mode %o umask %o" % (m, umask))
            os.unlink("f")
        os.umask(old)


def test_create_owner():
    with user(USER, OTHER):
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o644))
    same(owner("f"), (USER, OTHER))


def test_create_in_setgid_directory():
    make_dir("d", 0o2777, (0, OTHER))
    with user(USER):
        os.close(os.open("d/f", os.O_CREAT | os.O_WRONLY, 0o644))
        # inode(7), S_ISGID: of a user outside of the group, an executable loses setgid
        os.close(os.open("d/g", os.O_CREAT | os.O_WRONLY, 0o2755))
    same(owner("d/f"), (USER, OTHER))
    same(mode("d/g"), 0o755)


def test_create_changes_directory():
    with changes(".", "mc"):
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o644))
    with changes(".", ""):
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o644))
    with changes("f", ""):
        os.close(os.open("f", os.O_RDWR))


def test_excl():
    for kind in KINDS:
        make_of(kind, kind)
        fails("EEXIST", os.open, kind, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.symlink("nowhere", "dangling")
    fails("EEXIST", os.open, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    check(not os.path.exists("nowhere"), "it was made")


def test_create_through_symlink():
    os.symlink("target", "link")
    os.close(os.open("link", os.O_CREAT | os.O_WRONLY, 0o600))
    same(names(), ["link", "target"])


def test_directory():
    os.mkdir("d")
    fails("EISDIR", os.open, "d", os.O_WRONLY)
    fails("EISDIR", os.open, "d", os.O_RDWR)
    fails("EISDIR", os.open, "d", os.O_RDONLY | os.O_CREAT)
    fails("EISDIR", os.open, "d", os.O_RDONLY | os.O_TRUNC)
    make("f")
    fails("ENOTDIR", os.open, "f", os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open("d", os.O_RDONLY | os.O_DIRECTORY)
    fails("EISDIR", os.read, fd, 1)
    fails("EBADF", os.write, fd, b"x")
    os.close(fd)


def test_nofollow():
    make("f")
    os.symlink("f", "l")
    fails("ELOOP", os.open, "l", os.O_RDONLY | os.O_NOFOLLOW)
    os.close(os.open("l", os.O_PATH | os.O_NOFOLLOW))


def test_trunc():
    make("f", content=b"x" * 10000)
    with changes("f", "mc"):
        os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))
    same(os.stat("f").st_size, 0)
    make("s", 0o6755, USER, b"abc")
    with user(OTHER, OTHER):
        fails("EACCES", os.open, "s", os.O_RDONLY | os.O_TRUNC)
    same(os.stat("s").st_size, 3)


def test_trunc_drops_setuid():
    make("s", 0o6777, USER, b"abc")
    with user(OTHER):
        os.close(os.open("s", os.O_WRONLY | os.O_TRUNC))
    same(mode("s"), 0o777)


def test_permissions():
    for m, flags, ok in ((0o400, os.O_RDONLY, 1), (0o400, os.O_WRONLY, 0), (0o400, os.O_RDWR, 0),
                         (0o200, os.O_WRONLY, 1), (0o200, os.O_RDONLY, 0), (0o600, os.O_RDWR, 1),
                         (0, os.O_RDONLY, 0), (0o077, os.O_RDONLY, 0)):
        make("f", m, USER)
        with user(USER):
            if ok:
                os.close(os.open("f", flags))
            else:
                fails("EACCES", os.open, "f", flags)
        os.close(os.open("f", flags))  # root
        os.unlink("f")


def test_group_and_others():
    make("g", 0o040, (0, OTHER))
    with user(USER, USER, [OTHER]):
        os.close(os.open("g", os.O_RDONLY))
        fails("EACCES", os.open, "g", os.O_WRONLY)
    with user(USER):
        fails("EACCES", os.open, "g", os.O_RDONLY)
    make("o", 0o606, (0, OTHER))
    with user(USER):
        os.close(os.open("o", os.O_RDWR))
    with user(USER, OTHER):  # the group's permissions, which are none
        fails("EACCES", os.open, "o", os.O_RDONLY)


def test_create_needs_write_permission():
    make_dir("d", 0o755)
    with user(USER):
        fails("EACCES", os.open, "d/f", os.O_CREAT | os.O_WRONLY)
    make_dir("w", 0o300, USER)
    with user(USER):
        os.close(os.open("w/f", os.O_CREAT | os.O_WRONLY, 0))
        fails("EACCES", os.listdir, "w")


def test_mode_zero_can_be_written_by_its_maker():
    with user(USER):
        fd = os.open("f", os.O_CREAT | os.O_RDWR, 0)
        os.write(fd, b"abc")
        same(os.pread(fd, 9, 0), b"abc")
        os.close(fd)
        fails("EACCES", os.open, "f", os.O_RDONLY)


def test_append():
    fd = os.open("f", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    other = os.open("f", os.O_WRONLY)
    os.write(fd, b"one")
    os.write(other, b"123456")
    os.write(fd, b"two")
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"!")
    os.close(fd)
    os.close(other)
    same(open("f", "rb").read(), b"123456two!")


def test_noatime_needs_owner():
    make("f", 0o644)
    with user(USER):
        fails("EPERM", os.open, "f", os.O_RDONLY | os.O_NOATIME)


def test_path_descriptor():
    make("f", 0)
    with user(USER):
        fd = os.open("f", os.O_PATH)
    fails("EBADF", os.read, fd, 1)
    fails("EBADF", os.fchmod, fd, 0o644)
    same(os.fstat(fd).st_mode, stat.S_IFREG)
    os.close(fd)


def test_special_files():
    make_of("socket", "s")
    fails("ENXIO", os.open, "s", os.O_RDONLY)
    make_of("fifo", "p")
    fails("ENXIO", os.open, "p", os.O_WRONLY | os.O_NONBLOCK)
    r = os.open("p", os.O_RDONLY | os.O_NONBLOCK)
    w = os.open("p", os.O_WRONLY | os.O_NONBLOCK)
    os.write(w, b"through")
    same(os.read(r, 99), b"through")
    os.close(r)
    os.close(w)
    make_of("char", "c")
    fails("ENXIO", os.open, "c", os.O_RDONLY)


def test_device_works():
    os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    try:
        fd = os.open("null", os.O_RDWR)
    except PermissionError:
        return  # mounted with nodev
    same(os.write(fd, b"abc"), 3)
    same(os.read(fd, 9), b"")
    os.close(fd)


def test_unlinked_is_alive():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o644)
    os.write(fd, b"before")
    with changes(fd, "c"):
        os.unlink("f")
    same(os.fstat(fd).st_nlink, 0)
    os.pwrite(fd, b"AFTER", 1 << 20)
    same(os.pread(fd, 9, 1 << 20), b"AFTER")
    same(os.pread(fd, 6, 0), b"before")
    os.ftruncate(fd, 3)
    os.fchmod(fd, 0o600)
    same(os.fstat(fd).st_size, 3)
    os.setxattr(fd, "user.x", b"y")
    same(os.getxattr(fd, "user.x"), b"y")
    make("f", content=b"another")
    same(os.pread(fd, 9, 0), b"bef")
    os.close(fd)


def test_tmpfile():
    os.mkdir("d")
    fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640)
    same(names("d"), [])
    same(os.fstat(fd).st_nlink, 0)
    same(stat.S_IMODE(os.fstat(fd).st_mode), 0o640)
    os.write(fd, b"content")
    link_fd(fd, "d/named")
    same(os.fstat(fd).st_nlink, 1)
    same(open("d/named", "rb").read(), b"content")
    same(os.stat("d/named").st_ino, os.fstat(fd).st_ino)
    os.close(fd)
    fd = os.open("d", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
    fails("ENOENT", link_fd, fd, "d/never")
    os.close(fd)
    fails("EINVAL|EACCES", os.open, "d", os.O_TMPFILE | os.O_RDONLY)
    make("f")
    fails("ENOTDIR", os.open, "f", os.O_TMPFILE | os.O_RDWR)
    fails("ENOENT", os.open, "x", os.O_TMPFILE | os.O_RDWR)


def test_name_of_255():
    make(LONG, content=b"x")
    same(names(), [LONG])
    os.rename(LONG, "m" * 255)
    os.unlink("m" * 255)


def test_every_byte_in_names():
    all_names = sorted(b"x" + bytes([b]) for b in range(1, 256) if b != 0x2f)
    for n in all_names:
        os.close(os.open(n, os.O_CREAT | os.O_WRONLY))
    same(sorted(os.listdir(b".")), all_names)


def test_busy_program():
    open("p", "wb").write(open("/bin/sleep", "rb").read())
    os.chmod("p", 0o755)
    import subprocess
    p = subprocess.Popen(["./p", "60"])
    try:
        fails("ETXTBSY", os.open, "p", os.O_WRONLY)
        fails("ETXTBSY", os.truncate, "p", 0)
    finally:
        p.kill()
        p.wait()
    fd = os.open("p", os.O_WRONLY)
    fails("ETXTBSY", subprocess.run, ["./p", "0"])
    os.close(fd)
