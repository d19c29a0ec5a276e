/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a bitmap file (docs/format.md). */
#pragma once

#include <assert.h>
#include <stdint.h>

#define BLOCKS_MAGIC          "plyfsblk"
#define BLOCKS_VERSION        1u
#define BLOCKS_LOWER_SIZE_MAX ((uint64_t)1 << 50) /* a bitmap of 32 GiB, sparse */

struct blocks_fixed {
	uint8_t magic[8];
	uint32_t version;
	uint32_t checksum; /* CRC-32 of this structure, with 0 here */
	uint64_t ino;
	uint8_t id[16]; /* the mark's value */
	uint64_t lower_key;
	uint64_t lower_size; /* when it was made */
	uint64_t reserved;
};

struct blocks_header {
	struct blocks_fixed fixed;
	uint64_t lower_size; /* now */
	uint8_t reserved[4096 - sizeof(struct blocks_fixed) - 8];
};
static_assert(sizeof(struct blocks_fixed) == 64, "blocks_fixed");
static_assert(sizeof(struct blocks_header) == 4096, "blocks_header");
