/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip members (RFC 1952) around deflate data.
 *
 * What follows the last member: gzip(1) takes zero bytes silently as padding and warns of anything
 * else (exit status 2); Go's compress/gzip, and with it docker and containerd, refuses both. Zeros
 * are harmless and tape blocks end in them, so they pass; other bytes are refused, since nobody
 * can say whether a damaged member hides there.
 */
#include "codec-internal.h"

enum {
	FLAG_HCRC = 0x02,
	FLAG_EXTRA = 0x04,
	FLAG_NAME = 0x08,
	FLAG_COMMENT = 0x10,
	FLAG_RESERVED = 0xe0,
};

struct gzip {
	const struct inflate_engine *engine;
	void *inflate;
	struct source *source;
	struct sink *out;
	struct err *e;
	uint8_t rest[INFLATE_REST_MAX]; /* read by the engine past the deflate data */
	struct bytes held;              /* what is left of `rest`: comes before `in` */
	struct bytes in;
	uint32_t header_crc;
	uint32_t crc;
	uint32_t size; /* modulo 2^32, as the trailer has it */
	uint64_t member;
};

static void gzip_done(struct gzip *g)
{
	g->engine->close(g->inflate);
}

static int bad(struct gzip *g, const char *what)
{
	return err_set(
		g->e, -ERR_INPUT, "gzip member %llu: %s", (unsigned long long)g->member, what);
}

/* 1 = there is input; 0 = the end. */
static int refill(struct gzip *g)
{
	const uint8_t *p;
	size_t n;
	int r = g->source->next(g->source, &p, &n, g->e);

	if (r > 0)
		g->in = bytes_of(p, n);
	return r;
}

/* 1 = *ret is the next byte; 0 = the end. */
static int next_byte(struct gzip *g, uint8_t *ret)
{
	struct bytes *from = g->held.n ? &g->held : &g->in;
	int r;

	if (!from->n) {
		r = refill(g);
		if (r <= 0)
			return r;
	}
	*ret = bytes_u8(from);
	return 1;
}

/* The same where the end would be too early. 0 or negative. */
static int need_byte(struct gzip *g, uint8_t *ret)
{
	int r = next_byte(g, ret);

	if (r == 0)
		return bad(g, "ends early");
	return r < 0 ? r : 0;
}

static int header_byte(struct gzip *g, uint8_t *ret)
{
	int r = need_byte(g, ret);

	if (r < 0)
		return r;
	g->header_crc = g->engine->crc(g->header_crc, ret, 1);
	return 0;
}

static int header_skip(struct gzip *g, size_t n)
{
	uint8_t b;

	while (n--) {
		int r = header_byte(g, &b);

		if (r < 0)
			return r;
	}
	return 0;
}

static int header_le16(struct gzip *g, uint16_t *ret)
{
	uint8_t lo = 0, hi = 0;
	int r = header_byte(g, &lo);

	if (r < 0)
		return r;
	r = header_byte(g, &hi);
	if (r < 0)
		return r;
	*ret = (uint16_t)(lo | hi << 8);
	return 0;
}

static int header_skip_string(struct gzip *g)
{
	uint8_t b = 0;
	int r;

	do
		r = header_byte(g, &b);
	while (r == 0 && b);
	return r;
}

static int header_skip_extra(struct gzip *g)
{
	uint16_t n = 0;
	int r = header_le16(g, &n);

	if (r < 0)
		return r;
	return header_skip(g, n);
}

static int header_check_crc(struct gzip *g)
{
	uint16_t expected = (uint16_t)g->header_crc, found = 0;
	int r = header_le16(g, &found);

	if (r < 0)
		return r;
	return found == expected ? 0 : bad(g, "header checksum does not match");
}

/* What flags announce, in this order. */
static int read_optional_fields(struct gzip *g, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		int (*read)(struct gzip *g);
	} fields[] = {
		{FLAG_EXTRA, header_skip_extra},
		{FLAG_NAME, header_skip_string},
		{FLAG_COMMENT, header_skip_string},
		{FLAG_HCRC, header_check_crc},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		int r = flags & fields[i].flag ? fields[i].read(g) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* `first` is the member's first byte, already read. */
static int read_header(struct gzip *g, uint8_t first)
{
	uint8_t magic = 0, method = 0, flags = 0;
	int r;

	g->header_crc = g->engine->crc(0, &first, 1);
	r = header_byte(g, &magic);
	if (r < 0)
		return r;
	if (first != 0x1f || magic != 0x8b)
		return bad(g, "does not start with the gzip magic number");
	r = header_byte(g, &method);
	if (r < 0)
		return r;
	if (method != 8)
		return bad(g, "unknown compression method");
	r = header_byte(g, &flags);
	if (r < 0)
		return r;
	if (flags & FLAG_RESERVED)
		return bad(g, "reserved header flags are set");
	r = header_skip(g, 6); /* time, extra flags, operating system */
	if (r < 0)
		return r;
	return read_optional_fields(g, flags);
}

/* One piece of data into the sink's room. 1 = the deflate stream has ended. */
static int decode_piece(struct gzip *g)
{
	uint8_t *room;
	size_t n_room, n = 0, before;
	int r = g->out->room(g->out, &room, &n_room), ended;

	if (r < 0)
		return r;
	for (;;) {
		before = g->in.n;
		ended = g->engine->run(g->inflate, &g->in, room, n_room, &n);
		if (ended == -ERR_INPUT)
			return bad(g, "deflate data is invalid");
		if (ended < 0)
			return ended;
		if (ended || n)
			break;
		if (before && g->in.n == before)
			return bad(g, "deflate data is invalid"); /* the engine is stuck */
		r = g->in.n ? 1 : refill(g);
		if (r < 0)
			return r;
		if (r == 0)
			return bad(g, "ends early");
	}
	g->crc = g->engine->crc(g->crc, room, n);
	g->size += (uint32_t)n;
	r = n ? g->out->fill(g->out, n) : 0;
	return r < 0 ? r : ended;
}

static int decode_body(struct gzip *g)
{
	int r;

	g->crc = 0;
	g->size = 0;
	g->engine->reset(g->inflate);
	do
		r = decode_piece(g);
	while (r == 0);
	if (r < 0)
		return r;
	g->held = bytes_of(g->rest, g->engine->rest(g->inflate, g->rest));
	return 0;
}

static int read_trailer(struct gzip *g)
{
	uint8_t t[8] = {0};
	struct bytes b = bytes_of(t, sizeof(t));

	for (size_t i = 0; i < sizeof(t); i++) {
		int r = need_byte(g, &t[i]);

		if (r < 0)
			return r;
	}
	if (bytes_le32(&b) != g->crc)
		return bad(g, "CRC-32 does not match");
	if (bytes_le32(&b) != g->size)
		return bad(g, "length does not match");
	return 0;
}

static int read_padding(struct gzip *g)
{
	int r;

	do {
		while (g->in.n)
			if (bytes_u8(&g->in))
				return err_set(
					g->e, -ERR_INPUT, "gzip: data after the zero padding");
		r = refill(g);
	} while (r > 0);
	return r;
}

static int read_member(struct gzip *g, uint8_t first)
{
	int r = read_header(g, first);

	if (r < 0)
		return r;
	r = decode_body(g);
	if (r < 0)
		return r;
	return read_trailer(g);
}

int codec_gzip_decode(
	const struct inflate_engine *engine, struct source *in, struct sink *out, struct err *e)
{
	_cleanup_(gzip_done) struct gzip g = {.engine = engine, .source = in, .out = out, .e = e};
	uint8_t first = 0;
	int r;

	g.inflate = engine->open();
	if (!g.inflate)
		return -ENOMEM;
	while ((r = next_byte(&g, &first)) > 0) {
		if (g.member && first == 0)
			return read_padding(&g);
		g.member++;
		r = read_member(&g, first);
		if (r < 0)
			return r;
	}
	if (r == 0 && g.member == 0)
		return err_set(e, -ERR_INPUT, "gzip: the stream is empty");
	return r;
}
