/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unit tests are made of: a check that stays in every build and says where it failed, and
 * sources and sinks in memory.
 */
#pragma once

#include "buf.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			exit(1); \
		} \
	} while (0)

/* A source over bytes in memory, handed out in pieces of at most `piece`, each in memory of its
 * own that is freed at the next call: whoever keeps a pointer too long is found out. */
struct test_source {
	struct source s;
	const uint8_t *p;
	size_t n, piece;
	uint8_t *last;
};

static inline int test_source_next(
	struct source *s, const uint8_t **ret_p, size_t *ret_n, struct err *e _unused_)
{
	struct test_source *t = (struct test_source *)s;
	const size_t n = t->n < t->piece ? t->n : t->piece;

	free(t->last);
	t->last = NULL;
	if (n == 0)
		return 0;
	t->last = malloc(n);
	CHECK(t->last);
	memcpy(t->last, t->p, n);
	t->p += n;
	t->n -= n;
	*ret_p = t->last;
	*ret_n = n;
	return 1;
}

static inline struct test_source test_source_of(const void *p, size_t n, size_t piece)
{
	return (struct test_source){.s = {test_source_next}, .p = p, .n = n, .piece = piece};
}

static inline void test_source_done(struct test_source *t)
{
	free(t->last);
}

/* A sink that keeps everything; its room is small and odd, so that writers must loop. */
struct test_sink {
	struct sink s;
	struct buf b;
};

static inline int test_sink_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct test_sink *t = (struct test_sink *)s;
	int r = buf_reserve(&t->b, 4093);

	if (r < 0)
		return r;
	*ret_p = t->b.p + t->b.n;
	*ret_n = 4093;
	return 0;
}

static inline int test_sink_fill(struct sink *s, size_t n)
{
	((struct test_sink *)s)->b.n += n;
	return 0;
}

static inline struct test_sink test_sink_new(void)
{
	return (struct test_sink){.s = {test_sink_room, test_sink_fill}};
}

static inline void test_sink_done(struct test_sink *t)
{
	buf_done(&t->b);
}
