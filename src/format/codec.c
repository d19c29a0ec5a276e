/* SPDX-License-Identifier: Apache-2.0 */
#include "codec.h"
#include "codec-internal.h"

static const struct {
	const char *name;
	uint8_t magic[4];
	size_t n_magic;
} codecs[] = {
	[CODEC_PLAIN] = {"plain", {0}, 0},
	[CODEC_GZIP] = {"gzip", {0x1f, 0x8b, 0x08}, 3},
	[CODEC_ZSTD] = {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4},
};

/* Skippable frames (RFC 8878, 3.1.2) may come first: 184D2A5x, little-endian. */
static bool is_zstd_skippable(const uint8_t *p)
{
	return (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18;
}

enum codec codec_detect(const void *p, size_t n)
{
	if (n < 4)
		return CODEC_PLAIN;
	if (memcmp(p, codecs[CODEC_GZIP].magic, codecs[CODEC_GZIP].n_magic) == 0)
		return CODEC_GZIP;
	if (memcmp(p, codecs[CODEC_ZSTD].magic, codecs[CODEC_ZSTD].n_magic) == 0)
		return CODEC_ZSTD;
	return is_zstd_skippable(p) ? CODEC_ZSTD : CODEC_PLAIN;
}

const char *codec_name(enum codec c)
{
	return codecs[c].name;
}

static int plain_copy(struct source *in, struct sink *out, struct err *e)
{
	const uint8_t *p;
	size_t n;
	int r;

	while ((r = in->next(in, &p, &n, e)) > 0) {
		r = sink_write(out, p, n);
		if (r < 0)
			return r;
	}
	return r;
}

static const struct inflate_engine *best_engine(void)
{
#ifdef HAVE_ISAL
	return &inflate_isal;
#else
	return &inflate_zlib;
#endif
}

int codec_decode(enum codec c, struct source *in, struct sink *out, struct err *e)
{
	switch (c) {
	case CODEC_PLAIN:
		return plain_copy(in, out, e);
	case CODEC_GZIP:
		return codec_gzip_decode(best_engine(), in, out, e);
	case CODEC_ZSTD:
		return codec_zstd_decode(in, out, e);
	}
	return err_set(e, -ERR_UNSUPPORTED, "unknown codec %d", (int)c);
}
