/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plyfs adds to an EROFS image to make it an index: a header in the 1,024 bytes before the
 * superblock, which EROFS leaves to others, and the chunk table behind the last metadata block.
 * Shared by the writer and the reader; docs/format.md is the reference.
 */
#pragma once

#include "digest.h"
#include "erofs.h"

#define INDEX_MAGIC       "plyfsidx"
#define INDEX_VERSION     1u
#define INDEX_FLAG_LAYER  1u
#define INDEX_FLAG_LOCAL  2u
#define INDEX_ROOT_NID    (EROFS_BLOCK_SIZE / EROFS_SLOT_SIZE)
#define INDEX_DEVICE_SLOT ((EROFS_SUPER_OFFSET + 128) / 128)
#define INDEX_TAIL_MAX    2048u /* longer tails of directories and symlinks get blocks */
#define INDEX_INLINE_MAX  512u  /* files up to this size keep their content in the index */

/* The xattr that carries enum inode_flag in a layer's index: one byte. Never taken from input. */
#define INDEX_LAYER_XATTR "trusted.plyfs"

/* What is known of the tree as a whole. Local indexes made before version 0.2 say nothing. */
enum index_fact {
	INDEX_FACT_KNOWN = 1,
	INDEX_FACT_WHITEOUT = 2, /* there is a character device 0:0 */
};

struct index_header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t flags;
	uint64_t file_size;   /* bytes, the whole file */
	uint64_t chunk_table; /* byte offset, a whole number of blocks */
	uint64_t chunk_count;
	uint64_t data_bytes;
	uint64_t blob_blocks;          /* blocks of the portable blob */
	uint8_t portable[DIGEST_SIZE]; /* local: the portable index's digest; else zeros */
	uint32_t facts;                /* local: enum index_fact; else zero */
	uint32_t unused;
	uint64_t largest; /* bytes of the largest file, holes not counted; if facts are known */
	uint8_t reserved[920];
};
static_assert(sizeof(struct index_header) == EROFS_SUPER_OFFSET, "index header");

struct index_chunk_entry {
	uint8_t digest[DIGEST_SIZE];
	uint32_t size;  /* bytes */
	uint32_t block; /* in the portable blob: the sum of the blocks of those before */
};
static_assert(sizeof(struct index_chunk_entry) == 40, "chunk table entry");

/* xattr names are kept as a prefix number and the rest. The order is that of the numbers. */
struct index_xattr_prefix {
	const char *text;
	uint8_t number;
};
#define INDEX_XATTR_PREFIXES \
	{ \
		{"user.", 1}, {"system.posix_acl_access", 2}, {"system.posix_acl_default", 3}, \
			{"trusted.", 4}, {"security.", 6}, \
	}

/* CRC-32C as EROFS uses it: of the superblock's block with the checksum field zero. */
uint32_t index_super_checksum(const uint8_t block[EROFS_BLOCK_SIZE]);
