/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar, in and out.
 *
 * Formats: POSIX.1-2017 pax interchange format (pax utility, "ustar Interchange Format" and "pax
 * Interchange Format"), v7, GNU tar ("Basic Tar Format" and "GNU Extensions to the Archive
 * Format": types L, K, S, base-256 numbers; "Storing Sparse Files": pax sparse 0.0, 0.1, 1.0),
 * and the keywords SCHILY.xattr.* that container engines use. Names are bytes: no charset is
 * converted, whatever the locale.
 *
 * The reader trusts nothing: every number is range-checked, headers must have a right checksum,
 * extension records are limited in size (TAR_EXT_MAX), memory use does not depend on what a
 * header promises. What it cannot read exactly it refuses with -ERR_INPUT and one message that
 * names the entry. Where tar programs read one archive in different ways, it reads as the container
 * engines do (Go's archive/tar) if that is safe, and refuses otherwise: tar-entry.c says where.
 */
#pragma once

#include "util/stream.h"

#include <stdbool.h>
#include <stdint.h>

/* Largest extension header (pax records, long name) taken; real ones hold a few xattrs. */
#define TAR_EXT_MAX ((uint64_t)4 << 20)

struct tar_xattr {
	const char *name; /* the whole name: "user.foo", "security.capability" */
	const void *value;
	size_t value_size;
};

/* A piece of a sparse file that holds data; everything else in [0, size) is a hole. */
struct tar_extent {
	uint64_t offset; /* bytes, in the file */
	uint64_t size;   /* bytes */
};

struct tar_entry {
	uint32_t mode; /* S_IFMT type and 07777 permission bits; hard links: S_IFREG */
	/* `link` names another entry, whose fields count instead of these. Writers repeat them all
	 * the same, as some extractors apply them again; the size is 0. */
	bool hardlink;
	const char *path;  /* as it stands there: may be absolute, hold "..", end in '/' */
	const char *link;  /* symlink or hard link target, else NULL */
	uint32_t uid, gid; /* 0 to 2^32 - 2 */
	int64_t mtime; /* seconds since the epoch, may be negative (then nsec counts forwards) */
	uint32_t mtime_nsec;
	uint32_t dev_major, dev_minor;  /* character and block devices */
	uint64_t size;                  /* bytes of the file, holes included; 0 for all but files */
	const struct tar_xattr *xattrs; /* from the reader: sorted by name, each name once */
	size_t n_xattrs;
	const struct tar_extent *extents; /* sparse files: ascending, disjoint, none empty */
	size_t n_extents;
	bool sparse; /* `extents` counts (it may be empty: all hole) */
};

/* Reading: tar_next for each entry, tar_data for its pieces (or none: what is left is skipped). */
struct tar_reader;
/* Pulls from `in`, which it does not own. NULL: no memory. */
struct tar_reader *tar_reader_new(struct source *in);
void tar_reader_free(struct tar_reader *t);
DEFINE_CLEANUP(struct tar_reader *, tar_reader_free);

/*
 * From now on, `tee` is told of all bytes of the archive, in their order, but for those that
 * tar_data hands out: together they are the archive. Content that the caller does not ask for is
 * among them.
 */
typedef void (*tar_tee)(void *ctx, const void *p, size_t n);
void tar_reader_tee(struct tar_reader *t, tar_tee tee, void *ctx);

/*
 * 1 = *ret_entry is the next entry (owned by the reader, valid until the next call of tar_next);
 * 0 = the end of the archive: two zero blocks, or one, or the end of input at a record boundary
 *     (what follows the end mark is read to the end of input and ignored).
 */
_must_check_ int tar_next(struct tar_reader *t, const struct tar_entry **ret_entry, struct err *e);

/*
 * The next piece of the current entry's content. 1 = *ret_n > 0 bytes at *ret_offset of the file
 * (offsets ascend; what they pass over is a hole); 0 = there is no more.
 */
_must_check_ int tar_data(struct tar_reader *t, const uint8_t **ret_p, size_t *ret_n,
	uint64_t *ret_offset, struct err *e);

/*
 * Writing, in the one canonical form: ustar headers, pax records only where a field needs them
 * (long or odd names, big numbers, nanoseconds, xattrs sorted by name, sparse 1.0). The same
 * entry gives the same bytes. For a file, the caller then writes exactly its content (for a sparse
 * one, that of its extents, in order) into the sink and calls tar_write_padding.
 * A socket, which tar has no type for, is an empty file with the pax record PLYFS.type=socket.
 * A directory's path is written with a '/' at its end. An empty xattr stays an empty xattr.
 * Extents but the last should have a multiple of 512 bytes: GNU tar misreads others. More than
 * TAR_EXT_MAX of pax records or sparse map is -ERR_INPUT, as is what no reader should accept.
 */
_must_check_ int tar_write_entry(struct sink *out, const struct tar_entry *entry, struct err *e);
_must_check_ int tar_write_padding(struct sink *out, const struct tar_entry *entry);
_must_check_ int tar_write_end(struct sink *out);
