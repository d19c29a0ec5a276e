/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 512-byte header of a tar entry, as reader and writer share it: its layout, its numbers and
 * its checksum. Not for other modules, which see struct tar_entry only.
 *
 * Layout: POSIX.1-2017, pax utility, "ustar Interchange Format"; GNU tar manual, "Basic Tar
 * Format" (the old GNU sparse map in the place of ustar's prefix, base-256 numbers).
 */
#pragma once

#include "util/cleanup.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK           ((size_t)512)
#define TAR_ID_MAX          ((int64_t)UINT32_MAX - 1) /* 2^32 - 1 means "no change" to chown(2) */
#define TAR_LINK_MAX        ((size_t)4095)            /* what symlink(2) takes */
#define TAR_XATTR_NAME_MAX  ((size_t)255)             /* XATTR_NAME_MAX */
#define TAR_XATTR_VALUE_MAX ((size_t)65536)           /* XATTR_SIZE_MAX */

struct tar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8]; /* and version: "ustar\0" "00", or GNU's "ustar  \0" */
	char uname[32];
	char gname[32];
	char dev_major[8];
	char dev_minor[8];
	char prefix[155];
	char pad[12]; /* star's archives: their magic at the end of it */
};
static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a tar header is one block");

struct tar_gnu_extent {
	char offset[12];
	char size[12];
};

/* What the old GNU format keeps where ustar has its prefix. */
struct tar_gnu_sparse {
	char unused[41]; /* access and change time, offset, long names */
	struct tar_gnu_extent map[4];
	char is_extended; /* a block of struct tar_gnu_sparse_more follows */
	char real_size[12];
	char pad[17];
};
static_assert(sizeof(struct tar_gnu_sparse) == 155 + 12, "it fills prefix and pad");

struct tar_gnu_sparse_more {
	struct tar_gnu_extent map[21];
	char is_extended;
	char pad[7];
};
static_assert(sizeof(struct tar_gnu_sparse_more) == TAR_BLOCK, "a sparse map's block is one block");

enum tar_dialect { TAR_V7, TAR_USTAR, TAR_STAR, TAR_GNU };
enum tar_dialect tar_header_dialect(const struct tar_header *h);

/* Right with the bytes taken as unsigned, as POSIX says, or as signed, as some old programs did. */
bool tar_checksum_ok(const struct tar_header *h);
void tar_checksum_put(struct tar_header *h);

bool tar_block_is_zero(const void *block);

/*
 * A numeric field: octal digits with blanks around them, or base-256 (the first byte's top bit
 * set; two's complement). An empty field is 0. -ERR_INPUT for everything else, also for what
 * other programs would read in different ways: digits behind a blank or behind leading NULs.
 */
_must_check_ int tar_number(const char *field, size_t n, int64_t *ret);

/* Octal and a NUL if the number fits, else base-256, which must fit. */
void tar_number_put(char *field, size_t n, int64_t v);
/* Whether `n` bytes of field hold it in octal. */
bool tar_number_is_octal(size_t n, int64_t v);

/* The bytes from `size` to the end of its last block. */
static inline size_t tar_padding(uint64_t size)
{
	return (size_t)(-size & (TAR_BLOCK - 1));
}
