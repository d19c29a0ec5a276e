/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's way into the store, in three threads: one produces the tar (reads and inflates), one
 * hashes it for the diff_id, and the caller's understands it, hashes chunks and writes them.
 */
#include "layer.h"
#include "util/relay.h"

#include <pthread.h>

struct producer {
	layer_producer produce;
	void *ctx;
	struct relay *relay;
};

static void *run_producer(void *arg)
{
	struct producer *p = arg;
	struct err e = {0};
	int r = p->produce(p->ctx, relay_sink(p->relay), &e);

	relay_end(p->relay, r, &e);
	return NULL;
}

struct hasher {
	struct source *in;
	struct digest_ctx *ctx;
	struct digest diff_id;
	uint64_t size;
	int code;
};

static void *run_hasher(void *arg)
{
	struct hasher *h = arg;
	const uint8_t *p;
	size_t n;

	while ((h->code = h->in->next(h->in, &p, &n, NULL)) == 1) {
		digest_ctx_add(h->ctx, p, n);
		h->size += n;
	}
	digest_ctx_final(h->ctx, &h->diff_id);
	return NULL;
}

static int chunk_to_ingest(
	void *ctx, const struct digest *d, const void *p, uint32_t size, struct err *e)
{
	int r = ingest_chunk(ctx, d, p, size, e);

	return r < 0 ? r : 0;
}

void layer_done(struct layer *l)
{
	tree_free(l->tree);
	split_writer_free(l->split);
	if (l->split_fd >= 0)
		close(l->split_fd);
	*l = LAYER_NONE;
}

/* Understands what the producer and the hasher, which run already, make and see. */
static int read_tree(struct ingest *g, struct source *tar, unsigned int chunk_bits,
	layer_chunk_sink chunk, void *ctx, struct layer *ret, struct err *e)
{
	int r = ingest_temp(g, &ret->split_fd, &ret->split_temp, e);

	if (r == 0)
		r = split_writer_new(ret->split_fd, &ret->split, e);
	return r < 0 ? r
		     : layer_tree_from_tar(tar, chunk_bits, chunk, ctx, ret->split, &ret->tree, e);
}

int layer_read(struct ingest *g, layer_producer produce, void *ctx, unsigned int chunk_bits,
	struct layer *ret, struct err *e)
{
	return layer_scan(g, produce, ctx, chunk_bits, chunk_to_ingest, g, ret, e);
}

int layer_scan(struct ingest *g, layer_producer produce, void *ctx, unsigned int chunk_bits,
	layer_chunk_sink chunk, void *chunk_ctx, struct layer *ret, struct err *e)
{
	_cleanup_(relay_freep) struct relay *relay = relay_new(2);
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	struct producer producer = {.produce = produce, .ctx = ctx, .relay = relay};
	struct hasher hasher = {.ctx = digest};
	pthread_t threads[2];
	int r;

	if (!relay || !digest)
		return err_sys(e, -ENOMEM, "cannot read the layer");
	hasher.in = relay_source(relay, 1);
	r = -pthread_create(&threads[0], NULL, run_producer, &producer);
	if (r < 0)
		return err_sys(e, r, "cannot start a thread");
	r = -pthread_create(&threads[1], NULL, run_hasher, &hasher);
	if (r < 0) {
		relay_abort(relay);
		pthread_join(threads[0], NULL);
		return err_sys(e, r, "cannot start a thread");
	}
	r = read_tree(g, relay_source(relay, 0), chunk_bits, chunk, chunk_ctx, ret, e);
	if (r < 0)
		relay_abort(relay);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	if (r == 0)
		r = hasher.code;
	if (r < 0)
		return err_sys(e, r, "cannot read the layer");
	ret->diff_id = hasher.diff_id;
	ret->size = hasher.size;
	return 0;
}
