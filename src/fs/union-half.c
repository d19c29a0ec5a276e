// SPDX-License-Identifier: Apache-2.0
/* Half-copied files: blocks of two files are one file's. blocks.h has the invariants. */
#include "union-data.h"

#include "util/bytes.h"
#include "util/io.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>

static uint64_t down(uint64_t off)
{
	return off & ~(UPPER_BLOCK_SIZE - 1);
}

static uint64_t up(uint64_t off)
{
	return down(off + UPPER_BLOCK_SIZE - 1);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- ranges --------------------------------------------------------------------------------- */

static struct data_ranges *ranges_of(const struct data_use *d)
{
	return &d->u->data->ranges[d->n->id % DATA_RANGES];
}

static bool is_taken(const struct data_ranges *rs, const struct data_range *r)
{
	for (const struct data_range *x = rs->first; x; x = x->next) {
		if (x->node == r->node && x->off < r->end && r->off < x->end)
			return true;
	}
	return false;
}

/* `r` is the caller's, and stays where it is until it is given back. */
static void range_take(const struct data_use *d, uint64_t off, uint64_t end, struct data_range *r)
{
	struct data_ranges *rs = ranges_of(d);

	*r = (struct data_range){d->n->id, down(off), up(end), NULL};
	pthread_mutex_lock(&rs->lock);
	while (is_taken(rs, r))
		pthread_cond_wait(&rs->gone, &rs->lock);
	r->next = rs->first;
	rs->first = r;
	pthread_mutex_unlock(&rs->lock);
}

static void range_give(const struct data_use *d, const struct data_range *r)
{
	struct data_ranges *rs = ranges_of(d);
	struct data_range **p;

	pthread_mutex_lock(&rs->lock);
	for (p = &rs->first; *p != r; p = &(*p)->next)
		;
	*p = r->next;
	pthread_cond_broadcast(&rs->gone);
	pthread_mutex_unlock(&rs->lock);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct run {
	uint64_t off, end;
	bool own;
};
#define RUNS_MAX 64

/* The runs from `off` on; they are looked up before anything is read. */
static unsigned int runs_of(
	const struct data_use *d, uint64_t off, uint64_t end, struct run runs[RUNS_MAX])
{
	unsigned int k = 0;

	for (; off < end && k < RUNS_MAX; off = runs[k++].end) {
		runs[k].off = off;
		blocks_run(d->b, off, end, &runs[k].own, &runs[k].end);
	}
	return k;
}

static int read_run(struct data_use *d, const struct run *run, uint8_t *p, size_t *ret_n)
{
	*ret_n = (size_t)(run->end - run->off);
	if (run->own)
		return io_pread(d->fd, p, *ret_n, run->off, ret_n);
	return lower_read_full(d->u, d->n, p, *ret_n, run->off);
}

/* Many short runs: both files are read as a whole, and put together here. Two of its own may follow
 * upon each other, since others write meanwhile. */
static int read_mixed(
	struct data_use *d, const struct run *runs, unsigned int k, uint8_t *p, size_t *ret_n)
{
	_cleanup_free_ uint8_t *lower = NULL;
	const uint64_t off = runs[0].off;
	unsigned int first = 0, last = k;
	int r = io_pread(d->fd, p, (size_t)(runs[k - 1].end - off), off, ret_n);

	while (first < k && runs[first].own)
		first++;
	while (last > first && runs[last - 1].own)
		last--;
	if (r < 0 || first == last)
		return r;
	lower = malloc((size_t)(runs[last - 1].end - runs[first].off));
	if (!lower)
		return -ENOMEM;
	r = lower_read_full(
		d->u, d->n, lower, (size_t)(runs[last - 1].end - runs[first].off), runs[first].off);
	for (unsigned int i = first; r == 0 && i < last; i++) {
		if (!runs[i].own)
			memcpy(p + (runs[i].off - off), lower + (runs[i].off - runs[first].off),
				(size_t)(runs[i].end - runs[i].off));
	}
	return r;
}

/* Fewer than asked for are read at the end of the file only, which is the upper file's. */
int half_read(struct data_use *d, void *p, size_t n, uint64_t off, size_t *ret_n)
{
	struct run runs[RUNS_MAX];
	size_t done = 0, want = 0, got = 0;

	while (done < n && got == want) {
		const unsigned int k = runs_of(d, off + done, off + n, runs);
		const bool mixed = k > 3;
		int r;

		want = (size_t)(runs[mixed ? k - 1 : 0].end - runs[0].off);
		r = mixed ? read_mixed(d, runs, k, (uint8_t *)p + done, &got)
			  : read_run(d, &runs[0], (uint8_t *)p + done, &got);
		if (r < 0)
			return r;
		done += got;
	}
	*ret_n = done;
	return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool is_own(const struct data_use *d, uint64_t off, uint64_t end)
{
	uint64_t e;
	bool own;

	blocks_run(d->b, off, end, &own, &e);
	return own && e == end;
}

static int pwritev_full(int fd, struct iovec *v, int n, uint64_t off)
{
	while (n) {
		ssize_t k = v->iov_len ? pwritev(fd, v, n, (off_t)off) : 0;

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		off += (uint64_t)k;
		for (; n && (size_t)k >= v->iov_len; v++, n--)
			k -= (ssize_t)v->iov_len;
		if (n) {
			v->iov_base = (char *)v->iov_base + k;
			v->iov_len -= (size_t)k;
		}
	}
	return 0;
}

/* What of the lower file is missing around [off, end) for whole blocks: [*ret_from, off) and
 * [end, *ret_to). */
static void missing(const struct data_use *d, uint64_t lower_size, uint64_t off, uint64_t end,
	uint64_t *ret_from, uint64_t *ret_to)
{
	const uint64_t tail = min(up(end), lower_size);

	*ret_from = is_own(d, down(off), down(off) + 1) ? off : down(off);
	*ret_to = end < tail && !is_own(d, end, end + 1) ? tail : end;
}

/* Reads what is missing into the first and the last of the pieces to be written. */
static int read_missing(struct data_use *d, uint64_t from, struct iovec v[3], uint64_t off)
{
	const uint64_t end = off + v[1].iov_len;
	int r = 0;

	if (v[0].iov_len && v[2].iov_len && end - from <= UPPER_BLOCK_SIZE) { /* of one block */
		r = lower_read_full(
			d->u, d->n, v[0].iov_base, (size_t)(end - from) + v[2].iov_len, from);
		v[2].iov_base = (uint8_t *)v[0].iov_base + (end - from);
		return r;
	}
	if (v[0].iov_len)
		r = lower_read_full(d->u, d->n, v[0].iov_base, v[0].iov_len, from);
	if (r == 0 && v[2].iov_len)
		r = lower_read_full(d->u, d->n, v[2].iov_base, v[2].iov_len, end);
	return r;
}

/* With the range taken. Begins before the lower file's end. One call writes it all. */
static int write_filled(
	struct data_use *d, uint64_t lower_size, const void *p, size_t n, uint64_t off)
{
	uint8_t head[UPPER_BLOCK_SIZE], tail[UPPER_BLOCK_SIZE];
	const uint64_t end = off + n;
	uint64_t from, to;
	struct iovec v[3];
	int r;

	missing(d, lower_size, off, end, &from, &to);
	v[0] = (struct iovec){head, (size_t)(off - from)};
	v[1] = (struct iovec){(void *)(uintptr_t)p, n};
	v[2] = (struct iovec){tail, (size_t)(to - end)};
	r = read_missing(d, from, v, off);
	if (r == 0)
		r = pwritev_full(d->fd, v, 3, from);
	if (r == 0)
		blocks_set(d->b, down(off), end); /* B1 */
	return r;
}

int half_write(struct data_use *d, const void *p, size_t n, uint64_t off)
{
	const uint64_t lower_size = blocks_info(d->b).lower_size;
	struct data_range range;
	int r;

	if (n == 0)
		return 0;
	if (off >= lower_size || is_own(d, down(off), up(off + n)))
		return io_pwrite_full(d->fd, p, n, off);
	r = blocks_reserve(d->b, off, off + n);
	if (r < 0)
		return r;
	range_take(d, off, off + n, &range);
	r = write_filled(d, lower_size, p, n, off);
	range_give(d, &range);
	return r;
}

/* ---- zeros ---------------------------------------------------------------------------------- */

/* The block that `off` lies in, if it does so in its middle: with the range taken. */
static int own_block(struct data_use *d, uint64_t lower_size, uint64_t off)
{
	uint8_t block[UPPER_BLOCK_SIZE];
	const uint64_t from = down(off), to = min(from + UPPER_BLOCK_SIZE, lower_size);
	int r;

	if (off == from || off >= lower_size || is_own(d, from, from + 1))
		return 0;
	r = lower_read_full(d->u, d->n, block, (size_t)(to - from), from);
	if (r == 0)
		r = io_pwrite_full(d->fd, block, (size_t)(to - from), from);
	if (r == 0)
		blocks_set(d->b, from, to);
	return r;
}

static int zero_taken(struct data_use *d, int mode, uint64_t off, uint64_t n)
{
	const uint64_t lower_size = blocks_info(d->b).lower_size;
	int r = own_block(d, lower_size, off);

	if (r == 0)
		r = own_block(d, lower_size, off + n);
	if (r == 0 && fallocate(d->fd, mode, (off_t)off, (off_t)n) < 0)
		r = -errno;
	if (r == 0)
		blocks_set(d->b, down(off), off + n); /* both ends are */
	return r;
}

int half_zero(struct data_use *d, int mode, uint64_t off, uint64_t n)
{
	struct data_range range;
	int r;

	if (off >= blocks_info(d->b).lower_size)
		return fallocate(d->fd, mode, (off_t)off, (off_t)n) < 0 ? -errno : 0;
	r = blocks_reserve(d->b, off, off + n);
	if (r < 0)
		return r;
	range_take(d, off, off + n, &range);
	r = zero_taken(d, mode, off, n);
	range_give(d, &range);
	return r;
}

/* ---- all that is missing -------------------------------------------------------------------- */

/* A hole of the lower file: what a write left that was killed before its bit was set has to go. */
static int fill_hole(struct data_use *d, uint64_t off, uint64_t end)
{
	static const uint8_t zeros[65536];
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int r = 0;

	if (fallocate(d->fd, mode, (off_t)off, (off_t)(end - off)) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	for (size_t n; r == 0 && off < end; off += n) {
		n = min(sizeof(zeros), end - off);
		r = io_pwrite_full(d->fd, zeros, n, off);
	}
	return r;
}

static int fill_run(struct data_use *d, void *buffer, uint64_t off, uint64_t end)
{
	int r = lower_read_full(d->u, d->n, buffer, (size_t)(end - off), off);

	if (r < 0)
		return r;
	if (bytes_all_zero(buffer, (size_t)(end - off)))
		return fill_hole(d, off, end);
	return io_pwrite_full(d->fd, buffer, (size_t)(end - off), off);
}

/* [off, end) is of whole blocks, or to the lower file's end; what is its own already is left. */
static int fill_piece(struct data_use *d, void *buffer, uint64_t off, uint64_t end)
{
	struct data_range range;
	int r = blocks_reserve(d->b, off, end);

	if (r < 0)
		return r;
	range_take(d, off, end, &range);
	for (uint64_t at = off, e; r == 0 && at < end; at = e) {
		bool own;

		blocks_run(d->b, at, end, &own, &e);
		if (own)
			continue;
		r = fill_run(d, buffer, at, e);
		if (r == 0)
			blocks_set(d->b, at, e);
	}
	range_give(d, &range);
	return r;
}

int half_fill_all(struct data_use *d)
{
	const uint64_t lower_size = blocks_info(d->b).lower_size;
	_cleanup_free_ void *buffer = malloc(DATA_PIECE);
	int r = 0;

	if (!buffer)
		return -ENOMEM;
	for (uint64_t off = 0, end; r == 0 && off < lower_size; off = end) {
		bool own;

		blocks_run(d->b, off, lower_size, &own, &end);
		if (own)
			continue;
		end = min(end, off + DATA_PIECE);
		r = fill_piece(d, buffer, off, end);
	}
	return r;
}

/* ---- holes and data ------------------------------------------------------------------------- */

/* As lseek(2), but at most `end`, which it is also if there is none before. */
static int seek_own(const struct data_use *d, uint64_t off, uint64_t end, int whence, uint64_t *ret)
{
	const off_t at = lseek(d->fd, (off_t)off, whence);

	if (at < 0 && errno != ENXIO)
		return -errno;
	*ret = at < 0 ? end : min((uint64_t)at, end);
	return 0;
}

static int seek_lower(
	const struct data_use *d, uint64_t off, uint64_t end, int whence, uint64_t *ret)
{
	struct lower *l = node_lower(d->u, d->n);
	uint64_t at = off;
	int r = l->ops->seek(l, d->n->lowers[0].key, off, whence == SEEK_HOLE, &at);

	if (r < 0 && r != -ENXIO)
		return r;
	*ret = r < 0 ? end : min(at, end);
	return 0;
}

int half_lseek(struct data_use *d, uint64_t off, int whence, uint64_t *ret)
{
	struct stat st;
	uint64_t size;

	if (fstat(d->fd, &st) < 0)
		return -errno;
	size = (uint64_t)st.st_size;
	if (off >= size)
		return -ENXIO;
	while (off < size) {
		uint64_t end, at = off;
		bool own;
		int r;

		blocks_run(d->b, off, size, &own, &end);
		r = own ? seek_own(d, off, end, whence, &at) : seek_lower(d, off, end, whence, &at);
		if (r < 0)
			return r;
		off = at;
		if (at < end)
			break;
	}
	if (off == size && whence == SEEK_DATA)
		return -ENXIO;
	*ret = off;
	return 0;
}
