/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"
#include "util/io.h"

#include <sys/stat.h>

#define READ_SIZE ((size_t)256 << 10)

struct reading {
	struct source source;
	const struct feed *feed;
	bool seekable;
	uint64_t at;    /* bytes read so far */
	uint64_t total; /* bytes that there are; 0: not known */
	size_t kept; /* bytes in the buffer that were read to find the codec, not yet given out */
	struct digest_ctx *digest;
	uint8_t buffer[READ_SIZE];
};

static void tell(const struct reading *r)
{
	const struct import_options *o = r->feed->options;

	if (o && o->progress)
		o->progress(o->progress_ctx, r->feed->layer, r->feed->layers, r->at, r->total);
}

static int fill(struct reading *r, size_t *ret_n, struct err *e)
{
	const struct blob *b = &r->feed->blob;
	uint64_t left = b->size == FEED_SIZE_UNKNOWN ? READ_SIZE : b->size - r->at;
	size_t want = left < READ_SIZE ? (size_t)left : READ_SIZE;
	int c = r->seekable ? io_pread(b->fd, r->buffer, want, b->offset + r->at, ret_n)
			    : io_read(b->fd, r->buffer, want, ret_n);

	if (c < 0)
		return err_sys(e, c, "cannot read");
	if (*ret_n < want && b->size != FEED_SIZE_UNKNOWN)
		return err_set(e, -ERR_INPUT, "ends early: it has %llu bytes and should have %llu",
			(unsigned long long)(r->at + *ret_n), (unsigned long long)b->size);
	r->at += *ret_n;
	if (r->digest)
		digest_ctx_add(r->digest, r->buffer, *ret_n);
	tell(r);
	return 0;
}

static int reading_next(struct source *s, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	struct reading *r = (struct reading *)s;
	size_t n = r->kept;
	int c = n ? 0 : fill(r, &n, e);

	r->kept = 0;
	if (c < 0)
		return c;
	*ret_p = r->buffer;
	*ret_n = n;
	return n > 0;
}

static int check_digest(struct reading *r, struct err *e)
{
	char text[DIGEST_TEXT_MAX];
	struct digest d;

	if (!r->digest)
		return 0;
	digest_ctx_final(r->digest, &d);
	if (digest_equal(&d, r->feed->digest))
		return 0;
	return err_set(e, -ERR_DIGEST, "content does not match its digest %s",
		digest_text(r->feed->digest, text));
}

int feed_produce(void *ctx, struct sink *out, struct err *e)
{
	const struct feed *f = ctx;
	_cleanup_free_ struct reading *r = calloc(1, sizeof(*r));
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = f->digest ? digest_ctx_new() : NULL;
	struct stat st;
	int c;

	if (!r || (f->digest && !digest))
		return err_sys(e, -ENOMEM, "cannot read");
	r->source.next = reading_next;
	r->feed = f;
	r->digest = digest;
	r->seekable = lseek(f->blob.fd, 0, SEEK_CUR) >= 0;
	r->total = f->blob.size != FEED_SIZE_UNKNOWN ? f->blob.size : 0;
	if (!r->total && r->seekable && fstat(f->blob.fd, &st) == 0)
		r->total = (uint64_t)st.st_size;
	c = fill(r, &r->kept, e);
	if (c == 0)
		c = codec_decode(codec_detect(r->buffer, r->kept), &r->source, out, e);
	return c < 0 ? c : check_digest(r, e);
}
