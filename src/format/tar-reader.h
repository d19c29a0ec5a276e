/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar reader's inside: tar-read.c goes through the archive, header by header and piece by
 * piece; tar-entry.c makes the entry of a header and its extensions. Not for other modules.
 */
#pragma once

#include "tar-header.h"
#include "tar-pax.h"
#include "tar-sparse.h"
#include "tar-stream.h"

struct extension {
	struct buf text;
	bool present;
};

struct tar_reader {
	struct tar_stream stream;
	int failed; /* the code of the failure that ended reading */
	bool ended;

	struct tar_header header; /* of the current entry */
	uint64_t header_at;
	struct buf global;      /* raw records of global headers */
	struct buf global_copy; /* the same, taken apart for the current entry */
	struct extension local, long_name, long_link;
	struct tar_pax pax;
	char path[sizeof(((struct tar_header *)0)->prefix) + 1 + 100 + 1];
	char link[100 + 1];

	struct tar_entry entry;
	bool hidden;     /* the payload is not the entry's content: an old GNU directory listing */
	uint64_t stored; /* bytes of payload, without what a sparse map took */
	uint64_t left;   /* of these, not read yet */
	size_t padding;  /* bytes behind the payload */
	size_t extent;   /* sparse: the current one */
	uint64_t in_extent; /* bytes of it that were handed out */
};

/*
 * Fills t->entry from t->header and the extensions, and reads a sparse map that stands in the
 * archive itself; the stream is at the content then. 1, or a negative code.
 */
_must_check_ int tar_entry_make(struct tar_reader *t, struct err *e);

/* The header's own size field. */
_must_check_ int tar_header_size(struct tar_reader *t, uint64_t *ret, struct err *e);

/* A broken rule, with the entry's name if it has one already. Returns -ERR_INPUT. */
int tar_bad(struct tar_reader *t, struct err *e, const char *what);

/* The same for a failure that has its message, but not its place. Returns `code`. */
int tar_bad_below(struct tar_reader *t, struct err *e, int code);
