/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink that writes into a file, one byte behind the other from where the descriptor stands: also
 * into a pipe.
 */
#pragma once

#include "stream.h"

struct file_sink {
	struct sink sink;
	int fd; /* the owner's */
	uint8_t *buffer;
	size_t fill;      /* bytes in the buffer */
	uint64_t written; /* bytes given to the kernel */
	uint64_t pushed;  /* of these, those whose writing to the disk was begun */
};

/* -ENOMEM. */
_must_check_ int file_sink_init(struct file_sink *f, int fd);
void file_sink_done(struct file_sink *f);
/* How many bytes were put in. */
static inline uint64_t file_sink_offset(const struct file_sink *f)
{
	return f->written + f->fill;
}
/* Everything that was put in is with the kernel. */
_must_check_ int file_sink_flush(struct file_sink *f);
