#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SQLite at work in DIR: real-work-sqlite.py new DIR ROWS | work DIR ROUNDS

Two databases, one with a rollback journal, one with a write-ahead log. Several processes write to
each; some are killed within a transaction. All rows always add up to the same.
"""
import os
import random
import signal
import sqlite3
import sys
import time

MODES = {"journal.db": "DELETE", "wal.db": "WAL"}
BALANCE = 1000
WRITERS = 3


def connect(path, mode):
    db = sqlite3.connect(path, timeout=60, isolation_level=None)
    db.execute("PRAGMA journal_mode=" + mode)
    db.execute("PRAGMA synchronous=FULL")
    return db


def new(folder, rows):
    for name, mode in MODES.items():
        db = connect(os.path.join(folder, name), mode)
        db.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, note BLOB)")
        db.execute("CREATE TABLE done (writer INTEGER PRIMARY KEY, rounds INTEGER)")
        db.execute("CREATE INDEX by_balance ON account (balance)")
        db.execute("BEGIN")
        for i in range(rows):
            db.execute("INSERT INTO account VALUES (?, ?, zeroblob(200))", (i, BALANCE))
        db.execute("COMMIT")
        db.close()


def transfer(db, writer, chance):
    """Moves money, so that the order of the writers does not matter to the result."""
    db.execute("BEGIN IMMEDIATE")
    rows = db.execute("SELECT max(id) FROM account").fetchone()[0]
    for _ in range(20):
        amount, a, b = chance.randrange(100), chance.randrange(rows), chance.randrange(rows)
        db.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, a))
        db.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, b))
    db.execute("INSERT INTO done VALUES (?, 1) ON CONFLICT (writer) DO UPDATE SET rounds = rounds + 1",
               (writer,))


def write(path, mode, writer, rounds):
    db, chance = connect(path, mode), random.Random(writer)
    for _ in range(rounds):
        transfer(db, writer, chance)
        db.execute("COMMIT")
    db.close()


def die_within(path, mode):
    db = connect(path, mode)
    db.execute("PRAGMA cache_size=5")
    transfer(db, 99, random.Random(99))
    db.execute("UPDATE account SET balance = 0")
    os.kill(os.getpid(), signal.SIGKILL)


def start(function, *args):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function(*args)
            code = 0
        finally:
            os._exit(code)
    return pid


def check(path, rounds):
    db = sqlite3.connect(path, timeout=60)
    verdict = db.execute("PRAGMA integrity_check").fetchall()
    assert verdict == [("ok",)], verdict
    total, rows = db.execute("SELECT sum(balance), count(*) FROM account").fetchone()
    assert total == rows * BALANCE, (total, rows)
    done = dict(db.execute("SELECT * FROM done").fetchall())
    assert done == {w: rounds for w in range(WRITERS)}, done
    db.close()


def dump(path):
    """The rows, for a comparison; and the database is made anew, for its bytes are not comparable."""
    db = sqlite3.connect(path, timeout=60)
    with open(path + ".sql", "w") as out:
        for line in db.iterdump():
            out.write(line + "\n")
    db.execute("VACUUM")
    db.close()


def work(folder, rounds):
    for name, mode in MODES.items():
        path = os.path.join(folder, name)
        writers = [start(write, path, mode, w, rounds) for w in range(WRITERS)]
        time.sleep(0.2)
        for _ in range(3):
            _, status = os.waitpid(start(die_within, path, mode), 0)
            assert os.WIFSIGNALED(status), status
        for pid in writers:
            assert os.waitpid(pid, 0)[1] == 0, "a writer failed"
        check(path, rounds)
        dump(path)


if sys.argv[1] == "new":
    new(sys.argv[2], int(sys.argv[3]))
else:
    work(sys.argv[2], int(sys.argv[3]))
