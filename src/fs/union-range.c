// SPDX-License-Identifier: Apache-2.0
/* fallocate, lseek, copies of ranges, fsync. */
#include "union-data.h"

#include "util/io.h"

#include <fcntl.h>
#include <linux/falloc.h>

/* The kernel says of WRITE whether setuid and setgid go, of these it does not: it leaves them to
 * us. Who is root may keep them. */
static bool is_stranger(const struct union_op *op)
{
	return op->uid != 0;
}

/* ---- fallocate ------------------------------------------------------------------------------ */

static bool mode_is_known(int mode)
{
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return true;
	default:
		return false;
	}
}

/* Space below blocks that are still the lower file's is taken, too: it is what they will need. */
static int allocate(struct data_use *d, int mode, uint64_t off, uint64_t n)
{
	if (d->b && (mode & ~FALLOC_FL_KEEP_SIZE))
		return half_zero(d, mode, off, n);
	return fallocate(d->fd, mode, (off_t)off, (off_t)n) < 0 ? -errno : 0;
}

int union_fallocate(struct union_fs *u, const struct union_op *op, uint64_t node, int mode,
	uint64_t off, uint64_t n)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	_cleanup_data_ struct data_use d = {0};
	bool whole;
	int r;

	if (!mode_is_known(mode))
		return -EOPNOTSUPP;
	if (n == 0)
		return -EINVAL;
	if (off > INT64_MAX || n > INT64_MAX - off)
		return -EFBIG;
	r = data_node(u, node, &ref.n);
	if (r == 0)
		r = data_begin(u, ref.n, true, &d);
	if (r < 0)
		return r;
	r = allocate(&d, mode, off, n);
	if (r == 0 && is_stranger(op))
		r = data_kill_suidgid(&d);
	whole = d.b && blocks_is_whole(d.b);
	data_end(&d);
	if (r == 0 && whole)
		(void)!data_settle(u, ref.n);
	return r;
}

/* ---- lseek ---------------------------------------------------------------------------------- */

int union_lseek(struct union_fs *u, uint64_t node, uint64_t off, int whence, uint64_t *ret)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	_cleanup_data_ struct data_use d = {0};
	struct lower *l;
	off_t at;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (off > INT64_MAX)
		return -ENXIO;
	r = data_node(u, node, &ref.n);
	if (r == 0)
		r = data_begin(u, ref.n, false, &d);
	if (r < 0)
		return r;
	if (d.b)
		return half_lseek(&d, off, whence, ret);
	if (d.fd < 0) {
		l = node_lower(u, ref.n);
		return l->ops->seek(l, ref.n->lowers[0].key, off, whence == SEEK_HOLE, ret);
	}
	at = lseek(d.fd, (off_t)off, whence);
	if (at < 0)
		return -errno;
	*ret = (uint64_t)at;
	return 0;
}

/* ---- copies of ranges ----------------------------------------------------------------------- */

struct range {
	struct node *n;
	uint64_t off;
};

/* By the kernel, from file to file: reflinks where there can be. 1 = not these two. */
static int copy_whole(struct union_fs *u, const struct range *from, struct data_use *to,
	uint64_t to_off, size_t n, size_t *ret_n)
{
	off_t in = (off_t)from->off, out = (off_t)to_off;
	ssize_t k;
	int fd, r;

	/* What is whole stays so: its state need not be shared. */
	if (to->b || !from->n->has_upper || (from->n->rec->flags & NODE_HALF))
		return 1;
	r = node_fd(u, from->n, &fd);
	if (r < 0)
		return r;
	k = copy_file_range(fd, &in, to->fd, &out, n, 0);
	r = k >= 0 ? 0 : -errno;
	node_fd_put(u, from->n);
	if (r == -EXDEV || r == -EOPNOTSUPP || r == -ENOSYS)
		return 1;
	if (r == 0)
		*ret_n = (size_t)k;
	return r;
}

static int read_piece(
	struct union_fs *u, const struct range *from, void *buffer, size_t n, size_t *ret_n)
{
	_cleanup_data_ struct data_use d = {0};
	int r = data_begin(u, from->n, false, &d);

	return r < 0 ? r : data_read(&d, buffer, n, from->off, ret_n);
}

static int write_piece(struct union_fs *u, const struct range *to, const void *buffer, size_t n)
{
	_cleanup_data_ struct data_use d = {0};
	int r = data_begin(u, to->n, true, &d);

	return r < 0 ? r : data_write(&d, buffer, n, to->off);
}

/* Through memory: reading and writing do not share the states of two nodes at once. */
static int copy_bytes(
	struct union_fs *u, struct range from, struct range to, size_t n, size_t *ret_n)
{
	_cleanup_free_ void *buffer = malloc(n < DATA_PIECE ? n : DATA_PIECE);
	size_t done = 0, got;
	int r = 0;

	if (!buffer)
		return -ENOMEM;
	while (done < n) {
		r = read_piece(
			u, &from, buffer, n - done < DATA_PIECE ? n - done : DATA_PIECE, &got);
		if (r == 0 && got == 0)
			break;
		if (r == 0)
			r = write_piece(u, &to, buffer, got);
		if (r < 0)
			break;
		done += got;
		from.off += got;
		to.off += got;
	}
	*ret_n = done;
	return done ? 0 : r;
}

static int copy_range(
	struct union_fs *u, struct range from, struct range to, size_t n, size_t *ret_n)
{
	_cleanup_data_ struct data_use d = {0};
	int r = data_begin(u, to.n, true, &d);

	if (r == 0)
		r = copy_whole(u, &from, &d, to.off, n, ret_n);
	data_end(&d);
	if (r == 1)
		r = copy_bytes(u, from, to, n, ret_n);
	/* Only half files need it, and only the last of a copy in pieces. */
	if (r == 0 && (to.n->rec->flags & NODE_HALF))
		(void)!data_settle(u, to.n);
	return r;
}

static int kill_suidgid(struct union_fs *u, struct node *n)
{
	_cleanup_data_ struct data_use d = {0};
	int r = data_begin(u, n, true, &d);

	return r < 0 ? r : data_kill_suidgid(&d);
}

static bool overlap(uint64_t a, uint64_t b, uint64_t n)
{
	return a < b ? b - a < n : a - b < n;
}

int union_copy_range(struct union_fs *u, const struct union_op *op, uint64_t from,
	uint64_t from_off, uint64_t to, uint64_t to_off, size_t n, size_t *ret_n)
{
	_cleanup_node_ struct node_ref from_ref = {u, NULL}, to_ref = {u, NULL};
	int r;

	if (from_off > INT64_MAX || n > INT64_MAX - from_off)
		return -EOVERFLOW;
	if (to_off > INT64_MAX || n > INT64_MAX - to_off)
		return -EFBIG;
	if (from == to && overlap(from_off, to_off, n))
		return -EINVAL;
	r = data_node(u, from, &from_ref.n);
	if (r == 0)
		r = data_node(u, to, &to_ref.n);
	if (r < 0)
		return r;
	if (n == 0) {
		*ret_n = 0;
		return 0;
	}
	r = copy_range(u, (struct range){from_ref.n, from_off}, (struct range){to_ref.n, to_off}, n,
		ret_n);
	return r == 0 && is_stranger(op) ? kill_suidgid(u, to_ref.n) : r;
}

/* ---- fsync ---------------------------------------------------------------------------------- */

static int sync_file(struct union_fs *u, struct node *n, bool data_only)
{
	_cleanup_data_ struct data_use d = {0};
	int r = data_begin(u, n, false, &d);

	if (r < 0 || d.fd < 0)
		return r;
	if ((data_only ? fdatasync(d.fd) : fsync(d.fd)) < 0)
		return -errno;
	return d.b ? blocks_sync(d.b) : 0; /* B3 */
}

/* The root: all of the upper directory, as syncfs(2) wants it. */
static int sync_dir(struct union_fs *u, struct node *n)
{
	_cleanup_close_ int dir = -1;
	int fd, r;

	if (!n->has_upper)
		return 0;
	r = node_fd(u, n, &fd);
	if (r < 0)
		return r;
	dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || (n == u->root ? syncfs(dir) : fsync(dir)) < 0)
		r = -errno;
	node_fd_put(u, n);
	return r;
}

int union_fsync(struct union_fs *u, uint64_t node, bool data_only)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	int r;

	if (!u->config.sync || !u->upper)
		return 0;
	r = node_get(u, node, &ref.n);
	if (r < 0)
		return r;
	if (S_ISREG(ref.n->mode))
		return sync_file(u, ref.n, data_only);
	return S_ISDIR(ref.n->mode) ? sync_dir(u, ref.n) : 0;
}
