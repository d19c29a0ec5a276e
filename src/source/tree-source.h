/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees that are no tar yet, written as one: what goes into the store is always a layer tar, so
 * that every layer has a diff_id and can be exported, whatever it was made from.
 *
 * The tar is canonical: entries in the order of a depth-first walk with each directory's names
 * sorted by their bytes, "./" first; numeric owners only; a file's further names as hard links to
 * the first. The same tree gives the same bytes.
 */
#pragma once

#include "util/stream.h"

/*
 * `rootfs:`: the directory at `path`, with modes, owners, nanosecond times, xattrs (all that the
 * caller may read), hard links, devices, FIFOs, sockets and holes. Walked by descriptors, without
 * following any symlink below `path`; what is mounted below is part of the tree. A hole is kept
 * where it saves a page. A file whose size or time changes while it is read is -ERR_INPUT with its
 * name; so is whatever a layer cannot hold, such as a name that starts with ".wh.". Needs /proc.
 */
_must_check_ int rootfs_to_tar(const char *path, struct sink *out, struct err *e);

/*
 * `manifest:`: the text form of plyfs-manifest(5), one entry a line. Relative content=FILE paths
 * are taken from the manifest's own directory, and must be regular files. Errors name the line.
 */
_must_check_ int manifest_to_tar(const char *path, struct sink *out, struct err *e);
