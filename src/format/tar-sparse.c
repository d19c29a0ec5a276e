/* SPDX-License-Identifier: Apache-2.0 */
#include "tar-sparse.h"
#include "util/array.h"

#include <string.h>

void tar_map_done(struct tar_map *m)
{
	free(m->v);
	*m = (struct tar_map){0};
}

/* Forgets everything but the memory. */
void tar_map_reset(struct tar_map *m)
{
	*m = (struct tar_map){.v = m->v, .room = m->room};
}

int tar_map_add(struct tar_map *m, uint64_t offset, uint64_t size)
{
	if (offset > INT64_MAX || size > INT64_MAX - offset || offset < m->end)
		return -ERR_INPUT;
	m->end = offset + size;
	if (size == 0)
		return 0;
	if (m->n && m->v[m->n - 1].offset + m->v[m->n - 1].size == offset) {
		m->v[m->n - 1].size += size;
		m->data += size;
		return 0;
	}
	if (array_room(&m->v, m->n, &m->room, sizeof(*m->v)) < 0)
		return -ENOMEM;
	m->v[m->n++] = (struct tar_extent){.offset = offset, .size = size};
	m->data += size;
	return 0;
}

static int bad_map(struct err *e, int code)
{
	if (code == -ENOMEM)
		return err_sys(e, code, "sparse map");
	return err_set(e, code, "malformed sparse map");
}

/* --- old GNU ------------------------------------------------------------------------------ */

static int add_gnu(struct tar_map *m, const struct tar_gnu_extent *x)
{
	int64_t offset, size;

	if (tar_number(x->offset, sizeof(x->offset), &offset) < 0 ||
		tar_number(x->size, sizeof(x->size), &size) < 0 || offset < 0 || size < 0)
		return -ERR_INPUT;
	return tar_map_add(m, (uint64_t)offset, (uint64_t)size);
}

/*
 * `n` slots, of which the first unused one ends the map: then nothing may follow, as readers
 * disagree about what to do with it.
 */
static int add_gnu_slots(
	struct tar_map *m, const struct tar_gnu_extent *x, size_t n, bool is_extended)
{
	for (size_t i = 0; i < n; i++) {
		int r;

		if (!x[i].offset[0] != !x[i].size[0])
			return -ERR_INPUT;
		if (!x[i].offset[0])
			return is_extended ? -ERR_INPUT : 0;
		r = add_gnu(m, &x[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_gnu_more(struct tar_map *m, struct tar_stream *s, struct err *e)
{
	for (size_t total = 0; total < TAR_EXT_MAX; total += TAR_BLOCK) {
		const struct tar_gnu_sparse_more *more;
		const void *block;
		int r = tar_stream_block(s, &block, e);

		if (r <= 0)
			return r < 0 ? r
				     : err_set(e, -ERR_INPUT, "the archive ends in its sparse map");
		more = block;
		r = add_gnu_slots(m, more->map, 21, more->is_extended);
		if (r < 0)
			return bad_map(e, r);
		if (!more->is_extended)
			return 0;
	}
	return err_set(e, -ERR_INPUT, "its sparse map is too long");
}

int tar_map_read_gnu(struct tar_map *m, struct tar_stream *s, const struct tar_header *h,
	uint64_t *ret_size, struct err *e)
{
	struct tar_gnu_sparse g;
	int64_t size;
	int r;

	memcpy(&g, h->prefix, sizeof(g));
	if (tar_number(g.real_size, sizeof(g.real_size), &size) < 0 || size < 0)
		return bad_map(e, -ERR_INPUT);
	r = add_gnu_slots(m, g.map, 4, g.is_extended);
	if (r < 0)
		return bad_map(e, r);
	*ret_size = (uint64_t)size;
	return g.is_extended ? read_gnu_more(m, s, e) : 0;
}

/* --- pax 1.0 ------------------------------------------------------------------------------ */

/* The payload's first blocks, read byte by byte: decimal numbers, each with a newline. */
struct map_text {
	struct tar_stream *s;
	const uint8_t *block;
	size_t at; /* in the block; TAR_BLOCK: the next one is due */
	uint64_t *left;
	uint64_t total;
};

static int text_byte(struct map_text *t, uint8_t *ret, struct err *e)
{
	if (t->at == TAR_BLOCK) {
		const void *block;
		int r;

		if (*t->left < TAR_BLOCK || t->total >= TAR_EXT_MAX)
			return bad_map(e, -ERR_INPUT);
		r = tar_stream_block(t->s, &block, e);
		if (r <= 0)
			return r < 0 ? r
				     : err_set(e, -ERR_INPUT, "the archive ends in its sparse map");
		t->block = block;
		t->at = 0;
		t->total += TAR_BLOCK;
		*t->left -= TAR_BLOCK;
	}
	*ret = t->block[t->at++];
	return 0;
}

static int text_number(struct map_text *t, uint64_t *ret, struct err *e)
{
	uint64_t v = 0;

	for (size_t digits = 0;; digits++) {
		uint8_t c = 0;
		int r = text_byte(t, &c, e);

		if (r < 0)
			return r;
		if (c == '\n' && digits)
			break;
		if (c < '0' || c > '9' || digits == 19)
			return bad_map(e, -ERR_INPUT);
		v = v * 10 + (uint64_t)(c - '0');
	}
	if (v > INT64_MAX)
		return bad_map(e, -ERR_INPUT);
	*ret = v;
	return 0;
}

int tar_map_read_text(struct tar_map *m, struct tar_stream *s, uint64_t *left, struct err *e)
{
	struct map_text t = {.s = s, .at = TAR_BLOCK, .left = left};
	uint64_t count;
	int r = text_number(&t, &count, e);

	for (uint64_t i = 0; r == 0 && i < count; i++) {
		uint64_t offset = 0, size = 0;

		r = text_number(&t, &offset, e);
		if (r == 0)
			r = text_number(&t, &size, e);
		if (r == 0) {
			r = tar_map_add(m, offset, size);
			if (r < 0)
				return bad_map(e, r);
		}
	}
	return r;
}
