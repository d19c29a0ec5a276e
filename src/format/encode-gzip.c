/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip members (RFC 1952), each compressed whole by one of the threads. Members stand in a ring:
 * the caller fills them in order, the threads take them in order, and the caller passes them on in
 * order, when it needs the oldest one's place.
 */
#include "encode-internal.h"

#include <assert.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* About as small as gzip -6 makes layers (docs/design.md, "Export"), four times as fast. */
#define LEVEL 4
/* One for each thread, and one each that is being filled or passed on. */
#define MEMBERS ((unsigned int)(ENCODE_THREADS + 2))

struct member {
	uint8_t *in, *out;
	size_t n_in, n_out;
	bool done;
};

struct gzip_encoder;
struct worker {
	struct gzip_encoder *g;
	pthread_t thread;
	struct libdeflate_compressor *compressor;
};

struct gzip_encoder {
	struct encoder encoder;
	struct sink sink;
	struct sink *out;
	struct member members[MEMBERS];
	size_t out_room;
	uint64_t passed_on; /* members that have gone into `out`; the caller's alone */

	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint64_t filled; /* members handed to the threads */
	uint64_t taken;  /* of these, begun */
	bool stop;

	struct worker workers[ENCODE_THREADS];
	unsigned int n_workers; /* that run */
};

static struct member *member_at(struct gzip_encoder *g, uint64_t number)
{
	return &g->members[number % MEMBERS];
}

/* NULL: it is time to stop. */
static struct member *take(struct gzip_encoder *g)
{
	struct member *m = NULL;

	pthread_mutex_lock(&g->lock);
	while (!g->stop && g->taken == g->filled)
		pthread_cond_wait(&g->moved, &g->lock);
	if (!g->stop)
		m = member_at(g, g->taken++);
	pthread_mutex_unlock(&g->lock);
	return m;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct gzip_encoder *g = w->g;
	struct member *m;

	while ((m = take(g))) {
		size_t n = libdeflate_gzip_compress(
			w->compressor, m->in, m->n_in, m->out, g->out_room);

		assert(n); /* the room is what the library asked for */
		pthread_mutex_lock(&g->lock);
		m->n_out = n;
		m->done = true;
		pthread_cond_broadcast(&g->moved);
		pthread_mutex_unlock(&g->lock);
	}
	return NULL;
}

/* Waits for the oldest member, and passes it on. */
static int pass_on(struct gzip_encoder *g)
{
	struct member *m = member_at(g, g->passed_on);
	int r;

	pthread_mutex_lock(&g->lock);
	while (!m->done)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
	r = sink_write(g->out, m->out, m->n_out);
	if (r < 0)
		return r;
	m->done = false;
	m->n_in = 0;
	g->passed_on++;
	return 0;
}

static void hand_over(struct gzip_encoder *g)
{
	pthread_mutex_lock(&g->lock);
	g->filled++;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static struct gzip_encoder *of_sink(struct sink *s)
{
	return (struct gzip_encoder *)((char *)s - offsetof(struct gzip_encoder, sink));
}

static int gzip_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct gzip_encoder *g = of_sink(s);
	struct member *m;
	int r;

	if (g->filled - g->passed_on == MEMBERS) {
		r = pass_on(g);
		if (r < 0)
			return r;
	}
	m = member_at(g, g->filled);
	*ret_p = m->in + m->n_in;
	*ret_n = ENCODE_MEMBER - m->n_in;
	return 0;
}

static int gzip_fill(struct sink *s, size_t n)
{
	struct gzip_encoder *g = of_sink(s);
	struct member *m = member_at(g, g->filled);

	m->n_in += n;
	if (m->n_in == ENCODE_MEMBER)
		hand_over(g);
	return 0;
}

/* No input at all is an empty member. */
static int gzip_end(struct encoder *c)
{
	struct gzip_encoder *g = (struct gzip_encoder *)c;
	bool full = g->filled - g->passed_on == MEMBERS;

	if ((!full && member_at(g, g->filled)->n_in) || !g->filled)
		hand_over(g);
	while (g->passed_on < g->filled) {
		int r = pass_on(g);

		if (r < 0)
			return r;
	}
	return 0;
}

static void gzip_free(struct encoder *c)
{
	struct gzip_encoder *g = (struct gzip_encoder *)c;

	pthread_mutex_lock(&g->lock);
	g->stop = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
	for (unsigned int i = 0; i < g->n_workers; i++)
		pthread_join(g->workers[i].thread, NULL);
	for (unsigned int i = 0; i < ENCODE_THREADS; i++)
		libdeflate_free_compressor(g->workers[i].compressor);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		free(g->members[i].in);
		free(g->members[i].out);
	}
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static int make_members(struct gzip_encoder *g)
{
	for (unsigned int i = 0; i < ENCODE_THREADS; i++) {
		g->workers[i].g = g;
		g->workers[i].compressor = libdeflate_alloc_compressor(LEVEL);
		if (!g->workers[i].compressor)
			return -ENOMEM;
	}
	g->out_room = libdeflate_gzip_compress_bound(g->workers[0].compressor, ENCODE_MEMBER);
	for (unsigned int i = 0; i < MEMBERS; i++) {
		g->members[i].in = malloc(ENCODE_MEMBER);
		g->members[i].out = malloc(g->out_room);
		if (!g->members[i].in || !g->members[i].out)
			return -ENOMEM;
	}
	return 0;
}

static int start_workers(struct gzip_encoder *g)
{
	while (g->n_workers < ENCODE_THREADS) {
		struct worker *w = &g->workers[g->n_workers];
		int r = pthread_create(&w->thread, NULL, work, w);

		if (r > 0)
			return -r;
		g->n_workers++;
	}
	return 0;
}

int encode_gzip_new(struct sink *out, struct encoder **ret)
{
	_cleanup_(encoder_freep) struct encoder *c = NULL;
	struct gzip_encoder *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->encoder = (struct encoder){.sink = &g->sink, .end = gzip_end, .free = gzip_free};
	g->sink = (struct sink){.room = gzip_room, .fill = gzip_fill};
	g->out = out;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->moved, NULL);
	c = &g->encoder;
	r = make_members(g);
	if (r == 0)
		r = start_workers(g);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}
