/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying chunks, in the order of their places. Each thread takes the next run of chunks that
 * lie close together, reads it in one piece, and asks the kernel for what comes behind meanwhile.
 */
#include "check.h"
#include "util/bytes.h"
#include "util/io.h"

#include <fcntl.h>
#include <unistd.h>

#define RUN_BYTES   ((uint64_t)2 << 20)   /* read at a time, if no chunk is longer */
#define GAP_BYTES   ((uint64_t)128 << 10) /* read over, between two chunks of a run */
#define AHEAD_BYTES ((uint64_t)8 << 20)
#define THREADS_MAX 16

struct verifier {
	struct check *c;
	check_progress progress;
	void *progress_ctx;
	pthread_mutex_t lock;
	size_t next; /* place */
	uint64_t done, total;
	int code; /* of the first failure */
};

static const char *judge(const uint8_t *p, const struct digest *d, uint32_t size, bool *ret_padding)
{
	size_t pad = (size_t)chunk_blocks(size) * PACK_BLOCK_SIZE - size;
	struct digest is;

	digest_of(p, size, &is);
	*ret_padding = false;
	if (!digest_equal(&is, d))
		return "its content does not match its digest";
	if (!pad || bytes_all_zero(p + size, pad))
		return NULL;
	*ret_padding = true;
	return CHECK_PADDING;
}

int check_chunk(int fd, const struct digest *d, const struct chunk_record *at, const char **ret_why,
	bool *ret_padding)
{
	size_t want = (size_t)chunk_blocks(at->size) * PACK_BLOCK_SIZE, n;
	_cleanup_free_ uint8_t *p = malloc(want);
	int r;

	*ret_padding = false;
	*ret_why = "its pack is missing";
	if (fd < 0)
		return 0;
	if (!p)
		return -ENOMEM;
	r = io_pread(fd, p, want, (uint64_t)at->block * PACK_BLOCK_SIZE, &n);
	if (r < 0)
		*ret_why = err_text(r);
	else if (n < want)
		*ret_why = "it lies beyond the end of its pack";
	else
		*ret_why = judge(p, d, at->size, ret_padding);
	return 0;
}

static uint64_t place_offset(const struct place *p)
{
	return (uint64_t)place_record(p).block * PACK_BLOCK_SIZE;
}

static uint64_t place_end(const struct place *p)
{
	return place_offset(p) + (uint64_t)chunk_blocks(place_record(p).size) * PACK_BLOCK_SIZE;
}

/* The places [*ret_first, *ret_end) for one read; false = there are no more. */
static bool take_run(struct verifier *v, size_t *ret_first, size_t *ret_end)
{
	const struct place *p = v->c->places;
	size_t i, n = v->c->n_places;

	pthread_mutex_lock(&v->lock);
	*ret_first = i = v->next;
	for (; i < n &&
		(i == *ret_first ||
			(place_record(&p[i]).pack == place_record(&p[i - 1]).pack &&
				place_offset(&p[i]) >= place_end(&p[i - 1]) &&
				place_offset(&p[i]) - place_end(&p[i - 1]) <= GAP_BYTES &&
				place_end(&p[i]) - place_offset(&p[*ret_first]) <= RUN_BYTES));
		i++)
		;
	*ret_end = v->next = v->code < 0 ? *ret_first : i;
	pthread_mutex_unlock(&v->lock);
	return *ret_end > *ret_first;
}

static int note(struct verifier *v, const struct place *p, const char *why)
{
	struct chunk_fault f = {.at = place_record(p), .why = why};

	memcpy(f.digest.b, p->digest, DIGEST_SIZE);
	return check_note_chunk(v->c, &f);
}

/* One after the other, where the run as a whole cannot be read. */
static int verify_alone(const struct check *c, const struct place *p, const char **ret_why)
{
	struct chunk_record at = place_record(p);
	struct digest d;
	bool padding;

	memcpy(d.b, p->digest, DIGEST_SIZE);
	return check_chunk(c->packs[at.pack], &d, &at, ret_why, &padding);
}

static int verify_run(struct verifier *v, size_t first, size_t end, uint8_t *buffer)
{
	const struct place *p = v->c->places;
	const uint64_t off = place_offset(&p[first]);
	const int fd = v->c->packs[place_record(&p[first]).pack];
	size_t want = (size_t)(place_end(&p[end - 1]) - off), n = 0;
	bool whole = fd >= 0 && want <= RUN_BYTES;
	int r = 0;

	if (whole) {
		posix_fadvise(fd, (off_t)(off + want), (off_t)AHEAD_BYTES, POSIX_FADV_WILLNEED);
		whole = io_pread(fd, buffer, want, off, &n) == 0 && n == want;
	}
	for (size_t i = first; r == 0 && i < end; i++) {
		const char *why = NULL;
		struct digest d;
		bool padding;

		memcpy(d.b, p[i].digest, DIGEST_SIZE);
		if (whole)
			why = judge(buffer + (place_offset(&p[i]) - off), &d,
				place_record(&p[i]).size, &padding);
		else
			r = verify_alone(v->c, &p[i], &why);
		if (r == 0 && why)
			r = note(v, &p[i], why);
	}
	return r;
}

static void tell(struct verifier *v, uint64_t bytes, int code)
{
	pthread_mutex_lock(&v->lock);
	v->done += bytes;
	if (code < 0 && v->code == 0)
		v->code = code;
	if (v->progress)
		v->progress(v->progress_ctx, v->done, v->total);
	pthread_mutex_unlock(&v->lock);
}

static void *run_verifier(void *arg)
{
	struct verifier *v = arg;
	_cleanup_free_ uint8_t *buffer = malloc(RUN_BYTES);
	size_t first, end;

	if (!buffer)
		tell(v, 0, -ENOMEM);
	while (take_run(v, &first, &end)) {
		uint64_t bytes = 0;
		int r = verify_run(v, first, end, buffer);

		for (size_t i = first; i < end; i++)
			bytes += place_record(&v->c->places[i]).size;
		tell(v, bytes, r);
	}
	return NULL;
}

int check_data(
	struct check *c, check_progress progress, void *ctx, uint64_t *ret_bytes, struct err *e)
{
	struct verifier v = {.c = c, .progress = progress, .progress_ctx = ctx};
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	long n = 0;

	pthread_mutex_init(&v.lock, NULL);
	for (size_t i = 0; i < c->n_places; i++)
		v.total += place_record(&c->places[i]).size;
	for (; n < processors && n < THREADS_MAX; n++)
		if (pthread_create(&threads[n], NULL, run_verifier, &v) != 0)
			break;
	if (n == 0)
		run_verifier(&v);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	*ret_bytes = v.done;
	return v.code < 0 ? err_sys(e, v.code, "cannot verify the chunks") : 0;
}
