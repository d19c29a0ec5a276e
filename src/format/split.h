/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split of a layer's tar: everything that is not file content kept by chunks (headers, padding,
 * extension records, small files, what follows the end), and where the chunks go between. With the
 * chunks, it gives the tar back byte for byte. docs/format.md has the bytes.
 *
 * The writer is told of the tar's bytes in their order. Chunks are ids, counted from 0 in the order
 * in which the layer's tree met them; in the end the plan of the layer's index turns each into an
 * entry of the index's chunk table. A chunk that the index does not list (of a file that a later
 * member of the same tar replaces) is an *extra*: the split alone refers to it.
 */
#pragma once

#include "index.h"

/* Writing. */
struct split_writer;
/* Writes into the empty file `fd`, which must stay open. -ENOMEM. */
_must_check_ int split_writer_new(int fd, struct split_writer **ret, struct err *e);
void split_writer_free(struct split_writer *w);
DEFINE_CLEANUP(struct split_writer *, split_writer_free);

/* These remember a failure, which split_writer_code and split_writer_finish give back. */
void split_literal(struct split_writer *w, const void *p, size_t n);
void split_zeros(struct split_writer *w, uint64_t n);
/* `n` bytes at `offset` of the chunk; `size` is the whole chunk's. */
void split_chunk(struct split_writer *w, uint32_t id, uint32_t offset, uint32_t n, uint32_t size);
int split_writer_code(const struct split_writer *w);
/* Bytes of the tar, so far. */
uint64_t split_writer_tar_size(const struct split_writer *w);
_must_check_ int split_writer_finish(
	struct split_writer *w, const struct index_plan *plan, struct err *e);

/* Reading. */
struct split;
/* The descriptor must stay open. -ERR_STORE where it is no split, or its tables are broken. */
_must_check_ int split_open(int fd, struct split **ret, struct err *e);
void split_close(struct split *s);
DEFINE_CLEANUP(struct split *, split_close);

uint64_t split_tar_size(const struct split *s);
uint32_t split_ids(const struct split *s);
/* 0 = *ret is the number in the table of the layer's index; 1 = in that of the extras. */
int split_id(const struct split *s, uint32_t id, uint32_t *ret);
/* The extras: nearly always none. Owned by the split. */
const struct chunk *split_extras(const struct split *s, size_t *ret_n);

struct split_op {
	enum { SPLIT_LITERAL, SPLIT_ZEROS, SPLIT_CHUNKS, SPLIT_PART } kind;
	const uint8_t *p;    /* literal: valid until the next call */
	uint64_t n;          /* bytes; of SPLIT_CHUNKS: how many chunks */
	uint32_t id, offset; /* the (first) chunk, and where in it a part begins */
};
/* The operations one after the other. 1 = *ret is the next; 0 = the end. -ERR_STORE. */
_must_check_ int split_next(struct split *s, struct split_op *ret, struct err *e);

/*
 * Checks the whole file: its sum, its operations, and that it fits the layer's index. -ERR_STORE.
 */
_must_check_ int split_check(int fd, const struct index *layer, struct err *e);
