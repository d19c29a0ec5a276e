/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scoped resources.
 *
 * Every local resource is declared with a cleanup attribute and handed over with TAKE_PTR or
 * TAKE_FD; there is no goto-cleanup. Every destructor accepts NULL (or -1) and half-built objects.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _must_check_   __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))

/* DEFINE_CLEANUP(struct foo *, foo_free) makes foo_freep, for use with _cleanup_(foo_freep). */
#define DEFINE_CLEANUP(type, func) \
	static inline void func##p(type *p) \
	{ \
		if (*p) \
			func(*p); \
	} \
	struct func##_cleanup_end

/* Hands the pointer (or descriptor) over to the caller: the local no longer owns it. */
#define TAKE_PTR(p) \
	({ \
		__typeof__(p) *_pp = &(p); \
		__typeof__(p) _v = *_pp; \
		*_pp = NULL; \
		_v; \
	})
#define TAKE_FD(fd) \
	({ \
		int *_fp = &(fd); \
		int _v = *_fp; \
		*_fp = -1; \
		_v; \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void close_fdp(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose);
DEFINE_CLEANUP(DIR *, closedir);

#define _cleanup_free_   _cleanup_(freep)
#define _cleanup_close_  _cleanup_(close_fdp)
#define _cleanup_fclose_ _cleanup_(fclosep)
