/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half-copied files: the upper file is sparse and as long as the file, and a bitmap tells which of
 * its blocks of 4 KiB are its own; the others are read from the lower file. The bitmap is a file,
 * WORK/blocks/<inode number of the upper file, in hex>, mapped shared: it outlives a kill as any
 * file does. docs/format.md has its bytes.
 *
 * Only blocks that begin before `lower_size` can be the lower file's; behind it everything is the
 * upper file's own, holes are zeros.
 *
 * Invariants:
 *  B1  A block's bit is set after its bytes are in the upper file, all 4 KiB of them (or up to
 *      lower_size). So a kill in between leaves the lower file's block, and the write undone.
 *  B2  The mark in the upper file's xattrs (OVERLAY_BLOCKS) is there before the file gets its name
 *      in the tree, and goes before the bitmap does. Marked and without a bitmap: -EIO, never data.
 *  B3  With fsync: the file's data is synced before its bitmap.
 */
#pragma once

#include "upper.h"

#define UPPER_BLOCK_BITS 12
#define UPPER_BLOCK_SIZE ((uint64_t)1 << UPPER_BLOCK_BITS)

struct blocks;

struct blocks_info {
	uint64_t lower_key;  /* of the lower file, the index's nid; 0 for a directory layer's */
	uint64_t lower_size; /* see above; it only shrinks */
	uint64_t count;      /* blocks of its own, before lower_size */
};

/*
 * What WORK/blocks holds, kept in memory: upper_open and upper_close call these. -ERR_INPUT and
 * the like are not for damage here: a damaged bitmap is found when its file is opened.
 */
_must_check_ int blocks_load(struct upper *up, struct err *e);
void blocks_unload(struct upper *up);

/*
 * Makes the bitmap of a new file and marks it. The file is for writing, empty or as long as it will
 * be, and has no name in the tree yet. -EFBIG: no file of that size can be half copied.
 */
_must_check_ int blocks_new(struct upper *up, int file_fd, uint64_t lower_key, uint64_t lower_size,
	struct blocks **ret);
/*
 * Of a file that is marked. -EIO if there is no right bitmap for it. What a kill left undone is
 * done: nothing behind the file's size is the lower file's.
 */
_must_check_ int blocks_open(struct upper *up, int file_fd, struct blocks **ret);
/* 1 = the file is marked, 0 = it is whole. Costs nothing where there are no half-copied files,
 * but for sparse files. */
_must_check_ int blocks_is_half(
	struct upper *up, int dirfd, const char *name, const struct stat *st);
/* The same of an open file, by its mark alone. */
_must_check_ int blocks_is_marked(struct upper *up, int file_fd);
void blocks_close(struct blocks *b);
DEFINE_CLEANUP(struct blocks *, blocks_close);

/*
 * Threads: blocks_run, blocks_info, blocks_is_whole, blocks_reserve and blocks_set may be called at
 * once, by any number. blocks_cut, blocks_finish and blocks_close are alone.
 */
struct blocks_info blocks_info(const struct blocks *b);
/*
 * The run that begins at byte `off` (before the size of the file): *ret_own tells whose it is, and
 * *ret_end where it ends (at most `end`).
 */
void blocks_run(
	const struct blocks *b, uint64_t off, uint64_t end, bool *ret_own, uint64_t *ret_end);
/*
 * Takes the disk space for the bits of [off, end), so that a full disk is an error here, and not a
 * SIGBUS in blocks_set, which wants this first.
 */
_must_check_ int blocks_reserve(struct blocks *b, uint64_t off, uint64_t end);
/* All blocks that begin in [off, end) are the upper file's own from now on. B1. */
void blocks_set(struct blocks *b, uint64_t off, uint64_t end);
/* Nothing behind `size` comes from the lower file any more. The upper file was cut before. */
void blocks_cut(struct blocks *b, uint64_t size);
/* No block is the lower file's. */
bool blocks_is_whole(const struct blocks *b);
/* The file is whole: its mark goes, then its bitmap. Frees `b`, unless it fails. */
_must_check_ int blocks_finish(struct blocks *b, int file_fd);
/* The upper file is gone for good. Nothing happens if it was whole. */
void blocks_remove(struct upper *up, uint64_t ino);
_must_check_ int blocks_sync(struct blocks *b);
