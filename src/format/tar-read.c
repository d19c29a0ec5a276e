/* SPDX-License-Identifier: Apache-2.0 */
#include "tar-reader.h"

#include <string.h>

struct tar_reader *tar_reader_new(struct source *in)
{
	struct tar_reader *t = calloc(1, sizeof(*t));

	if (t)
		t->stream.in = in;
	return t;
}

void tar_reader_free(struct tar_reader *t)
{
	if (!t)
		return;
	buf_done(&t->global);
	buf_done(&t->global_copy);
	buf_done(&t->local.text);
	buf_done(&t->long_name.text);
	buf_done(&t->long_link.text);
	tar_pax_done(&t->pax);
	free(t);
}

void tar_reader_tee(struct tar_reader *t, tar_tee tee, void *ctx)
{
	t->stream.tee = tee;
	t->stream.tee_ctx = ctx;
}

/* --- headers ------------------------------------------------------------------------------ */

/* 1 = t->header is the next one; 0 = the archive ends here. */
static int read_header(struct tar_reader *t, struct err *e)
{
	const void *block;
	int r;

	t->header_at = t->stream.offset;
	r = tar_stream_block(&t->stream, &block, e);
	if (r <= 0)
		return r;
	if (tar_block_is_zero(block))
		return 0;
	memcpy(&t->header, block, sizeof(t->header));
	if (!tar_checksum_ok(&t->header))
		return tar_bad(t, e, "wrong checksum");
	return 1;
}

static int skip_padding(struct tar_reader *t, uint64_t size, struct err *e)
{
	int r = tar_stream_skip(&t->stream, tar_padding(size), e);

	return r < 0 ? r : 0;
}

/* Reads an extension header's content, which is text for us, into `b`. */
static int read_text(struct tar_reader *t, struct buf *b, struct err *e)
{
	uint64_t size = 0;
	int r = tar_header_size(t, &size, e);

	if (r < 0)
		return r;
	if (size > TAR_EXT_MAX)
		return tar_bad(t, e, "extension header larger than 4 MiB");
	b->n = 0;
	while (b->n < size) {
		const uint8_t *p;
		size_t n;

		r = tar_stream_piece(&t->stream, size - b->n, &p, &n, e);
		if (r <= 0)
			return r < 0 ? r
				     : tar_bad(t, e, "the archive ends in its extension header");
		r = buf_add(b, p, n);
		if (r < 0)
			return err_sys(e, r, "tar: extension header");
	}
	return skip_padding(t, size, e);
}

static int read_extension(struct tar_reader *t, struct extension *x, struct err *e)
{
	if (x->present)
		return tar_bad(t, e, "a second extension header of its kind for one entry");
	x->present = true;
	return read_text(t, &x->text, e);
}

static bool has_extension(const struct tar_reader *t)
{
	return t->local.present || t->long_name.present || t->long_link.present;
}

static int read_global(struct tar_reader *t, struct err *e)
{
	int r;

	if (has_extension(t))
		return tar_bad(t, e, "a global header between an extension header and its entry");
	r = read_text(t, &t->global_copy, e);
	if (r < 0)
		return r;
	r = tar_pax_keep_global(&t->global, &t->global_copy, e);
	return r < 0 ? tar_bad_below(t, e, r) : 0;
}

static int skip_label(struct tar_reader *t, struct err *e)
{
	uint64_t size = 0;
	int r = tar_header_size(t, &size, e);

	if (r < 0)
		return r;
	if (has_extension(t))
		return tar_bad(t, e, "an extension header for a volume label");
	r = tar_stream_skip(&t->stream, size, e);
	if (r > 0)
		return tar_bad(t, e, "the archive ends in its volume label");
	return r < 0 ? r : skip_padding(t, size, e);
}

/* What is no entry of its own. 1 = t->header is an entry's, 0 = it was dealt with. */
static int read_special(struct tar_reader *t, struct err *e)
{
	switch (t->header.type) {
	case 'x':
		return read_extension(t, &t->local, e);
	case 'L':
		return read_extension(t, &t->long_name, e);
	case 'K':
		return read_extension(t, &t->long_link, e);
	case 'g':
		return read_global(t, e);
	case 'V':
		return skip_label(t, e);
	case 'M':
		return tar_bad(t, e, "a part of a multi-volume archive");
	default:
		return 1;
	}
}

/* 1 = t->header and the extensions describe the next entry; 0 = the end. */
static int read_headers(struct tar_reader *t, struct err *e)
{
	for (;;) {
		int r = read_header(t, e);

		if (r == 0 && has_extension(t))
			return tar_bad(t, e, "an extension header without an entry");
		if (r <= 0)
			return r;
		r = read_special(t, e);
		if (r != 0)
			return r;
	}
}

/* --- the interface ------------------------------------------------------------------------ */

static int ends_early(struct tar_reader *t, struct err *e)
{
	return tar_bad(t, e, "the archive ends inside its content");
}

/* What the caller did not read of the current entry. */
static int finish_entry(struct tar_reader *t, struct err *e)
{
	int r = tar_stream_skip(&t->stream, t->left, e);

	if (r > 0)
		return ends_early(t, e);
	if (r == 0)
		r = tar_stream_skip(&t->stream, t->padding, e); /* may be missing at the end */
	t->local.present = t->long_name.present = t->long_link.present = false;
	t->entry = (struct tar_entry){0};
	t->left = t->stored = t->in_extent = 0;
	t->padding = t->extent = 0;
	t->hidden = false;
	return r < 0 ? r : 0;
}

static int next_entry(struct tar_reader *t, struct err *e)
{
	int r = finish_entry(t, e);

	if (r < 0)
		return r;
	r = read_headers(t, e);
	if (r > 0)
		return tar_entry_make(t, e);
	if (r == 0) {
		t->ended = true;
		r = tar_stream_drain(&t->stream, e);
	}
	return r;
}

int tar_next(struct tar_reader *t, const struct tar_entry **ret_entry, struct err *e)
{
	int r;

	if (t->failed)
		return err_set(e, t->failed, "tar: an earlier read failed");
	if (t->ended)
		return 0;
	r = next_entry(t, e);
	if (r < 0)
		t->failed = r;
	if (r > 0)
		*ret_entry = &t->entry;
	return r;
}

/* Where the next byte of the payload belongs, and how many belong there in a row. */
static uint64_t position(struct tar_reader *t, uint64_t *ret_max)
{
	const struct tar_extent *x;

	if (!t->entry.sparse) {
		*ret_max = t->left;
		return t->stored - t->left;
	}
	x = &t->entry.extents[t->extent];
	if (t->in_extent == x->size) {
		x++;
		t->extent++;
		t->in_extent = 0;
	}
	*ret_max = x->size - t->in_extent;
	return x->offset + t->in_extent;
}

int tar_data(struct tar_reader *t, const uint8_t **ret_p, size_t *ret_n, uint64_t *ret_offset,
	struct err *e)
{
	uint64_t max, offset;
	int r;

	if (t->failed)
		return err_set(e, t->failed, "tar: an earlier read failed");
	if (t->left == 0 || t->hidden)
		return 0;
	offset = position(t, &max);
	t->stream.payload = true;
	r = tar_stream_piece(&t->stream, max, ret_p, ret_n, e);
	t->stream.payload = false;
	if (r <= 0) {
		t->failed = r < 0 ? r : ends_early(t, e);
		return t->failed;
	}
	t->left -= *ret_n;
	t->in_extent += *ret_n;
	*ret_offset = offset;
	return 1;
}
