# SPDX-License-Identifier: Apache-2.0
"""
The bench of the fault, power-loss and full-disk tests: small inputs, stores to begin with, scenes
(a command that something happens to), and the check of what is left afterwards.

A scene begins with a copy of one of the template stores and runs its steps.  The names of the
store and a digest of all that is behind each (fault-look) are its state; after k steps the state
is states[k], and no other state may ever be seen: a step has happened or it has not.
"""
import ctypes
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
sys.dont_write_bytecode = True
import mktar as m  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)


class Wrong(Exception):
    """What is left is not as it should be."""


class Scene:
    def __init__(self, name, template, steps, again, exports=False):
        self.name, self.template, self.steps = name, template, steps
        self.heals = []         # names of images that the commands of `again` heal
        self.again = again      # commands that must work afterwards
        self.exports = exports  # into the directory exported/: nothing is there if it failed
        self.states = []        # of the names, before the first step and after each
        self.between = []       # other states that a step may leave when it is stopped
        self.exported = None    # what an export makes


def scratch(need=512 << 20):
    """A directory, in memory where there is room: what is tested is order, not the disk."""
    at = '/dev/shm'
    try:
        v = os.statvfs(at)
        fits = v.f_bavail * v.f_frsize >= need and os.access(at, os.W_OK)
    except OSError:
        fits = False
    return tempfile.TemporaryDirectory(prefix='plyfs-fault-', dir=at if fits else None)


# --- inputs -----------------------------------------------------------------------------------

def content(rng):
    """Data with blocks of zeros in it, which the store does not write."""
    r = rng.randbytes
    return [r(20), r(5000), r(4096) + bytes(12288) + r(4096), r(40000), bytes(70000) + r(300),
            r(150000)]


def files(seed, n, prefix):
    rng = random.Random(seed)
    kinds = content(rng)
    return [m.file_('%s/d%d/f%d' % (prefix, k % 2, k), kinds[k % len(kinds)] + b'%d' % k)
            for k in range(n)]


def make_inputs(at):
    os.makedirs(at)
    m.write(at + '/base.tar', m.layer(m.dir_('etc'), *files(1, 6, 'base')))
    m.write(at + '/new.tar', m.layer(m.symlink('link', 'new/d0/f0'), *files(2, 6, 'new'),
                                     m.hardlink('hard', 'new/d1/f1')))
    m.write(at + '/third.tar', m.layer(*files(3, 4, 'third')))
    m.oci_layout(at + '/two', [m.layer(*files(4, 6, 'two')),
                               m.layer(m.whiteout('two/d0/f0'), *files(5, 3, 'upper'))])


def tree(path):
    """All that is below a directory."""
    found = []
    for d, dirs, names in os.walk(path):
        for name in dirs + names:
            at = os.path.join(d, name)
            st = os.lstat(at)
            what = os.readlink(at) if os.path.islink(at) else None
            if os.path.isfile(at) and not what:
                with open(at, 'rb') as f:
                    what = hashlib.sha256(f.read()).hexdigest()
            found.append((os.path.relpath(at, path), st.st_mode, what))
    return sorted(found)


def flip(path, piece):
    """Changes a bit of a piece of a file."""
    with open(path, 'r+b') as f:
        at = f.read().index(piece)
        f.seek(at)
        f.write(bytes([piece[0] ^ 1]))


# --- stores -----------------------------------------------------------------------------------

def copy_file(source, target):
    """With its holes, and with what it has taken behind its end."""
    a = os.open(source, os.O_RDONLY)
    b = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    size, at = os.fstat(a).st_size, 0
    os.ftruncate(b, size)
    while at < size:
        try:
            begin = os.lseek(a, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(a, begin, os.SEEK_HOLE)
        os.pwrite(b, os.pread(a, at - begin, begin), begin)
    taken = os.fstat(a).st_blocks * 512
    if taken > size and LIBC.fallocate(b, 1, 0, taken):  # FALLOC_FL_KEEP_SIZE
        raise OSError(ctypes.get_errno(), 'fallocate')
    os.close(a)
    os.close(b)


def copy_store(source, target):
    shutil.rmtree(target, ignore_errors=True)
    os.mkdir(target, 0o700)
    for entry in os.scandir(source):
        if entry.is_dir(follow_symlinks=False):
            copy_store(entry.path, target + '/' + entry.name)
        elif entry.name != 'chunks.lmdb-lock':  # LMDB makes it anew
            copy_file(entry.path, target + '/' + entry.name)


def use(store):
    """(files, bytes on disk), without LMDB's and the locks, which keep what they have once had."""
    names, total = [], 0
    for d, _, found in os.walk(store):
        for f in found:
            path = os.path.join(d, f)
            name = os.path.relpath(path, store)
            if name == 'lock' or name.startswith('chunks.lmdb'):
                continue
            names.append(name)
            total += os.stat(path).st_blocks * 512
    return sorted(names), total


class Bench:
    def __init__(self, build, work):
        build = os.path.abspath(build)
        self.plyfs, self.looker = build + '/plyfs', build + '/fault-look'
        self.build, self.work = build, work
        self.inputs, self.store = work + '/inputs', work + '/store'
        self.clean = {}  # template: (state, use) after the last cleaning up
        make_inputs(self.inputs)
        self.fsck = self.run('help', 'fsck').returncode == 0
        self.make_templates()
        self.scenes = {s.name: s for s in self.all_scenes()}

    # --- running ---

    def run(self, *args, env=None):
        return subprocess.run([self.plyfs, '--store', self.store, *args],
                              env=dict(os.environ, **env) if env else None,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def must(self, *args):
        r = self.run(*args)
        if r.returncode:
            raise Wrong('%s: %s' % (' '.join(args), r.stderr.decode().strip()))
        return r.stdout.decode()

    def look(self):
        """The state of the store: name to digest of all that is behind it."""
        r = subprocess.run([self.looker, self.store], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=120)
        if r.returncode:
            raise Wrong('an image cannot be read: %s' % r.stderr.decode().strip())
        return dict(line.split() for line in r.stdout.decode().splitlines())

    def on(self, directory):
        """The same bench with another place for the store, for another process."""
        other = object.__new__(Bench)
        other.__dict__.update(self.__dict__)
        os.makedirs(directory, exist_ok=True)
        other.work, other.store = directory, directory + '/store'
        return other

    # --- templates and scenes ---

    def template(self, name):
        return self.work_root() + '/template-' + name

    def work_root(self):
        return os.path.dirname(self.inputs)

    def save(self, name):
        copy_store(self.store, self.template(name))

    def fresh(self, template):
        shutil.rmtree(self.store, ignore_errors=True)
        self.fresh_exported()
        if template == 'none':  # there is no store yet, nor the directory above it
            self.store = os.path.join(self.work, 'new', 'store')
            shutil.rmtree(os.path.dirname(self.store), ignore_errors=True)
        else:
            self.store = os.path.join(self.work, 'store')
            copy_store(self.template(template), self.store)

    def fresh_exported(self):
        shutil.rmtree(self.work + '/exported', ignore_errors=True)
        os.mkdir(self.work + '/exported')

    def make_templates(self):
        i = self.inputs
        self.must('import', 'oci:%s/two:t' % i, 'other')
        self.must('import', 'tar:%s/base.tar' % i, 'base')
        self.look()
        self.save('two')  # two images
        self.must('rmi', 'other')
        # A killed import's leftovers: a session that holds space, files in tmp/.
        r = self.run('import', 'tar:%s/third.tar' % i, 'third',
                     env={'LD_PRELOAD': self.build + '/fault.so', 'PLYFS_FAULT': 'kill:rename:1'})
        if r.returncode != -9:
            raise SystemExit('%s/fault.so does nothing' % self.build)
        self.save('dead')  # one image, another one's remains, and a dead session's
        self.must('gc')
        self.save('one')   # one image, and space that was used before
        self.must('rmi', 'base')
        self.must('gc')
        self.save('empty')
        for template in ('two', 'dead', 'one', 'empty', 'none'):
            self.measure(template)

    def measure(self, template):
        self.fresh(template)
        if template == 'none':
            self.fresh('empty')
        self.clean_up()
        self.clean[template] = (self.look(), use(self.store))

    def all_scenes(self):
        i = self.inputs
        two = ['import', 'oci:%s/two:t' % i, 'other']
        new = ['import', 'tar:%s/new.tar' % i, 'new']
        scenes = [
            Scene('import oci:', 'one', [two], [two]),
            Scene('import tar:', 'two', [new], [new]),
            Scene('import, new store', 'none', [new], [new]),
            Scene('layer add', 'one', [['layer', 'add', 'base', 'tar:%s/new.tar' % i, 'added']],
                  [['layer', 'add', 'base', 'tar:%s/new.tar' % i, 'added']]),
            Scene('gc', 'dead', [['gc']], [two]),
            Scene('tag', 'two', [['tag', 'other', 'tagged']], [['tag', 'other', 'tagged']]),
            Scene('rmi', 'two', [['rmi', 'other']], [two]),
            Scene('sequence', 'two', [new, ['rmi', 'other'], ['gc'],
                                      ['import', 'tar:%s/third.tar' % i, 'third'],
                                      ['rmi', 'new'], ['gc'], two], [two]),
        ]
        if self.fsck:
            scenes.append(self.repair_scene())
        for dest in ('oci:@/exported/x:t', 'oci-archive:@/exported/x:t',
                     'docker-archive:@/exported/x', 'tar:@/exported/x', 'rootfs:@/exported/x'):
            export = [['export', 'other', dest]]
            if self.can_export(dest):
                scenes.append(Scene('export ' + dest.split('@')[0], 'two', export, export, True))
        for scene in scenes:
            if not scene.states:
                self.play(scene)
        return scenes

    def repair_scene(self):
        """Of one image, a chunk is damaged in the pack, and the index."""
        self.fresh('one')
        self.must('import', 'oci:%s/two:t' % self.inputs, 'other')
        flip(self.store + '/packs/0.pack', content(random.Random(4))[-1][:4096])
        flip(json.loads(self.must('inspect', 'other', '--json'))['index_path'], b'plyfsidx')
        self.save('damaged')
        self.measure('damaged')
        repair = [['fsck', '--repair', 'oci:%s/two:t' % self.inputs]]
        scene = Scene('fsck --repair', 'damaged', repair, repair)
        self.play(scene)
        scene.between = [dict(state, **hidden) for state in scene.states for hidden in (
            {'other:latest': '-'}, {'base:latest': '-'},  # what it could not read: a repair heals it
            {'other:latest': '-', 'base:latest': '-'})]
        scene.heals = ['other:latest', 'base:latest']
        return scene

    def can_export(self, dest):
        self.fresh('two')
        return self.run(*self.placed(['export', 'base', dest])).returncode == 0

    def play(self, scene):
        """Learns the states that the scene leads through."""
        self.fresh(scene.template)
        scene.states = [{} if scene.template == 'none' else self.look()]
        for step in scene.steps:
            self.must(*self.placed(step))
            scene.states.append(self.look())
        scene.exported = tree(self.work + '/exported')

    def placed(self, step):
        return [a.replace('@', self.work) for a in step]

    # --- what is left ---

    def check_fsck(self, leftovers):
        if not self.fsck:
            return
        r = self.run('fsck', '--data', '--json')
        found = json.loads(r.stdout) if r.stdout else {'problems': r.stderr.decode()}
        if r.returncode or found['damaged'] or (found['leftovers'] and not leftovers):
            raise Wrong('fsck: %s' % found['problems'])

    def check_state(self, allowed, what):
        state = self.look()
        if state not in allowed:
            raise Wrong('%s: %s' % (what, differing(state, allowed)))
        return state

    def clean_up(self):
        """Removes all but the one image that was there always, and what is left of them."""
        for name in self.look():
            if name != 'base:latest':
                self.must('rmi', name)
        self.must('gc')

    def check_left(self, scene, done, begun, flavour):
        """
        The store after something went wrong when `done` steps were reported done and `begun` were
        begun.  `flavour` is what comes first: 0 gc, 1 other images, which take what is free.
        """
        if os.path.exists(self.store + '/format') or scene.states[done]:
            self.check_store(scene, scene.states[done:begun + 1] + scene.between, flavour)
        else:
            self.check_again(scene, {})  # it was stopped before there was one
        self.clean_up()
        self.check_clean(scene)

    def check_store(self, scene, allowed, flavour):
        state = self.check_state(allowed, 'first look')
        if not scene.between:
            self.check_fsck(leftovers=True)
        if flavour == 0 and not scene.between:  # with a damaged index, gc cannot tell what lives
            self.must('gc')
            self.check_state([state], 'after gc')
        else:
            self.must('import', 'tar:%s/third.tar' % self.inputs, 'x-third')
        self.check_again(scene, state)

    def check_clean(self, scene):
        """gc has left what it leaves without a fault."""
        names, size = use(self.store)
        state, (clean_names, clean_size) = self.clean[scene.template]
        if names != clean_names:
            raise Wrong('gc leaves %s' % sorted(set(names) ^ set(clean_names)))
        if size > clean_size:
            raise Wrong('gc leaves %d bytes, not %d' % (size, clean_size))
        self.check_state([state], 'at the end')
        self.check_fsck(leftovers=False)

    def check_exported(self, scene, done, killed):
        """
        What an export has left: all of it, or (unless it was killed) nothing.  One that could not
        make durable what it had finished says that it failed, and has left it.
        """
        left = tree(self.work + '/exported')
        if done and left != scene.exported:
            raise Wrong('what is exported is not what it should be')
        if not done and not killed and left and left != scene.exported:
            raise Wrong('the export has left %s' % ', '.join(f[0] for f in left))
        self.fresh_exported()

    def check_again(self, scene, state):
        for step in scene.again:
            self.must(*self.placed(step))
        if scene.exports:
            self.check_exported(scene, True, False)
        after = self.look()
        lost = [n for n, d in state.items() if after.get(n) != d and n not in scene.heals]
        if lost:
            raise Wrong('the next command changed %s' % ', '.join(lost))
        for name in after:
            if after[name] != self.expected(name):
                raise Wrong('%s is not what was imported again' % name)

    def expected(self, name):
        for scene in self.scenes.values():
            for state in scene.states:
                if name in state:
                    return state[name]
        return self.expected('third:latest') if name == 'x-third:latest' else None


def differing(state, allowed):
    if not allowed:
        return 'nothing is allowed'
    want = allowed[0]
    names = sorted(n for n in set(state) | set(want) if state.get(n) != want.get(n))
    return 'not as it should be: %s (of %d states allowed)' % (', '.join(names), len(allowed))
