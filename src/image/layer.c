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
	struct layer_tar tar;
	int code;
};

static void *run_hasher(void *arg)
{
	struct hasher *h = arg;
	const uint8_t *p;
	size_t n;

	while ((h->code = h->in->next(h->in, &p, &n, NULL)) == 1) {
		digest_ctx_add(h->ctx, p, n);
		h->tar.size += n;
	}
	digest_ctx_final(h->ctx, &h->tar.diff_id);
	return NULL;
}

static int chunk_to_ingest(
	void *ctx, const struct digest *d, const void *p, uint32_t size, struct err *e)
{
	int r = ingest_chunk(ctx, d, p, size, e);

	return r < 0 ? r : 0;
}

int layer_read(struct ingest *g, layer_producer produce, void *ctx, unsigned int chunk_bits,
	struct layer_tar *ret, struct tree **ret_tree, struct err *e)
{
	_cleanup_(relay_freep) struct relay *relay = relay_new(2);
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	_cleanup_(tree_freep) struct tree *tree = NULL;
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
	r = layer_tree_from_tar(relay_source(relay, 0), chunk_bits, chunk_to_ingest, g, &tree, e);
	if (r < 0)
		relay_abort(relay);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	if (r == 0)
		r = hasher.code;
	if (r < 0)
		return err_sys(e, r, "cannot read the layer");
	*ret = hasher.tar;
	*ret_tree = TAKE_PTR(tree);
	return 0;
}
