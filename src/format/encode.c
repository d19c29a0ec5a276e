/* SPDX-License-Identifier: Apache-2.0 */
#include "encode-internal.h"

static int plain_end(struct encoder *c _unused_)
{
	return 0;
}

static void plain_free(struct encoder *c)
{
	free(c);
}

static int plain_new(struct sink *out, struct encoder **ret)
{
	struct encoder *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct encoder){.sink = out, .end = plain_end, .free = plain_free};
	*ret = c;
	return 0;
}

int encoder_new(enum codec c, struct sink *out, struct encoder **ret)
{
	switch (c) {
	case CODEC_PLAIN:
		return plain_new(out, ret);
	case CODEC_GZIP:
		return encode_gzip_new(out, ret);
	case CODEC_ZSTD:
		return encode_zstd_new(out, ret);
	}
	return -ERR_UNSUPPORTED;
}

void encoder_free(struct encoder *c)
{
	if (c)
		c->free(c);
}

struct sink *encoder_sink(struct encoder *c)
{
	return c->sink;
}

int encoder_end(struct encoder *c)
{
	return c->end(c);
}
