/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A feed: the compressed or plain bytes of one layer, from a file, an archive or a pipe, made into
 * its tar. Says how far it is, and checks size and digest of what it read.
 */
#pragma once

#include "import.h"
#include "source/image-source.h"

#define FEED_SIZE_UNKNOWN UINT64_MAX

struct feed {
	struct blob blob;            /* size FEED_SIZE_UNKNOWN: to the end of the file */
	const struct digest *digest; /* of the bytes as they are stored; NULL: not known */
	const struct import_options *options;
	size_t layer, layers; /* for the progress */
};

/* A layer_producer (layer.h); `ctx` is the feed, whose descriptor stays the caller's. */
int feed_produce(void *ctx, struct sink *out, struct err *e);
