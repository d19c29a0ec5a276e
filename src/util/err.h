/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors.
 *
 * Negative = failure, forwarded unchanged; positive = a documented, expected condition of one
 * function; 0 = done. Failures are -errno, or -ERR_x below for what errno has no word for.
 *
 * Hot paths return the code alone. Cold paths take a last `struct err *e` (may be NULL) on the
 * caller's stack and fill it with one line that says what failed and where. The first message
 * stays; callers on the way up may put a place in front of it with err_prefix().
 */
#pragma once

#include "cleanup.h"

#include <errno.h>
#include <stdarg.h>

/* Codes of our own: above every errno. The texts stand in err.c, in the same order. */
enum {
	ERR_FIRST = 4096,
	ERR_INPUT = ERR_FIRST, /* what was read breaks a rule of its format */
	ERR_DIGEST,            /* content does not match its digest */
	ERR_UNSUPPORTED,       /* valid, but nothing here can do it */
	ERR_ABSENT,            /* no such image, tag, layer or path */
	ERR_CONFLICT,          /* it exists already, or is in use */
	ERR_STORE,             /* the store contradicts itself */
	ERR_LAST,
};

struct err {
	int code; /* the negative code that was returned, 0 if none */
	char text[640];
};

/* Sets the message (if none is set yet) and returns `code`, for `return err_set(e, -EIO, ...)`. */
int err_set(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);

/* err_set with ": <text of errno or of our code>" appended. */
int err_sys(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);

/* Puts "<prefix>: " in front of the message, and returns e->code (or `code` if e is NULL). */
int err_prefix(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);

/* The text of a negative code. Never NULL; static. */
const char *err_text(int code);
