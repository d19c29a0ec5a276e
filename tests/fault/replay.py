# SPDX-License-Identifier: Apache-2.0
"""
What a loss of power may leave, from a record of what a program did (record.c).

The model is that of docs/reliability.md, "Loss of power".  Calls 0 to k - 1 have returned, call k
was under way.  What was not made durable before is there or is not, each piece by itself:

  - data: page by page (4 KiB), a page being in any state that it has passed through since it was
    last durable; some are torn between two such states, sector by sector (512 bytes);
  - sizes: any that the file has had since; what lies behind the size is gone;
  - holes: as data;
  - names: each directory by itself, but its changes in their order.  A rename from one directory
    to another may be seen as both names, never as none.

Durable are: data, holes and size of a file by fsync or fdatasync of it, or a write that is O_DSYNC;
names by fsync of their directory, and by nothing else.
"""
import os
import random

PAGE, SECTOR = 4096, 512
ZEROS = bytes(PAGE)
PUNCH, KEEP_SIZE = 2, 1


class File:
    def __init__(self, size=0):
        self.pages = {}           # page: [(call, bytes)], oldest first; call -1: was there before
        self.sizes = [(-1, size)]
        self.syncs = []           # calls
        self.dsyncs = set()       # calls whose writes are durable when they return

    def page(self, n):
        return self.pages[n][-1][1] if n in self.pages else ZEROS

    def put(self, call, n, data):
        self.pages.setdefault(n, [(-1, ZEROS)]).append((call, data))

    def resize(self, call, size):
        if size != self.sizes[-1][1]:
            self.sizes.append((call, size))

    def write(self, call, off, data):
        at = 0
        while at < len(data):
            n, begin = divmod(off + at, PAGE)
            part = data[at:at + PAGE - begin]
            old = self.page(n)
            self.put(call, n, old[:begin] + part + old[begin + len(part):])
            at += len(part)
        self.resize(call, max(self.sizes[-1][1], off + len(data)))

    def clear(self, call, off, size):
        for n in [n for n in self.pages if n * PAGE < off + size and (n + 1) * PAGE > off]:
            begin, end = max(0, off - n * PAGE), min(PAGE, off + size - n * PAGE)
            old = self.page(n)
            self.put(call, n, old[:begin] + bytes(end - begin) + old[end:])

    def truncate(self, call, size):
        old = self.sizes[-1][1]
        if size < old:
            self.clear(call, size, old - size)
        self.resize(call, size)


class Directory:
    def __init__(self):
        self.changes = []  # (call, [(name, File or Directory or None)])
        self.syncs = []

    def change(self, call, *entries):
        self.changes.append((call, entries))


class Record:
    """The calls of a record on top of what was there before, read from the directory `root`."""

    def __init__(self, root):
        self.inodes = {}
        self.calls = []   # a text for each
        self.moves = []   # (call, from, to) of renames between directories
        self.root = self.read_directory(root)

    def read_directory(self, path):
        d = self.inodes[os.stat(path).st_ino] = Directory()
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                d.change(-1, (entry.name, self.read_directory(entry.path)))
            elif entry.is_file(follow_symlinks=False):
                d.change(-1, (entry.name, self.read_file(entry.path)))
        return d

    def read_file(self, path):
        fd = os.open(path, os.O_RDONLY)
        st = os.fstat(fd)
        f = self.inodes.get(st.st_ino) or File(st.st_size)
        at = 0
        while at < st.st_size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA) // PAGE * PAGE
            except OSError:
                break
            data = os.pread(fd, PAGE, at)
            f.pages[at // PAGE] = [(-1, data + bytes(PAGE - len(data)))]
            at += PAGE
        os.close(fd)
        self.inodes[st.st_ino] = f
        return f

    def add(self, path):
        """Appends the calls of a record; returns how many there are now."""
        with open(path, 'rb') as log:
            for line in iter(log.readline, b''):
                word = line.decode().split()
                data = log.read(int(word[3])) if word[0] == 'W' else b''
                getattr(self, 'do_' + word[0])(len(self.calls), word[1:], data)
                self.calls.append(line.decode().strip())
        return len(self.calls)

    def at(self, inode):
        return self.inodes[int(inode)]

    def do_C(self, call, w, _):
        self.inodes[int(w[1])] = File()
        self.at(w[0]).change(call, (w[2], self.at(w[1])))

    def do_N(self, call, w, _):
        self.inodes[int(w[0])] = File()

    def do_M(self, call, w, _):
        self.inodes[int(w[1])] = Directory()
        self.at(w[0]).change(call, (w[2], self.at(w[1])))

    def do_L(self, call, w, _):
        self.at(w[1]).change(call, (w[2], self.at(w[0])))

    def do_U(self, call, w, _):
        self.at(w[0]).change(call, (w[1], None))

    def do_R(self, call, w, _):
        a, b, what = self.at(w[0]), self.at(w[1]), self.at(w[2])
        if a is b:
            a.change(call, (w[3], None), (w[4], what))
            return
        a.change(call, (w[3], None))
        b.change(call, (w[4], what))
        self.moves.append((call, a, b))

    def do_W(self, call, w, data):
        f = self.at(w[0])
        f.write(call, int(w[1]), data)
        if w[3] == '1':
            f.dsyncs.add(call)

    def do_T(self, call, w, _):
        self.at(w[0]).truncate(call, int(w[1]))

    def do_P(self, call, w, _):
        f, mode, off, size = self.at(w[0]), int(w[1]), int(w[2]), int(w[3])
        if mode & PUNCH:
            f.clear(call, off, size)
        elif not mode & KEEP_SIZE:
            f.resize(call, max(f.sizes[-1][1], off + size))

    def do_S(self, call, w, _):
        self.at(w[0]).syncs.append(call)

    def do_X(self, call, w, _):
        raise SystemExit('a call that no model is for: %s' % w[0])


class Loss:
    """What survives of the calls that were not durable: keep(call) says it of each piece."""

    def __init__(self, how, call=None, seed=None):
        self.how, self.call = how, call
        self.rng = random.Random(seed)
        self.share = self.rng.choice([0.1, 0.5, 0.9])

    def keep(self, call):
        if self.how in ('all', 'none'):
            return self.how == 'all'
        if self.how == 'random':
            return self.rng.random() < self.share
        return (call == self.call) == (self.how == 'only')

    def tears(self):
        return self.how == 'random' and self.rng.random() < 0.1

    def __str__(self):
        return self.how if self.call is None else '%s %d' % (self.how, self.call)


class Crash:
    """The state that is left when call `k` was under way and `loss` decides on the rest."""

    def __init__(self, record, k, loss):
        self.record, self.k, self.loss = record, k, loss
        self.prefix = {}  # directory: how many of its changes are there
        self.key = []     # what tells this state from others
        for d in {o for o in record.inodes.values() if isinstance(o, Directory)}:
            self.prefix[d] = self.choose_prefix(d)
        self.mend_moves()
        self.files = {}
        self.tree = self.choose_directory(record.root, '')
        self.key = tuple(sorted(self.key))

    def pending(self):
        """Calls that may or may not have left something."""
        return range(min(self.k + 1, len(self.record.calls)))

    def synced(self, o):
        return max((s for s in o.syncs if s < self.k), default=-1)

    def choose_prefix(self, d):
        synced, n, last = self.synced(d), 0, 0
        for n, (call, _) in enumerate(d.changes):
            if call > self.k:
                break
            if call < synced or call < 0:
                last = n + 1
            elif self.loss.keep(call):
                last = n + 1
            elif self.loss.how == 'lost' or (self.loss.how == 'random' and
                                             self.loss.rng.random() < 0.5):
                break
        return last

    def mend_moves(self):
        """A file that has left one directory is in the other."""
        for call, a, b in self.record.moves:
            if self.has_change(a, call) and not self.has_change(b, call):
                self.prefix[b] = 1 + next(n for n, c in enumerate(b.changes) if c[0] == call)

    def has_change(self, d, call):
        return any(c[0] == call for c in d.changes[:self.prefix[d]])

    def choose_directory(self, d, path):
        entries = {}
        for _, changes in d.changes[:self.prefix[d]]:
            for name, what in changes:
                entries[name] = what
        tree = {}
        for name, what in sorted(entries.items()):
            if isinstance(what, Directory):
                tree[name] = self.choose_directory(what, path + '/' + name)
                self.key.append((path + '/' + name,))
            elif what:
                tree[name] = self.choose_file(what)
                self.key.append((path + '/' + name, tree[name][0], tree[name][2]))
        return tree

    def choose(self, versions, f, synced):
        """The number of the version that is there, of those that the crash can have left."""
        chosen = 0
        for n, (call, _) in enumerate(versions):
            if call > self.k:
                break
            durable = call < synced or (call in f.dsyncs and call < self.k)
            if durable or self.loss.keep(call):
                chosen = n
        return chosen

    def choose_file(self, f):
        if f in self.files:
            return self.files[f]
        synced = self.synced(f)
        size = f.sizes[self.choose(f.sizes, f, synced)][1]
        pages, key = {}, []
        for n in sorted(f.pages):
            versions = f.pages[n]
            v = self.choose(versions, f, synced)
            data = versions[v][1]
            if v and versions[v][0] > synced and versions[v][0] not in f.dsyncs and \
                    self.loss.tears():
                data = self.torn(versions[v - 1][1], data)
                key.append((n, data))
            elif v:
                key.append((n, versions[v][0]))
            if n * PAGE < size:
                pages[n] = data
        self.files[f] = (size, pages, tuple(map(hash, key)))
        return self.files[f]

    def torn(self, old, new):
        return b''.join((new if self.loss.rng.random() < 0.5 else old)[at:at + SECTOR]
                        for at in range(0, PAGE, SECTOR))

    def write(self, to):
        """Makes the state in the directory `to`, which must be empty."""
        self.write_tree(self.tree, to)

    def write_tree(self, tree, to):
        for name, what in tree.items():
            path = to + '/' + name
            if isinstance(what, dict):
                os.mkdir(path, 0o700)
                self.write_tree(what, path)
                continue
            size, pages, _ = what
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            for n, data in pages.items():
                if data != ZEROS:
                    os.pwrite(fd, data, n * PAGE)
            os.ftruncate(fd, size)
            os.close(fd)
