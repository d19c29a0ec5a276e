/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the files of a plain tar lie, so that an image archive can be read in place.
 *
 * One pass reads the headers with pread(2) and skips the payloads. libarchive is not used for
 * this: it does not tell where a payload begins. Only what image archives are made of is
 * understood: regular files, directories, links; ustar, GNU long names, pax "path", "linkpath"
 * and "size". All other types, sparse files above all, are refused: there must be no doubt where
 * the next header is, so that no other reader sees other files than this one.
 *
 * Names are compared without leading "./" and trailing "/". Immutable once made.
 */
#pragma once

#include "util/err.h"

#include <stdint.h>

/* Files in an image archive: a few for each layer. More is refused. */
#define ARCHIVE_ENTRIES_MAX ((size_t)1 << 16)

struct archive_index;

/* Reads `fd`, which must be a regular file, and does not keep it. -ERR_INPUT, -errno. */
_must_check_ int archive_index_new(int fd, struct archive_index **ret, struct err *e);
void archive_index_free(struct archive_index *a);
DEFINE_CLEANUP(struct archive_index *, archive_index_free);

/*
 * 1 = the file `name` is there, its bytes at [*ret_offset, *ret_offset + *ret_size); 0 = no such
 * file. A link is followed once, inside the archive (`docker save` of old versions links a layer
 * that several images share). -ERR_INPUT: a name that is there twice, or a link to no file.
 */
_must_check_ int archive_index_find(const struct archive_index *a, const char *name,
	uint64_t *ret_offset, uint64_t *ret_size, struct err *e);
