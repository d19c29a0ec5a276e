/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of sparse files: the list of extents that hold data, and the two forms that are read from
 * the archive itself. (Those that stand in pax records are read by tar-pax.)
 *
 * GNU tar manual, "Storing Sparse Files" (pax 1.0) and "GNU Extensions to the Archive Format"
 * (old GNU). A map's text or blocks are limited to TAR_EXT_MAX bytes.
 */
#pragma once

#include "tar-stream.h"
#include "tar.h"

/* Ascending, disjoint; empty extents are checked and left out. */
struct tar_map {
	struct tar_extent *v;
	size_t n, room;
	uint64_t end;  /* where the last one, empty or not, ended: bytes, in the file */
	uint64_t data; /* bytes of all extents */
};

void tar_map_done(struct tar_map *m);
void tar_map_reset(struct tar_map *m);

/* -ERR_INPUT if the extent is not behind all earlier ones, or ends behind INT64_MAX; -ENOMEM. */
_must_check_ int tar_map_add(struct tar_map *m, uint64_t offset, uint64_t size);

/* The old GNU form: four extents in the header, further ones in the blocks behind it. */
_must_check_ int tar_map_read_gnu(struct tar_map *m, struct tar_stream *s,
	const struct tar_header *h, uint64_t *ret_size, struct err *e);

/* The pax 1.0 form, at the start of a payload that has *left bytes; takes off what it read. */
_must_check_ int tar_map_read_text(
	struct tar_map *m, struct tar_stream *s, uint64_t *left, struct err *e);
