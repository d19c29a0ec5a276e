# SPDX-License-Identifier: Apache-2.0
"""What the stress test puts into the store, and what must come out of it.

Content comes from a few blobs that all layers draw from, so that different layers share chunks, and
from bytes that no other layer has.  A tree is {path: mark of the content}.
"""
import hashlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import mktar

SIZES = (0, 10, 600, 5000, 5000, 60000, 140000, 300000)
BASES, POOL, ADDED, CUT = 4, 6, 3, 2


def mark(data):
    """Size and SHA-256."""
    return "%d:%s" % (len(data), hashlib.sha256(data).hexdigest())


def size_of(mark):
    return int(mark.split(":")[0])


class Layer:
    """Files that it brings, and paths that it removes."""

    def __init__(self, files, removed=()):
        self.files, self.removed = files, list(removed)
        self.tar = mktar.layer(*[mktar.whiteout(p) for p in self.removed],
                               *[mktar.file_(p, data) for p, data in sorted(files.items())])

    def over(self, tree):
        kept = {p: m for p, m in tree.items() if p not in self.removed}
        return {**kept, **{p: mark(data) for p, data in self.files.items()}}


class Blobs:
    def __init__(self, rng):
        self.all = [rng.randbytes(rng.choice(SIZES)) for _ in range(60)]

    def layer(self, rng, label, files, below=None):
        """A layer of new paths, some that layers have in common, and some whiteouts."""
        made = {}
        for n in range(files):
            data = rng.choice(self.all) if rng.random() < 0.6 else rng.randbytes(rng.choice(SIZES))
            made[rng.choice(["%s/f%d" % (label, n), "common/f%d" % rng.randrange(20)])] = data
        made["id"] = label.encode()
        removed = rng.sample(sorted(below), min(3, len(below))) if below else []
        return Layer(made, [p for p in removed if p not in made])


class Image:
    """Where to import it from, and what it is.  recipe: how to make it again from the pool alone,
    as [source, tar...]; None for what only one worker has."""

    def __init__(self, source, tree, recipe=None, digest=None):
        self.source, self.tree, self.recipe, self.digest = source, tree, recipe, digest


def write_image(path, layers, form, how="gzip"):
    """(source, digest of the manifest or None): the image as a layout, or as an archive of it."""
    tars = [l.tar for l in layers]
    if form == "docker-archive":
        mktar.docker_archive(path, tars)
        return "docker-archive:" + path, None
    mktar.oci_layout(path, tars, how=how)
    with open(path + "/index.json") as f:
        digest = json.load(f)["manifests"][0]["digest"]
    if form == "oci":
        return "oci:%s:t" % path, digest
    mktar.tar_of_dir(path, path + ".tar")
    shutil.rmtree(path)
    return "oci-archive:%s.tar:t" % path, digest


def remove_source(source):
    path = source.split(":")[1]
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def tree_of(layers):
    tree = {}
    for l in layers:
        tree = l.over(tree)
    return tree


class Pool:
    """Images that every worker imports: they share base layers, and all their content is known."""

    def __init__(self, rng, where):
        os.makedirs(where)
        self.blobs = Blobs(rng)
        self.images = []
        self.tars, self.cuts = [], []  # (path, layer); cuts: to be imported at any chunk size
        bases = [self.blobs.layer(rng, "base%d" % n, 15) for n in range(BASES)]
        for n in range(POOL):
            below = rng.sample(bases, rng.randint(1, 3))
            top = self.blobs.layer(rng, "pool%d" % n, 10, tree_of(below))
            form = ("oci", "oci-archive", "docker-archive")[n % 3]
            source, digest = write_image("%s/%d" % (where, n), below + [top], form)
            self.images.append(Image(source, tree_of(below + [top]), [source], digest))
        for n in range(ADDED):
            path, layer = self.write_tar(rng, where, "added%d" % n, self.tars)
            self.images.append(Image("tar:" + path, tree_of([layer]), ["tar:" + path]))
        for n in range(CUT):
            self.write_tar(rng, where, "cut%d" % n, self.cuts)
        self.by_id = {i.tree["id"]: i for i in self.images}

    def write_tar(self, rng, where, label, into):
        layer = self.blobs.layer(rng, label, 6, {"common/f%d" % n: "" for n in range(9)})
        into.append(("%s/%s.tar" % (where, label), layer))
        mktar.write(into[-1][0], layer.tar)
        return into[-1]


def tree_in(directory):
    """The tree of a directory, read past this mount's page cache."""
    tree = {}
    for top, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(top, name)
            with open(path, "rb") as f:
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                tree[os.path.relpath(path, directory)] = mark(f.read())
    return tree


def difference(want, got):
    """What is wrong with `got`, as a line, or None."""
    for path in sorted(want.keys() | got.keys()):
        if want.get(path) != got.get(path):
            return "%s is %s instead of %s" % (path, got.get(path, "missing"),
                                               want.get(path, "absent"))
    return None
