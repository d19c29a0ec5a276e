# SPDX-License-Identifier: Apache-2.0
"""Tar layers and OCI images with every byte under control.

The writers of ordinary tools refuse to write what a converter has to survive, so this module
writes tar headers by itself.  Its parts are plain byte strings, put together with `layer()`:

    from mktar import *
    data = layer(dir_("a"), file_("a/x", b"text", uid=2**31), whiteout("a/y"))
    open("x.tar", "wb").write(data)
    oci_layout("dir", [data, layer(file_("b", b"2"))], tag="t")

A name is str (UTF-8) or bytes.  By default an entry is a ustar header, preceded by a pax header
where ustar cannot hold a value; `fmt=` takes "v7", "ustar", "gnu" or "pax", and every field of
the header can be replaced by raw bytes with `raw={"size": b"..."}`.  The functions that make
images take `edit_*` functions that change a document before it is digested, so that each
digest is right unless a test makes it wrong on purpose.
"""
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile

FIELDS = {  # name: (offset, length)
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12),
    "mtime": (136, 12), "chksum": (148, 8), "typeflag": (156, 1), "linkname": (157, 100),
    "magic": (257, 8), "uname": (265, 32), "gname": (297, 32), "devmajor": (329, 8),
    "devminor": (337, 8), "prefix": (345, 155),
}
MAGIC = {"v7": b"", "ustar": b"ustar\x0000", "pax": b"ustar\x0000", "gnu": b"ustar  \x00"}
END = bytes(1024)


def b(s):
    return s.encode("utf-8", "surrogateescape") if isinstance(s, str) else bytes(s)


# --- tar: the parts ---------------------------------------------------------------------------

def number(value, length, fmt="ustar"):
    """A numeric field: octal where it fits, else base-256 (GNU's form, also for negatives)."""
    if 0 <= value < 8 ** (length - 1):
        return b"%0*o\0" % (length - 1, value)
    return base256(value, length)


def base256(value, length):
    raw = bytearray(value.to_bytes(length, "big", signed=True) if value < 0 else
                    value.to_bytes(length, "big"))
    raw[0] |= 0x80
    return bytes(raw)


def pad(data):
    return data + bytes(-len(data) % 512)


def header(name, typeflag=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=0, linkname=b"",
           fmt="ustar", major=0, minor=0, uname=b"", gname=b"", prefix=b"", raw=None):
    """One 512-byte header.  Values that don't fit are cut (names) or written as base-256."""
    h = bytearray(512)

    def put(field, value):
        at, length = FIELDS[field]
        value = b(value)[:length]
        h[at:at + length] = value + bytes(length - len(value))

    put("name", name)
    put("mode", number(mode, 8))
    put("uid", number(uid, 8))
    put("gid", number(gid, 8))
    put("size", number(size, 12))
    put("mtime", number(mtime, 12))
    put("typeflag", typeflag)
    put("linkname", linkname)
    put("magic", MAGIC[fmt])
    if fmt != "v7":
        put("uname", uname)
        put("gname", gname)
        put("devmajor", number(major, 8))
        put("devminor", number(minor, 8))
        put("prefix", prefix)
    raw = raw or {}
    for field, value in raw.items():
        put(field, value)
    if "chksum" not in raw:
        put("chksum", b" " * 8)
        put("chksum", b"%06o\0 " % sum(h))
    return bytes(h)


def pax_records(records):
    """pax records from a dict or from a list of pairs (for repeated or odd keys)."""
    out = b""
    for key, value in records.items() if isinstance(records, dict) else records:
        body = b" " + b(key) + b"=" + b(value) + b"\n"
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        out += b(str(length)) + body
    return out


def pax(records, typeflag=b"x", name="PaxHeaders/0"):
    """A pax extended header for the next entry; `records` may be raw bytes."""
    body = records if isinstance(records, bytes) else pax_records(records)
    return header(name, typeflag, len(body), fmt="pax") + pad(body)


def global_pax(records):
    return pax(records, b"g", "pax_global_header")


def long_(value, typeflag=b"L"):
    """GNU's long name (L) or long link target (K) for the next entry."""
    body = b(value) + b"\0"
    return header("././@LongLink", typeflag, len(body), fmt="gnu") + pad(body)


def pax_time(ns):
    """Nanoseconds since the epoch as pax writes them: [-]SECONDS[.FRACTION]."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    text = "%s%d.%09d" % (sign, ns // 10**9, ns % 10**9)
    return text.rstrip("0").rstrip(".")


def entry(name, typeflag=b"0", data=b"", mode=0o644, uid=0, gid=0, mtime=0, mtime_ns=None,
          linkname=b"", fmt="pax", xattrs=None, pax_extra=None, size=None, raw=None, padding=True,
          major=0, minor=0, **other):
    """An entry with what must stand before and after its header, none of it checked.

    size: what the header says, where that is not len(data).  pax_extra: more records, which
    win over those made here.  padding=False leaves the data unpadded."""
    name, linkname = b(name), b(linkname)
    size = len(data) if size is None else size
    seconds = mtime if mtime_ns is None else mtime_ns // 10**9
    before, rec = b"", {}
    if fmt == "pax":
        if len(name) > 100:
            rec["path"] = name
        if len(linkname) > 100:
            rec["linkpath"] = linkname
        for key, value in (("uid", uid), ("gid", gid)):
            if value >= 8**7:
                rec[key] = str(value)
        if size >= 8**11:
            rec["size"] = str(size)
        if mtime_ns is not None or not 0 <= seconds < 8**11:
            rec["mtime"] = pax_time(seconds * 10**9 if mtime_ns is None else mtime_ns)
        for key, value in (xattrs or {}).items():
            rec[b"SCHILY.xattr." + b(key)] = b(value)
    elif fmt == "gnu":
        if len(linkname) > 100:
            before += long_(linkname, b"K")
        if len(name) > 100:
            before += long_(name, b"L")
    elif fmt == "ustar" and len(name) > 100 and "prefix" not in other:
        cut = name.rindex(b"/", 0, 156)
        other["prefix"], name = name[:cut], name[cut + 1:]
    if pax_extra:
        if not isinstance(pax_extra, dict):
            rec = list(rec.items()) + list(pax_extra)
        else:
            rec.update(pax_extra)
    if rec:
        before += pax(rec)
    fits = lambda v, limit: v if fmt != "pax" or 0 <= v < limit else 0
    head = header(name, typeflag, fits(size, 8**11), mode, fits(uid, 8**7), fits(gid, 8**7),
                  fits(seconds, 8**11), linkname, fmt, major, minor, raw=raw, **other)
    return before + head + (pad(data) if padding else data)


def file_(name, data=b"", **kw):
    return entry(name, b"0", b(data), **kw)


def dir_(name, mode=0o755, **kw):
    return entry(name, b"5", mode=mode, **kw)


def symlink(name, target, mode=0o777, **kw):
    return entry(name, b"2", linkname=target, mode=mode, **kw)


def hardlink(name, target, **kw):
    return entry(name, b"1", linkname=target, **kw)


def char(name, major, minor, **kw):
    return entry(name, b"3", major=major, minor=minor, **kw)


def block(name, major, minor, **kw):
    return entry(name, b"4", major=major, minor=minor, **kw)


def fifo(name, **kw):
    return entry(name, b"6", **kw)


def whiteout(path):
    """The whiteout of `path`: an empty file .wh.NAME beside it."""
    parent, _, name = path.rpartition("/")
    return file_((parent + "/" if parent else "") + ".wh." + name)


def opaque(directory):
    return file_((directory + "/" if directory else "") + ".wh..wh..opq")


def sparse_gnu(name, size, extents, fmt="gnu", **kw):
    """The old GNU sparse file (type S).  extents: [(offset, bytes)]."""
    data = b"".join(d for _, d in extents)
    table = [number(o, 12) + number(len(d), 12) for o, d in extents]
    table.append(number(size, 12) + number(0, 12))
    head = bytearray(header(name, b"S", len(data), fmt=fmt, **kw))
    head[345:500] = bytes(155)
    first, rest = table[:4], table[4:]
    head[386:386 + 24 * len(first)] = b"".join(first)
    head[482] = 1 if rest else 0
    head[483:495] = number(size, 12)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more = b""
    while rest:
        now, rest = rest[:21], rest[21:]
        more += b"".join(now).ljust(504, b"\0") + (b"\1" if rest else b"\0") + bytes(7)
    return bytes(head) + more + pad(data)


def sparse_pax(name, size, extents, version="1.0", **kw):
    """A sparse file in pax form 0.0, 0.1 or 1.0.  extents: [(offset, bytes)]; as GNU tar does,
    a hole at the end is told by an empty extent there."""
    if not extents or extents[-1][0] + len(extents[-1][1]) < size:
        extents = list(extents) + [(size, b"")]
    data = b"".join(d for _, d in extents)
    if version == "0.0":
        rec = [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(extents)))]
        for o, d in extents:
            rec += [("GNU.sparse.offset", str(o)), ("GNU.sparse.numbytes", str(len(d)))]
        return entry(name, b"0", data, pax_extra=rec, **kw)
    if version == "0.1":
        numbers = ",".join("%d,%d" % (o, len(d)) for o, d in extents)
        rec = [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(extents))),
               ("GNU.sparse.map", numbers), ("GNU.sparse.name", name)]
        return entry("GNUSparseFile.0/x", b"0", data, pax_extra=rec, **kw)
    numbers = [len(extents)] + [n for o, d in extents for n in (o, len(d))]
    table = pad("".join("%d\n" % n for n in numbers).encode())
    rec = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", name),
           ("GNU.sparse.realsize", str(size))]
    return entry("GNUSparseFile.0/x", b"0", table + data, pax_extra=rec, **kw)


def layer(*parts, end=END):
    return b"".join(parts) + end


# --- layers into images -----------------------------------------------------------------------

OCI = "application/vnd.oci.image."
INDEX_TYPE = OCI + "index.v1+json"
MANIFEST_TYPE = OCI + "manifest.v1+json"
CONFIG_TYPE = OCI + "config.v1+json"
LAYER_TYPE = {"plain": OCI + "layer.v1.tar", "gzip": OCI + "layer.v1.tar+gzip",
              "zstd": OCI + "layer.v1.tar+zstd"}
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}.get(
    platform.machine(), platform.machine())


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    return data


def dump(document):
    """A document's bytes; bytes are taken as they are."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def edited(document, edit):
    """Let a test change a document in place, or give another one (dict, list or bytes) back."""
    other = edit(document) if edit else None
    return dump(document if other is None else other)


class Layout:
    """An OCI layout that is being written: blobs first, then save() for index.json."""

    def __init__(self, path):
        self.path, self.manifests = path, []
        os.makedirs(os.path.join(path, "blobs/sha256"), exist_ok=True)

    def blob_path(self, digest):
        return os.path.join(self.path, "blobs", *digest.split(":"))

    def blob(self, data, media_type):
        digest = sha256(data)
        with open(self.blob_path(digest), "wb") as f:
            f.write(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def image(self, layers, tag="t", how="gzip", arch=ARCH, edit_config=None,
              edit_manifest=None, edit_descriptor=None):
        """Add an image; returns (manifest descriptor, manifest).  layers: uncompressed tars;
        how: one compression for all, or a list."""
        hows = [how] * len(layers) if isinstance(how, str) else how
        blobs = [self.blob(compress(d, h), LAYER_TYPE[h]) for d, h in zip(layers, hows)]
        config = {"architecture": arch, "os": "linux", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [sha256(d) for d in layers]},
                  "history": [{"created_by": "layer %d" % n} for n in range(len(layers))]}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE,
                    "config": self.blob(edited(config, edit_config), CONFIG_TYPE),
                    "layers": blobs}
        descriptor = self.blob(edited(manifest, edit_manifest), MANIFEST_TYPE)
        descriptor["platform"] = {"architecture": arch, "os": "linux"}
        if tag:
            descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
        if edit_descriptor:
            edit_descriptor(descriptor)
        self.manifests.append(descriptor)
        return descriptor, manifest

    def index(self, descriptors, tag="t"):
        """Replace the top-level list by one nested index of `descriptors` (multi-platform)."""
        for d in descriptors:
            d.pop("annotations", None)
        nested = self.blob(dump({"schemaVersion": 2, "mediaType": INDEX_TYPE,
                                 "manifests": descriptors}), INDEX_TYPE)
        nested["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.manifests = [nested]

    def save(self, edit_index=None, edit_layout=None):
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.manifests}
        with open(os.path.join(self.path, "index.json"), "wb") as f:
            f.write(edited(index, edit_index))
        with open(os.path.join(self.path, "oci-layout"), "wb") as f:
            f.write(edited({"imageLayoutVersion": "1.0.0"}, edit_layout))


def oci_layout(path, layers, tag="t", how="gzip", edit_index=None, edit_layout=None, **edits):
    """A whole OCI layout with one image; returns the manifest."""
    layout = Layout(path)
    _, manifest = layout.image(layers, tag, how, **edits)
    layout.save(edit_index, edit_layout)
    return manifest


def tar_of_dir(path, out):
    """A directory as a tar file with sorted names, as an oci-archive is."""
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as t:
        for top, dirs, names in os.walk(path):
            dirs.sort()
            for name in sorted(names):
                full = os.path.join(top, name)
                t.add(full, os.path.relpath(full, path), recursive=False)


def docker_archive(out, layers, tags=("demo:latest",), edit_config=None, edit_manifest=None,
                   extra=(), order="manifest-last"):
    """A docker-archive as `docker save` wrote it before version 25: one directory a layer.
    extra: more (name, bytes) members; order: "manifest-last" or "manifest-first"."""
    ids = [hashlib.sha256(b"%d" % n + d).hexdigest() for n, d in enumerate(layers)]
    config = {"architecture": ARCH, "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [sha256(d) for d in layers]},
              "history": [{"created_by": "layer %d" % n} for n in range(len(layers))]}
    config = edited(config, edit_config)
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = edited([{"Config": name, "RepoTags": list(tags),
                        "Layers": [i + "/layer.tar" for i in ids]}], edit_manifest)
    members = [(i + "/layer.tar", d) for i, d in zip(ids, layers)] + [(name, config)]
    members += list(extra)
    if order == "manifest-first":
        members.insert(0, ("manifest.json", manifest))
    else:
        members.append(("manifest.json", manifest))
    with open(out, "wb") as f:
        for member, data in members:
            f.write(file_(member, data))
        f.write(END)


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
