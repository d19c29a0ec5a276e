/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"
#include "util/test.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Text that compresses, with stretches that do not; the same for the same size. */
static struct buf make_input(size_t n)
{
	struct buf b = {0};
	uint32_t x = 12345;

	CHECK(buf_add_zero(&b, n) == 0);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		b.p[i] = i >> 16 & 1 ? (uint8_t)(x >> 24) : (uint8_t)("layers "[x >> 30]);
	}
	return b;
}

/* Writes `in` in pieces of `piece` bytes. */
static struct test_sink encode(enum codec c, const struct buf *in, size_t piece)
{
	struct test_sink out = test_sink_new();
	struct encoder *encoder;

	CHECK(encoder_new(c, &out.s, &encoder) == 0);
	for (size_t at = 0; at < in->n; at += piece) {
		size_t n = in->n - at < piece ? in->n - at : piece;

		CHECK(sink_write(encoder_sink(encoder), in->p + at, n) == 0);
	}
	CHECK(encoder_end(encoder) == 0);
	encoder_free(encoder);
	return out;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->n == b->n && (!a->n || memcmp(a->p, b->p, a->n) == 0);
}

static void check_round_trip(enum codec c, const struct buf *in)
{
	struct test_sink packed = encode(c, in, SIZE_MAX / 2), again = encode(c, in, 100003);
	struct test_source source = test_source_of(packed.b.p, packed.b.n, 65536);
	struct test_sink plain = test_sink_new();
	struct err e = {0};

	CHECK(same(&packed.b, &again.b)); /* however it is written, and whoever was quicker */
	CHECK(codec_detect(packed.b.p, packed.b.n) == c || c == CODEC_PLAIN);
	CHECK(codec_decode(c, &source.s, &plain.s, &e) == 0);
	CHECK(same(in, &plain.b));
	if (c != CODEC_PLAIN && in->n > 100000)
		CHECK(packed.b.n < in->n * 3 / 4);
	test_source_done(&source);
	test_sink_done(&plain);
	test_sink_done(&packed);
	test_sink_done(&again);
}

static void test_round_trips(void)
{
	static const size_t sizes[] = {0, 1, 4096, ENCODE_MEMBER - 1, ENCODE_MEMBER,
		ENCODE_MEMBER + 1, 4 * ENCODE_MEMBER, 5 * ENCODE_MEMBER, 11 * ENCODE_MEMBER + 7};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf in = make_input(sizes[i]);

		check_round_trip(CODEC_PLAIN, &in);
		check_round_trip(CODEC_GZIP, &in);
		check_round_trip(CODEC_ZSTD, &in);
		buf_done(&in);
	}
}

/* No name, no time: RFC 1952, 2.3. A member for each ENCODE_MEMBER. */
static void test_gzip_header(void)
{
	struct buf one = make_input(ENCODE_MEMBER), three = make_input(3 * ENCODE_MEMBER);
	struct test_sink a = encode(CODEC_GZIP, &one, one.n), b = encode(CODEC_GZIP, &three, one.n);

	CHECK(a.b.n > 18 && memcmp(a.b.p, "\x1f\x8b\x08\0\0\0\0\0", 8) == 0);
	CHECK(b.b.n > a.b.n && memcmp(a.b.p, b.b.p, a.b.n) == 0);
	CHECK(memcmp(b.b.p + a.b.n, "\x1f\x8b\x08", 3) == 0);
	test_sink_done(&a);
	test_sink_done(&b);
	buf_done(&one);
	buf_done(&three);
}

/* zstd(1) calls it "Check": bit 2 of the frame header descriptor (RFC 8878, 3.1.1.1.1). */
static void test_zstd_checksum(void)
{
	struct buf in = make_input(100);
	struct test_sink out = encode(CODEC_ZSTD, &in, in.n);

	CHECK(out.b.n > 5 && out.b.p[4] & 4);
	test_sink_done(&out);
	buf_done(&in);
}

/* A sink that is full after `left` bytes. */
struct full_sink {
	struct sink s;
	uint8_t room[5000];
	size_t left;
};

static int full_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct full_sink *f = (struct full_sink *)s;

	*ret_p = f->room;
	*ret_n = f->left < sizeof(f->room) ? f->left : sizeof(f->room);
	return f->left ? 0 : -ENOSPC;
}

static int full_fill(struct sink *s, size_t n)
{
	((struct full_sink *)s)->left -= n;
	return 0;
}

static void check_failing(enum codec c, const struct buf *in, size_t left)
{
	struct full_sink out = {.s = {full_room, full_fill}, .left = left};
	struct encoder *encoder;
	int r;

	CHECK(encoder_new(c, &out.s, &encoder) == 0);
	r = sink_write(encoder_sink(encoder), in->p, in->n);
	if (r == 0)
		r = encoder_end(encoder);
	CHECK(r == -ENOSPC);
	encoder_free(encoder);
}

static void test_failing_sink(void)
{
	struct buf small = make_input(3000), large = make_input(12 * ENCODE_MEMBER);

	for (enum codec c = CODEC_PLAIN; c <= CODEC_ZSTD; c++) {
		check_failing(c, &small, 0);
		check_failing(c, &small, 50);
		check_failing(c, &large, 0);
		check_failing(c, &large, 3 << 20);
	}
	buf_done(&small);
	buf_done(&large);
}

/* Given up with work in all states. */
static void test_given_up(void)
{
	struct buf in = make_input(9 * ENCODE_MEMBER);

	for (enum codec c = CODEC_PLAIN; c <= CODEC_ZSTD; c++)
		for (size_t n = 0; n <= in.n; n += 3 * ENCODE_MEMBER / 2) {
			struct test_sink out = test_sink_new();
			struct encoder *encoder;

			CHECK(encoder_new(c, &out.s, &encoder) == 0);
			CHECK(sink_write(encoder_sink(encoder), in.p, n) == 0);
			encoder_free(encoder);
			test_sink_done(&out);
		}
	buf_done(&in);
}

/* In a process that may have no more threads. */
static int encode_alone(enum codec c)
{
	static const struct rlimit none = {0, 0};
	struct test_sink out = test_sink_new();
	struct encoder *encoder = NULL;
	int r;

	if (setrlimit(RLIMIT_NPROC, &none) < 0 || (getuid() == 0 && setuid(65534) < 0))
		return 2;
	r = encoder_new(c, &out.s, &encoder);
	if (r == 0)
		r = sink_write(encoder_sink(encoder), "x", 1);
	if (r == 0)
		r = encoder_end(encoder);
	encoder_free(encoder);
	test_sink_done(&out);
	return r == -EAGAIN || r == -ENOMEM ? 0 : 1;
}

static void test_no_threads(void)
{
	for (enum codec c = CODEC_GZIP; c <= CODEC_ZSTD; c++) {
		pid_t pid = fork();
		int status;

		CHECK(pid >= 0);
		if (pid == 0)
			_exit(encode_alone(c));
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

int main(void)
{
	test_no_threads(); /* first: no other threads have been */
	test_round_trips();
	test_gzip_header();
	test_zstd_checksum();
	test_failing_sink();
	test_given_up();
	return 0;
}
