#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: tests/kill-work.py DIR: work in DIR that must not notice when its server is killed.

A tree is untarred and compared, sources are "compiled" (written aside, renamed), a big file is read
against its digest, locks are held, an unlinked file and a shared mapping are used. Goes on until
DIR/.stop is there; exits with 1 and a line if anything was not as it should be.
"""
import fcntl
import hashlib
import mmap
import os
import subprocess
import sys
import threading
import time

DIR = os.path.abspath(sys.argv[1])
STOP, wrong = os.path.join(DIR, ".stop"), []


def untar(i):
    to = os.path.join(DIR, "untar")
    os.mkdir(to)
    subprocess.run("tar -C /usr/include -c linux | tar -C '%s' -x" % to, shell=True, check=True)
    subprocess.run(["diff", "-r", "/usr/include/linux", to + "/linux"], check=True)
    subprocess.run(["rm", "-r", to], check=True)


def build(i):
    for n in range(50):
        name = os.path.join(DIR, "object-%d" % n)
        with open(name + ".tmp", "w") as f:
            f.write("%d %d\n" % (i, n) * 100)
        os.rename(name + ".tmp", name)
        assert open(name).read() == "%d %d\n" % (i, n) * 100, name


def read_big(i):
    name = os.path.join(DIR, "big")
    if i == 0:
        with open(name, "wb") as f:
            for n in range(64):
                f.write(hashlib.sha256(b"%d" % n).digest() * 32768)
    with open(name, "rb") as f:
        for n in range(64):
            assert f.read(1 << 20) == hashlib.sha256(b"%d" % n).digest() * 32768, "big at %d MiB" % n


held = {}


def hold(i):
    """Locks taken once stay; an unlinked file and a mapping keep their content."""
    name = os.path.join(DIR, "held")
    if i == 0:
        held["flock"], held["lock"] = open(name, "w+"), open(name + "2", "w+")
        fcntl.flock(held["flock"], fcntl.LOCK_EX)
        fcntl.lockf(held["lock"], fcntl.LOCK_EX)
        held["gone"] = open(name + "3", "w+b", buffering=0)
        os.unlink(name + "3")
        held["file"] = open(name + "4", "w+b")
        held["file"].truncate(1 << 20)
        held["map"] = mmap.mmap(held["file"].fileno(), 1 << 20)
    took = subprocess.run(["flock", "-n", name, "true"], check=False).returncode
    assert took == 1, "the flock is lost"
    took = subprocess.run([sys.executable, "-c", "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), "
                           "fcntl.LOCK_EX | fcntl.LOCK_NB)", name + "2"], stderr=subprocess.DEVNULL,
                          check=False).returncode
    assert took == 1, "the lock is lost"
    os.pwrite(held["gone"].fileno(), b"%8d" % i, i * 8)
    assert os.fstat(held["gone"].fileno()).st_nlink == 0
    for n in range(i + 1):
        assert os.pread(held["gone"].fileno(), 8, n * 8) == b"%8d" % n, "unlinked file at %d" % n
    held["map"][i * 8:i * 8 + 8] = b"%8d" % i
    held["map"].flush()
    assert os.pread(held["file"].fileno(), 8, i * 8) == b"%8d" % i, "mapping"


def work(function):
    i = 0
    try:
        while not os.path.exists(STOP):
            function(i)
            i += 1
    except Exception as e:
        wrong.append("%s, round %d: %r" % (function.__name__, i, e))
    print("%s: %d rounds" % (function.__name__, i), flush=True)


threads = [threading.Thread(target=work, args=(f,)) for f in (untar, build, read_big, hold)]
for t in threads:
    t.start()
for t in threads:
    t.join()
for line in wrong:
    print("WRONG", line)
sys.exit(bool(wrong))
