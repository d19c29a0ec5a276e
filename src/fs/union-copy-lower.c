// SPDX-License-Identifier: Apache-2.0
/* Lower files, copied as a whole. */
#include "union-data.h"

#include "util/io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

int lower_read_full(struct union_fs *u, struct node *n, void *p, size_t size, uint64_t off)
{
	struct lower *l = node_lower(u, n);
	size_t got = 0;
	int r = l->ops->read(l, n->lowers[0].key, p, size, off, NULL, &got);

	if (r < 0)
		return r;
	return got == size ? 0 : -EIO;
}

static int lower_size(struct union_fs *u, struct node *n, uint64_t at_most, uint64_t *ret)
{
	struct lower *l = node_lower(u, n);
	struct stat st;
	int r = l->ops->stat(l, n->lowers[0].key, &st);

	if (r < 0)
		return r;
	*ret = (uint64_t)st.st_size < at_most ? (uint64_t)st.st_size : at_most;
	return 0;
}

/* ---- by bytes ------------------------------------------------------------------------------- */

struct copy {
	struct lower *l;
	uint64_t key;
	int fd;
	void *buffer; /* for layers that give no pieces */
};

/* EFAULT: the pieces are of a file that cannot be read. */
static int write_pieces(int fd, struct lower_content *c, uint64_t off, size_t *ret_n)
{
	const ssize_t k = pwritev(fd, c->pieces, c->n, (off_t)off);

	if (k < 0)
		return errno == EFAULT ? -EIO : -errno;
	*ret_n = (size_t)k;
	return k ? 0 : -EIO;
}

/* Some of [off, off + n); *ret_n is how much. */
static int copy_some(struct copy *c, uint64_t off, size_t n, size_t *ret_n)
{
	struct lower_content pieces;
	size_t got = 0;
	int r;

	pieces.n = 0;
	r = c->l->ops->read(c->l, c->key, c->buffer, n, off, &pieces, &got);
	if (r < 0)
		return r;
	if (got == 0)
		return -EIO; /* it ends before its size */
	if (pieces.n)
		return write_pieces(c->fd, &pieces, off, ret_n);
	*ret_n = got;
	return io_pwrite_full(c->fd, c->buffer, got, off);
}

static int copy_run(struct copy *c, uint64_t off, uint64_t end)
{
	int r = 0;

	while (r == 0 && off < end) {
		size_t done = 0;

		r = copy_some(
			c, off, end - off < DATA_PIECE ? (size_t)(end - off) : DATA_PIECE, &done);
		if (r == -EINTR)
			r = 0;
		off += done;
	}
	return r;
}

/* The data before `size`; holes are left out. */
static int copy_data(struct copy *c, uint64_t size)
{
	uint64_t data, hole = 0;
	int r;

	while (hole < size) {
		r = c->l->ops->seek(c->l, c->key, hole, false, &data);
		if (r == -ENXIO || (r == 0 && data >= size))
			return 0;
		if (r == 0)
			r = c->l->ops->seek(c->l, c->key, data, true, &hole);
		if (r == 0 && hole <= data)
			r = -EIO;
		if (r == 0)
			r = copy_run(c, data, hole < size ? hole : size);
		if (r < 0)
			return r;
	}
	return 0;
}

int data_copy_lower(struct union_fs *u, struct node *n, int fd, uint64_t size)
{
	_cleanup_free_ void *buffer = malloc(DATA_PIECE);
	struct copy c = {node_lower(u, n), n->lowers[0].key, fd, buffer};
	int r;

	if (!buffer)
		return -ENOMEM;
	r = lower_size(u, n, size, &size);
	if (r == 0)
		r = copy_data(&c, size);
	if (r == 0 && ftruncate(fd, (off_t)size) < 0)
		r = -errno;
	return r;
}

/* ---- by reflinks ---------------------------------------------------------------------------- */

/* What says that these two file systems, or this file, cannot: not that something is wrong. */
static int cannot(int error)
{
	switch (error) {
	case EXDEV:
	case EOPNOTSUPP:
	case ENOTTY:
	case EINVAL:
	case EPERM:
	case ETXTBSY:
		return 1;
	default:
		return -error;
	}
}

static int clone_extent(int fd, const struct lower_extent *x)
{
	struct file_clone_range c = {
		.src_fd = x->fd,
		.src_offset = x->fd_off,
		.src_length = (x->size + UPPER_BLOCK_SIZE - 1) & ~(UPPER_BLOCK_SIZE - 1),
		.dest_offset = x->off,
	};
	struct stat st;

	if (fstat(x->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size < x->fd_off + x->size)
		return -EIO;
	/* The last block of the other file may be short. */
	if ((uint64_t)st.st_size < c.src_offset + c.src_length)
		c.src_length = (uint64_t)st.st_size - c.src_offset;
	return ioctl(fd, FICLONERANGE, &c) < 0 ? cannot(errno) : 0;
}

static int clone_extents(struct lower *l, uint64_t key, int fd, uint64_t size)
{
	struct lower_extent x;
	uint64_t off = 0;
	int r;

	while (off < size) {
		r = l->ops->extents(l, key, off, &x);
		if (r == 1)
			return 0;
		if (r == 0 && (x.off % UPPER_BLOCK_SIZE || !x.size))
			r = -EIO;
		if (r == 0)
			r = x.off < size ? clone_extent(fd, &x) : 0;
		if (r != 0)
			return r == -EOPNOTSUPP ? 1 : r;
		off = x.off + x.size;
	}
	return 0;
}

static int clone_file(struct lower *l, uint64_t key, int fd)
{
	_cleanup_close_ int from = -1;
	int r = l->ops->open ? l->ops->open(l, key, &from) : 1;

	if (r != 0)
		return r;
	return ioctl(fd, FICLONE, from) < 0 ? cannot(errno) : 0;
}

bool data_may_clone(struct union_fs *u, struct node *n)
{
	const struct lower *l = node_lower(u, n);

	return u->upper->reflink && (l->ops->extents || l->ops->open) &&
	       !u->data->no_clone[n->lowers[0].layer];
}

int data_clone_lower(struct union_fs *u, struct node *n, int fd, uint64_t size)
{
	struct lower *l = node_lower(u, n);
	const uint64_t key = n->lowers[0].key;
	int r;

	if (!data_may_clone(u, n))
		return 1;
	r = lower_size(u, n, size, &size);
	if (r < 0)
		return r;
	r = l->ops->extents ? clone_extents(l, key, fd, size) : 1;
	if (r == 1)
		r = clone_file(l, key, fd);
	/* What the first of a layer cannot, the others cannot: it is another file system. But files
	 * that lie in an index are all small. */
	if (r == 1 && size > UPPER_BLOCK_SIZE)
		u->data->no_clone[n->lowers[0].layer] = true;
	if (ftruncate(fd, r == 0 ? (off_t)size : 0) < 0)
		return -errno;
	return r;
}
