/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders: the first byte chooses the codec (gzip, zstd, bare deflate), the second the size of the
 * sink's rooms and of the input's pieces. What zlib accepts, every engine must, with the same
 * bytes.
 */
#include "format/codec-internal.h"
#include "format/codec.h"
#include "util/bytes.h"

#include <assert.h>
#include <sys/mman.h>

#define OUTPUT_MAX ((uint64_t)8 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the second byte's two halves choose from. */
static const size_t sizes_table[16] = {
	1, 2, 3, 7, 16, 64, 100, 256, 512, 1000, 4096, 32767, 32768, 65536, 100000, 262144};
#define AREA ((size_t)262144)

/*
 * Memory with an inaccessible page behind it: libraries in assembler escape the sanitizers, and
 * what they read or write past the end shall be seen all the same.
 */
static uint8_t *guarded_area(uint8_t **cache)
{
	if (!*cache) {
		*cache = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert(*cache != MAP_FAILED);
		assert(mprotect(*cache + AREA, 4096, PROT_NONE) == 0);
	}
	return *cache;
}

/* `n` bytes at the end of an area for input, or for output. */
static uint8_t *input_end(size_t n)
{
	static uint8_t *area;

	return guarded_area(&area) + AREA - n;
}

static uint8_t *output_end(size_t n)
{
	static uint8_t *area;

	return guarded_area(&area) + AREA - n;
}

struct fuzz_source {
	struct source source;
	struct bytes left;
	size_t piece;
};

static int fuzz_next(struct source *source, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	struct fuzz_source *s = (struct fuzz_source *)source;
	size_t n = s->left.n < s->piece ? s->left.n : s->piece;

	(void)e;
	if (!n)
		return 0;
	*ret_p = memcpy(input_end(n), bytes_take(&s->left, n), n);
	*ret_n = n;
	return 1;
}

struct fuzz_sink {
	struct sink sink;
	size_t size;
	uint64_t total;
	uint64_t hash; /* FNV-1a */
};

static int fuzz_room(struct sink *sink, uint8_t **ret_p, size_t *ret_n)
{
	struct fuzz_sink *s = (struct fuzz_sink *)sink;

	*ret_p = output_end(s->size);
	*ret_n = s->size;
	return 0;
}

static int fuzz_fill(struct sink *sink, size_t n)
{
	struct fuzz_sink *s = (struct fuzz_sink *)sink;
	const uint8_t *p = output_end(s->size);

	assert(n > 0 && n <= s->size);
	s->total += n;
	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ p[i]) * 0x100000001b3;
	return s->total > OUTPUT_MAX ? -EFBIG : 0;
}

typedef int decode_fn(struct source *in, struct sink *out, struct err *e);

static int run(decode_fn *f, struct bytes in, uint8_t sizes, uint64_t *ret_hash)
{
	struct fuzz_source source = {{fuzz_next}, in, sizes_table[sizes & 15]};
	struct fuzz_sink sink = {{fuzz_room, fuzz_fill}, sizes_table[sizes >> 4], 0, 0};
	struct err e = {0};
	int r = f(&source.source, &sink.sink, &e);

	assert(r != -ERR_INPUT || e.text[0]);
	*ret_hash = sink.hash ^ sink.total;
	return r;
}

static int gzip_zlib(struct source *in, struct sink *out, struct err *e)
{
	return codec_gzip_decode(&inflate_zlib, in, out, e);
}

static int gzip_best(struct source *in, struct sink *out, struct err *e)
{
	return codec_decode(CODEC_GZIP, in, out, e);
}

static void run_gzip(struct bytes in, uint8_t sizes)
{
	uint64_t zlib_hash, best_hash;
	int zlib = run(gzip_zlib, in, sizes, &zlib_hash);
	int best = run(gzip_best, in, sizes, &best_hash);

	if (zlib == 0 && best == 0)
		assert(zlib_hash == best_hash);
	/* What zlib takes is good deflate data, and no engine may refuse it. */
	if (zlib == 0)
		assert(best == 0);
}

/* Deflate data alone, without the checksums that hide almost all of it from a fuzzer. */
static int inflate_all(
	const struct inflate_engine *engine, struct bytes in, size_t piece, struct fuzz_sink *out)
{
	void *state = engine->open();
	int r = 0;

	while (r == 0) {
		size_t n = 0, before = in.n < piece ? in.n : piece, n_room;
		struct bytes now = bytes_of(memcpy(input_end(before), in.p, before), before);
		uint8_t *room;

		fuzz_room(&out->sink, &room, &n_room);
		r = engine->run(state, &now, room, n_room, &n);
		bytes_take(&in, before - now.n);
		if (r >= 0 && n && fuzz_fill(&out->sink, n) < 0)
			r = -EFBIG;
		else if (r == 0 && n == 0 && now.n == before)
			r = -EIO; /* the input is used up, or the engine is stuck */
	}
	engine->close(state);
	return r;
}

static int run_raw(
	const struct inflate_engine *engine, struct bytes in, uint8_t sizes, struct fuzz_sink *sink)
{
	*sink = (struct fuzz_sink){{fuzz_room, fuzz_fill}, sizes_table[sizes >> 4], 0, 0};
	return inflate_all(engine, in, sizes_table[sizes & 15], sink);
}

static void run_deflate(struct bytes in, uint8_t sizes)
{
	static struct fuzz_sink zlib, isal;
	int r = run_raw(&inflate_zlib, in, sizes, &zlib);

#ifdef HAVE_ISAL
	int q = run_raw(&inflate_isal, in, sizes, &isal);

	if (r == 1)
		assert(q == 1 && zlib.total == isal.total && zlib.hash == isal.hash);
#endif
	(void)r;
	(void)isal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	uint8_t kind = bytes_u8(&in), sizes = bytes_u8(&in);
	uint64_t hash;

	if (in.bad)
		return 0;
	codec_detect(in.p, in.n);
	if (kind & 2)
		run_deflate(in, sizes);
	else if (kind & 1)
		run(codec_zstd_decode, in, sizes, &hash);
	else
		run_gzip(in, sizes);
	return 0;
}
