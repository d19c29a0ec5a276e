/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in use: the question that gc asks.
 *
 * Live are the images that have a name, those that containers are made of, and those whose local
 * index some process or the kernel holds open: a mount, in whatever mount namespace, or a reader.
 * The kernel tells that itself (a write lease, fcntl(2) F_SETLEASE, is refused for a file that
 * anybody has open), so that nothing needs to be noted about mounts. Live layers are those of live
 * images; live chunks are those in the tables of live layers and live images. (Nearly always an
 * image has only chunks that its layers have. But a layer that was imported at two chunk sizes at
 * once is kept as one of the two cut it, and the image that was made of the other has chunks that
 * no layer lists.)
 *
 * What has been found live once stays live here, so that live_update only ever reads what is new.
 */
#pragma once

#include "chunk-map.h"
#include "digest-set.h"
#include "store.h"

struct live {
	struct store *s;
	struct digest_set images, layers;
	struct chunk_map *chunks;
	/* Hears of the indexes that live_update reads; may be NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *progress_ctx;
};

_must_check_ int live_init(struct live *l, struct store *s, struct err *e);
void live_done(struct live *l);
#define _cleanup_live_ _cleanup_(live_done)

/*
 * Adds what is live now. The caller has LOCK_GC: shared, an image that is being looked up may be
 * missed; alone, none is.
 */
_must_check_ int live_update(struct live *l, struct err *e);

/* Whether anybody has the image's local index open. In doubt: yes. */
bool live_in_use(const struct store *s, const struct digest *image);

static inline bool live_has_chunk(const struct live *l, const struct digest *d)
{
	return chunk_map_find(l->chunks, d);
}
