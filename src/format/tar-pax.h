/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pax extended headers: records "LENGTH KEY=VALUE\n", and what they say about an entry.
 *
 * POSIX.1-2017, pax utility, "pax Extended Header"; GNU tar manual, "Storing Sparse Files" for
 * GNU.sparse.*; star(5) for SCHILY.xattr.*; libarchive-formats(5) for LIBARCHIVE.xattr.*.
 *
 * Records that do not concern us (comment, atime, uname, ...) are checked for their shape and
 * passed over. An empty value takes back what an earlier record or the header said and leaves the
 * header's field to count, except for xattrs, where it is the empty value.
 */
#pragma once

#include "tar-sparse.h"
#include "tar.h"
#include "util/buf.h"

/* Records of global headers that are kept for later entries; real ones hold two or three. */
#define TAR_GLOBAL_MAX   ((size_t)64 << 10)
#define TAR_GLOBAL_COUNT ((size_t)256)

struct tar_pax_xattr {
	struct tar_xattr x;
	size_t rank; /* of several with one name the highest counts */
};

/* What the records say. Strings point into the buffers that were parsed. NULL: nothing is said. */
struct tar_pax {
	const char *path, *link;
	bool has_size, has_uid, has_gid, has_mtime, has_dev_major, has_dev_minor;
	uint64_t size;
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t dev_major, dev_minor;
	bool socket; /* PLYFS.type=socket */

	bool sparse; /* some GNU.sparse record is there */
	const char *sparse_name;
	const char *sparse_major, *sparse_minor;
	bool has_sparse_size, has_sparse_count, has_map;
	uint64_t sparse_size;   /* bytes of the file, holes included */
	uint64_t sparse_count;  /* extents, empty ones too, that the map should have */
	uint64_t map_count;     /* that it has */
	uint64_t sparse_offset; /* an offset that waits for its numbytes */
	bool has_sparse_offset;
	struct tar_map map;

	struct tar_pax_xattr *found; /* in the order of the records */
	size_t n_found, room_found;
	struct tar_xattr *xattrs; /* sorted, each name once: after tar_pax_finish */
	size_t n_xattrs, room_xattrs;
};
void tar_pax_done(struct tar_pax *x);
void tar_pax_reset(struct tar_pax *x);

/* Applies all records of `text` on top of what is there. Changes `text`, which must stay. */
_must_check_ int tar_pax_apply(struct tar_pax *x, struct buf *text, struct err *e);
/* After the last record: makes the list of xattrs. */
_must_check_ int tar_pax_finish(struct tar_pax *x, struct err *e);

/* Adds the records of one global header to those kept in `global`, replacing those of one key. */
_must_check_ int tar_pax_keep_global(struct buf *global, const struct buf *text, struct err *e);

/* Decimal digits and nothing else, up to `max`. */
_must_check_ int tar_decimal(const char *s, size_t n, uint64_t max, uint64_t *ret);

/*
 * Seconds with a decimal fraction, of which what is below a nanosecond is cut off: "-1.25" is a
 * second and a quarter before the epoch, second -2 and nanosecond 750,000,000.
 */
_must_check_ int tar_pax_time(const char *s, size_t n, int64_t *ret_sec, uint32_t *ret_nsec);
