/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer. Zero-initialised is empty; buf_done frees. The data is kept
 * NUL-terminated behind its length once something was appended, so text can be read as a string.
 */
#pragma once

#include "cleanup.h"

#include <stdint.h>

struct buf {
	uint8_t *p;
	size_t n;
	size_t room;
};

void buf_done(struct buf *b);
/* Makes room for `more` bytes behind the data; -ENOMEM. */
_must_check_ int buf_reserve(struct buf *b, size_t more);
_must_check_ int buf_add(struct buf *b, const void *p, size_t n);
_must_check_ int buf_add_zero(struct buf *b, size_t n);
_must_check_ int buf_addf(struct buf *b, const char *fmt, ...) _printf_(2, 3);

#define _cleanup_buf_ _cleanup_(buf_done)
