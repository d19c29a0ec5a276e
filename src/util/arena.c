/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <string.h>

#define BLOCK_SIZE ((size_t)256 << 10)

struct arena_block {
	struct arena_block *next;
	size_t size;
	uint64_t data[];
};

void arena_done(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){0};
}

static struct arena_block *block_new(size_t size)
{
	struct arena_block *b = calloc(1, sizeof(*b) + size);

	if (b)
		b->size = size;
	return b;
}

/* A big object gets a block of its own, behind the first, which keeps its free room. */
static void *alloc_big(struct arena *a, size_t n)
{
	struct arena_block *b = block_new(n);

	if (!b)
		return NULL;
	a->total += n;
	if (a->blocks) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		a->blocks = b;
		a->used = n;
	}
	return b->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + 7) & ~(size_t)7;
	if (n > BLOCK_SIZE / 8)
		return alloc_big(a, n);
	if (!a->blocks || a->used + n > a->blocks->size) {
		struct arena_block *b = block_new(BLOCK_SIZE);

		if (!b)
			return NULL;
		b->next = a->blocks;
		a->blocks = b;
		a->used = 0;
		a->total += BLOCK_SIZE;
	}
	p = (char *)a->blocks->data + a->used;
	a->used += n;
	return p;
}

void *arena_copy(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);

	if (q && n)
		memcpy(q, p, n);
	return q;
}
