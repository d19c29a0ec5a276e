/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: sparse files of 4 KiB blocks that hold chunk data, packs/<number>.pack. What no chunk
 * uses is a hole. The last block of a chunk is filled up with zeros.
 */
#pragma once

#include "records.h"

/* "packs/0.pack" */
#define PACK_NAME_MAX 32
char *pack_name(uint16_t pack, char name[PACK_NAME_MAX]);
/* The descriptor (owned by the store), opened for reading and writing, made if missing. */
_must_check_ int pack_open(struct store *s, uint16_t pack, int *ret_fd, struct err *e);
/*
 * Makes the pack at least as long as the extent reaches, so that blocks of zeros need not be
 * written. Within the transaction that holds the extent, so that no two processes do it at once.
 */
_must_check_ int pack_extend(struct store *s, const struct extent *x, struct err *e);
/* Makes the extent read as zeros and gives its space back to the file system. */
_must_check_ int pack_punch(struct store *s, const struct extent *x, struct err *e);
/* Bytes of the extent that are no hole. */
_must_check_ int pack_data_bytes(
	struct store *s, const struct extent *x, uint64_t *ret, struct err *e);
/* Makes what was written to the pack, or punched out of it, durable. */
_must_check_ int pack_sync(struct store *s, uint16_t pack, struct err *e);
