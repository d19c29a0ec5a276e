/* SPDX-License-Identifier: Apache-2.0 */
#include "codec-internal.h"
#include "codec.h"
#include "util/buf.h"
#include "util/test.h"

#include <sys/resource.h>
#include <zlib.h>
#include <zstd.h>

typedef int decode_fn(struct source *in, struct sink *out, struct err *e);

/* Gives out memory in pieces of `piece` bytes, the whole of it `times` times. */
struct memory_source {
	struct source source;
	struct bytes all, left;
	size_t piece;
	size_t times;
};

static int memory_next(struct source *s, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	struct memory_source *m = (struct memory_source *)s;

	(void)e;
	if (!m->left.n && m->times) {
		m->times--;
		m->left = m->all;
	}
	if (!m->left.n)
		return 0;
	*ret_n = m->left.n < m->piece ? m->left.n : m->piece;
	*ret_p = bytes_take(&m->left, *ret_n);
	return 1;
}

static struct memory_source memory_source(const struct buf *b, size_t piece)
{
	struct bytes all = bytes_of(b->p, b->n);

	return (struct memory_source){{memory_next}, all, all, piece, 0};
}

/* Collects what it is given, in rooms of `size` bytes; counts only, with `count_only`. */
struct memory_sink {
	struct sink sink;
	size_t size;
	bool count_only;
	struct buf data;
	uint64_t total;
	uint8_t room[65536];
};

static int memory_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct memory_sink *m = (struct memory_sink *)s;

	*ret_p = m->room;
	*ret_n = m->size;
	return 0;
}

static int memory_fill(struct sink *s, size_t n)
{
	struct memory_sink *m = (struct memory_sink *)s;

	CHECK(n > 0 && n <= m->size);
	m->total += n;
	return m->count_only ? 0 : buf_add(&m->data, m->room, n);
}

static void memory_sink_init(struct memory_sink *m, size_t size)
{
	*m = (struct memory_sink){.sink = {memory_room, memory_fill}, .size = size};
}

/* Decodes `in`; the result, with the data in *ret (to be freed) and the message in *e. */
static int decode(decode_fn *f, const struct buf *in, size_t piece, size_t room, struct buf *ret,
	struct err *e)
{
	struct memory_source source = memory_source(in, piece);
	static struct memory_sink sink;
	int r;

	memory_sink_init(&sink, room);
	*e = (struct err){0};
	r = f(&source.source, &sink.sink, e);
	*ret = sink.data;
	return r;
}

static void check_decodes(decode_fn *f, const struct buf *in, const void *data, size_t n)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64, 4096, 1 << 20};
	static const size_t rooms[] = {1, 3, 1000, 65536};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		for (size_t j = 0; j < sizeof(rooms) / sizeof(rooms[0]); j++) {
			_cleanup_buf_ struct buf out = {0};
			struct err e;

			if (n > 5000 && (pieces[i] < 1000 || rooms[j] < 1000))
				continue; /* each call moves the window: slow, and tells no more */
			CHECK(decode(f, in, pieces[i], rooms[j], &out, &e) == 0);
			CHECK(out.n == n);
			CHECK(n == 0 || memcmp(out.p, data, n) == 0);
		}
}

static void check_refused(decode_fn *f, const struct buf *in, const char *reason)
{
	static const size_t pieces[] = {1, 5, 1 << 20};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		_cleanup_buf_ struct buf out = {0};
		struct err e = {0};

		CHECK(decode(f, in, pieces[i], 1000, &out, &e) < 0);
		if (!strstr(e.text, reason))
			fprintf(stderr, "got '%s'\n", e.text);
		CHECK(strstr(e.text, reason));
	}
}

static int decode_gzip_zlib(struct source *in, struct sink *out, struct err *e)
{
	return codec_gzip_decode(&inflate_zlib, in, out, e);
}

#ifdef HAVE_ISAL
static int decode_gzip_isal(struct source *in, struct sink *out, struct err *e)
{
	return codec_gzip_decode(&inflate_isal, in, out, e);
}
#endif

static int decode_gzip(struct source *in, struct sink *out, struct err *e)
{
	return codec_decode(CODEC_GZIP, in, out, e);
}

static int decode_zstd(struct source *in, struct sink *out, struct err *e)
{
	return codec_decode(CODEC_ZSTD, in, out, e);
}

static int decode_plain(struct source *in, struct sink *out, struct err *e)
{
	return codec_decode(CODEC_PLAIN, in, out, e);
}

static decode_fn *const gzip_decoders[] = {
	decode_gzip,
	decode_gzip_zlib,
#ifdef HAVE_ISAL
	decode_gzip_isal,
#endif
};

/* Appends one gzip member, of `level` and with `header` (may be NULL). */
static void gzip_add(struct buf *b, const void *p, size_t n, int level, gz_header *header)
{
	z_stream z = {0};

	CHECK(deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	if (header)
		CHECK(deflateSetHeader(&z, header) == Z_OK);
	CHECK(buf_reserve(b, deflateBound(&z, n) + 100) == 0);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = b->p + b->n;
	z.avail_out = (uInt)(b->room - b->n);
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	b->n += z.total_out;
	deflateEnd(&z);
}

static void zstd_add(struct buf *b, const void *p, size_t n, bool checksum)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(n), r;

	CHECK(c && buf_reserve(b, bound) == 0);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
	r = ZSTD_compress2(c, b->p + b->n, bound, p, n);
	CHECK(!ZSTD_isError(r));
	b->n += r;
	ZSTD_freeCCtx(c);
}

/* Text that compresses a little, with matches far back. */
static void make_data(struct buf *b, size_t n)
{
	uint32_t x = 1;

	while (b->n < n) {
		x = x * 1664525 + 1013904223;
		CHECK(buf_addf(b, "line %u of the sample, %u\n", x >> 24, x >> 8 & 15) == 0);
	}
	b->n = n;
}

static void test_detect(void)
{
	CHECK(codec_detect("\x1f\x8b\x08", 3) == CODEC_PLAIN);
	CHECK(codec_detect("\x1f\x8b\x08\x00", 4) == CODEC_GZIP);
	CHECK(codec_detect("\x1f\x8b\x07\x00", 4) == CODEC_PLAIN);
	CHECK(codec_detect("\x28\xb5\x2f\xfd", 4) == CODEC_ZSTD);
	CHECK(codec_detect("\x5f\x2a\x4d\x18", 4) == CODEC_ZSTD);
	CHECK(codec_detect("etc/", 4) == CODEC_PLAIN);
	CHECK(strcmp(codec_name(CODEC_ZSTD), "zstd") == 0);
}

static void test_plain(void)
{
	_cleanup_buf_ struct buf data = {0};

	make_data(&data, 5000);
	check_decodes(decode_plain, &data, data.p, data.n);
}

static void test_gzip_sizes(decode_fn *f)
{
	static const size_t sizes[] = {0, 1, 100, 32768, 65537, 300000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int level = 0; level <= 9; level += 3) {
			_cleanup_buf_ struct buf data = {0}, in = {0};

			make_data(&data, sizes[i]);
			gzip_add(&in, data.p ? (void *)data.p : "", data.n, level, NULL);
			check_decodes(f, &in, data.p, data.n);
		}
}

static void test_gzip_header(decode_fn *f)
{
	static char extra[300], name[] = "name.tar", comment[] = "a comment";
	gz_header h = {.extra = (Bytef *)extra,
		.extra_len = sizeof(extra),
		.name = (Bytef *)name,
		.comment = (Bytef *)comment,
		.hcrc = 1};
	_cleanup_buf_ struct buf in = {0};

	gzip_add(&in, "hello", 5, 6, &h);
	check_decodes(f, &in, "hello", 5);
	in.p[4] ^= 1; /* the time, which only the header checksum covers */
	check_refused(f, &in, "header checksum");
}

static void test_gzip_members(decode_fn *f)
{
	_cleanup_buf_ struct buf in = {0}, data = {0};

	make_data(&data, 3000);
	gzip_add(&in, data.p, 1000, 6, NULL);
	gzip_add(&in, "", 0, 6, NULL);
	gzip_add(&in, data.p + 1000, 2000, 1, NULL);
	check_decodes(f, &in, data.p, data.n);
	CHECK(buf_add_zero(&in, 1) == 0);
	check_decodes(f, &in, data.p, data.n);
	CHECK(buf_add_zero(&in, 1023) == 0);
	check_decodes(f, &in, data.p, data.n);
	CHECK(buf_add(&in, "x", 1) == 0);
	check_refused(f, &in, "after the zero padding");
}

static void test_gzip_damage(decode_fn *f)
{
	static const struct {
		int at; /* from the end where negative */
		uint8_t value;
		const char *reason;
	} damages[] = {
		{0, 0x1e, "magic"},
		{1, 0x8c, "magic"},
		{2, 7, "method"},
		{3, 0x20, "reserved"},
		{10, 7, "deflate"}, /* a block of type 3 */
		{-8, 0, "CRC-32"},
		{-4, 0, "length"},
		{-1, 1, "length"},
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		_cleanup_buf_ struct buf in = {0};

		gzip_add(&in, "hello hello hello", 17, 6, NULL);
		in.p[damages[i].at + (damages[i].at < 0 ? (int)in.n : 0)] = damages[i].value;
		check_refused(f, &in, damages[i].reason);
	}
}

static void test_gzip_trailing(decode_fn *f)
{
	_cleanup_buf_ struct buf in = {0};

	check_refused(f, &in, "empty");
	gzip_add(&in, "hello", 5, 6, NULL);
	CHECK(buf_add(&in, "garbage", 7) == 0);
	check_refused(f, &in, "magic");
	in.n -= 7;
	CHECK(buf_add(&in, "\x1f", 1) == 0);
	check_refused(f, &in, "ends early");
}

static void check_truncations(decode_fn *f, const struct buf *whole, size_t no_error_at)
{
	for (size_t n = 0; n < whole->n; n++) {
		struct buf cut = {whole->p, n, whole->room};
		_cleanup_buf_ struct buf out = {0};
		struct err e;

		if (n == no_error_at)
			continue;
		CHECK(decode(f, &cut, 7, 100, &out, &e) == -ERR_INPUT);
		CHECK(strstr(e.text, "early") || strstr(e.text, "empty"));
	}
}

static void test_gzip_truncated(decode_fn *f)
{
	_cleanup_buf_ struct buf in = {0}, data = {0};
	size_t first;

	make_data(&data, 700);
	gzip_add(&in, data.p, 500, 6, NULL);
	first = in.n;
	gzip_add(&in, data.p + 500, 200, 0, NULL);
	check_truncations(f, &in, first);
}

static void test_zstd(void)
{
	_cleanup_buf_ struct buf in = {0}, data = {0};

	make_data(&data, 300000);
	check_refused(decode_zstd, &in, "empty");
	zstd_add(&in, data.p, 100000, true);
	check_decodes(decode_zstd, &in, data.p, 100000);
	zstd_add(&in, "", 0, true);
	CHECK(buf_add(&in, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11) == 0);
	zstd_add(&in, data.p + 100000, 200000, false);
	check_decodes(decode_zstd, &in, data.p, data.n);
	CHECK(buf_add_zero(&in, 4) == 0);
	check_refused(decode_zstd, &in, "zstd");
}

static void test_zstd_truncated(void)
{
	_cleanup_buf_ struct buf in = {0}, data = {0};
	size_t first;

	make_data(&data, 700);
	zstd_add(&in, data.p, 500, true);
	first = in.n;
	zstd_add(&in, data.p + 500, 200, false);
	check_truncations(decode_zstd, &in, first);
	in.p[first - 1] ^= 1;
	check_refused(decode_zstd, &in, "checksum");
}

static void test_zstd_window(void)
{
	/* A frame header alone: no single segment, window 2^26 and 2^27. */
	static const char just[] = "\x28\xb5\x2f\xfd\x00\x80\x01\x00\x00";
	static const char over[] = "\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00";
	_cleanup_buf_ struct buf in = {0};

	CHECK(buf_add(&in, just, 9) == 0);
	check_decodes(decode_zstd, &in, "", 0);
	in.n = 0;
	CHECK(buf_add(&in, over, 9) == 0);
	check_refused(decode_zstd, &in, "window");
}

/* 1 GiB of zeros, as 64 members of 16 MiB: must come out whole, in little memory. */
static void test_bomb(decode_fn *f, const struct buf *member)
{
	struct memory_source source = memory_source(member, 65536);
	static struct memory_sink sink;
	struct err e = {0};
	struct rusage before, after;

	source.times = 63;
	memory_sink_init(&sink, sizeof(sink.room));
	sink.count_only = true;
	getrusage(RUSAGE_SELF, &before);
	CHECK(f(&source.source, &sink.sink, &e) == 0);
	getrusage(RUSAGE_SELF, &after);
	CHECK(sink.total == (uint64_t)1 << 30);
	CHECK(after.ru_maxrss - before.ru_maxrss < 80 << 10);
}

static void test_bombs(void)
{
	_cleanup_buf_ struct buf zeros = {0}, gzip = {0}, zstd = {0};

	CHECK(buf_add_zero(&zeros, 16 << 20) == 0);
	gzip_add(&gzip, zeros.p, zeros.n, 9, NULL);
	zstd_add(&zstd, zeros.p, zeros.n, true);
	for (size_t i = 0; i < sizeof(gzip_decoders) / sizeof(gzip_decoders[0]); i++)
		test_bomb(gzip_decoders[i], &gzip);
	test_bomb(decode_zstd, &zstd);
}

int main(void)
{
	test_detect();
	test_plain();
	for (size_t i = 0; i < sizeof(gzip_decoders) / sizeof(gzip_decoders[0]); i++) {
		test_gzip_sizes(gzip_decoders[i]);
		test_gzip_header(gzip_decoders[i]);
		test_gzip_members(gzip_decoders[i]);
		test_gzip_damage(gzip_decoders[i]);
		test_gzip_trailing(gzip_decoders[i]);
		test_gzip_truncated(gzip_decoders[i]);
	}
	test_zstd();
	test_zstd_truncated();
	test_zstd_window();
	test_bombs();
	return 0;
}
