/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source, read as tar reads it: by blocks, by pieces of payload without a copy, and with parts
 * passed over. Knows the offset, for messages. Not for other modules than the tar reader.
 */
#pragma once

#include "tar-header.h"
#include "tar.h"

struct tar_stream {
	struct source *in; /* borrowed */
	const uint8_t *p;  /* what is left of the source's last piece */
	size_t n;
	uint64_t offset; /* of `p` in the archive, bytes */
	bool ended;
	/* Told of every byte that is taken while `payload` is not set; may be NULL. */
	tar_tee tee;
	void *tee_ctx;
	bool payload;
	uint8_t block[TAR_BLOCK]; /* a block that lay across two pieces */
};

/*
 * The next block, valid until the next call of any function here.
 * 1 = it is there; 0 = the input ended before it; -ERR_INPUT = it ended inside.
 */
_must_check_ int tar_stream_block(struct tar_stream *s, const void **ret, struct err *e);

/* The next bytes, at most `max` > 0. 1 = *ret_n > 0 bytes; 0 = the input has ended. */
_must_check_ int tar_stream_piece(
	struct tar_stream *s, uint64_t max, const uint8_t **ret_p, size_t *ret_n, struct err *e);

/* Passes over `n` bytes. 0 = done; 1 = the input ended before. */
_must_check_ int tar_stream_skip(struct tar_stream *s, uint64_t n, struct err *e);

/* Reads to the end of the input. */
_must_check_ int tar_stream_drain(struct tar_stream *s, struct err *e);
