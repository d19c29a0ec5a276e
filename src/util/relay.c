/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define SLAB_SIZE ((size_t)512 << 10)
#define SLABS     8u

struct reader {
	struct source source;
	struct relay *relay;
	uint64_t at; /* the slab it reads, counted from the first ever; those before are done */
	bool holds;  /* it was given slab `at` and may still look at it */
};

struct relay {
	struct sink sink;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint8_t *slabs[SLABS];
	size_t filled[SLABS];
	uint64_t written; /* whole slabs handed over */
	size_t fill;      /* bytes in the slab being written */
	struct reader readers[RELAY_READERS_MAX];
	unsigned int n_readers;
	bool ended, aborted;
	int code;
	struct err err;
};

static uint64_t slowest(const struct relay *r)
{
	uint64_t at = r->written;

	for (unsigned int i = 0; i < r->n_readers; i++)
		at = r->readers[i].at < at ? r->readers[i].at : at;
	return at;
}

static int relay_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct relay *r = (struct relay *)s;
	bool aborted;

	pthread_mutex_lock(&r->lock);
	while (!r->aborted && r->written - slowest(r) >= SLABS)
		pthread_cond_wait(&r->moved, &r->lock);
	aborted = r->aborted;
	pthread_mutex_unlock(&r->lock);
	if (aborted)
		return -ECANCELED;
	*ret_p = r->slabs[r->written % SLABS] + r->fill;
	*ret_n = SLAB_SIZE - r->fill;
	return 0;
}

static void hand_over(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->filled[r->written % SLABS] = r->fill;
	r->written++;
	r->fill = 0;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

static int relay_fill(struct sink *s, size_t n)
{
	struct relay *r = (struct relay *)s;

	r->fill += n;
	if (r->fill == SLAB_SIZE)
		hand_over(r);
	return 0;
}

void relay_end(struct relay *r, int code, const struct err *e)
{
	if (r->fill && code == 0)
		hand_over(r);
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	r->code = code;
	if (e)
		r->err = *e;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

void relay_abort(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->aborted = true;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

static int relay_next(struct source *s, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	struct reader *d = (struct reader *)s;
	struct relay *r = d->relay;
	int got;

	pthread_mutex_lock(&r->lock);
	if (d->holds) {
		d->at++;
		d->holds = false;
		pthread_cond_broadcast(&r->moved);
	}
	while (d->at == r->written && !r->ended && !r->aborted)
		pthread_cond_wait(&r->moved, &r->lock);
	if (d->at < r->written) {
		*ret_p = r->slabs[d->at % SLABS];
		*ret_n = r->filled[d->at % SLABS];
		d->holds = true;
		got = 1;
	} else if (r->aborted && !r->ended) {
		got = -ECANCELED;
	} else {
		got = r->code;
		if (got < 0)
			err_set(e, got, "%s", r->err.code ? r->err.text : err_text(got));
	}
	pthread_mutex_unlock(&r->lock);
	return got;
}

struct relay *relay_new(unsigned int readers)
{
	_cleanup_(relay_freep) struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->sink = (struct sink){.room = relay_room, .fill = relay_fill};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->moved, NULL);
	r->n_readers = readers;
	for (unsigned int i = 0; i < readers; i++)
		r->readers[i] = (struct reader){.source.next = relay_next, .relay = r};
	for (unsigned int i = 0; i < SLABS; i++) {
		r->slabs[i] = malloc(SLAB_SIZE);
		if (!r->slabs[i])
			return NULL;
	}
	return TAKE_PTR(r);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	for (unsigned int i = 0; i < SLABS; i++)
		free(r->slabs[i]);
	pthread_cond_destroy(&r->moved);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

struct sink *relay_sink(struct relay *r)
{
	return &r->sink;
}

struct source *relay_source(struct relay *r, unsigned int reader)
{
	return &r->readers[reader].source;
}
