/* SPDX-License-Identifier: Apache-2.0 */
/* A split's bytes, as writer and reader share them. */
#pragma once

#include "digest.h"

#include <assert.h>

#define SPLIT_MAGIC   "plyfsspl"
#define SPLIT_VERSION 1u
#define SPLIT_IDS_MAX (1u << 24)  /* LAYER_CHUNK_REFS_MAX */
#define SPLIT_EXTRA   0x80000000u /* in the table of ids: an extra, not an entry of the index */

/* Little-endian. Behind it: the operations, one zstd frame; the tables, one zstd frame. */
struct split_header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t extras;
	uint64_t tar_size;   /* bytes */
	uint64_t operations; /* bytes of the first frame */
	uint32_t ids;
	uint32_t reserved;
	uint8_t sum[DIGEST_SIZE]; /* SHA-256 of what follows the header, and then of what is before
				   */
};
static_assert(sizeof(struct split_header) == 72, "split header");

/* Tables: `ids` numbers of 4 bytes, each the difference to the one before; then the extras. */
struct split_extra {
	uint8_t digest[DIGEST_SIZE];
	uint32_t size;
};
static_assert(sizeof(struct split_extra) == 36, "split extra");

/* Operations: this byte, then numbers as LEB128. */
enum split_code {
	SPLIT_CODE_LITERAL = 0, /* n, and n bytes */
	SPLIT_CODE_ZEROS = 1,   /* n */
	SPLIT_CODE_CHUNKS = 2,  /* id, n: whole chunks */
	SPLIT_CODE_PART = 3,    /* id, offset, n */
};
