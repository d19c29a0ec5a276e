// SPDX-License-Identifier: Apache-2.0
#include "union-data.h"

#include "util/io.h"

/* Less than this is read into the buffer: one call then, where splice(2) wants two. */
#define READ_FD_MIN 32768u

/* ---- the state of all nodes ----------------------------------------------------------------- */

static void init_lock(pthread_rwlock_t *l)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	/* Else a truncation waits as long as there are readers. */
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(l, &a);
	pthread_rwlockattr_destroy(&a);
}

int data_new(struct union_fs *u)
{
	struct union_data *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->no_clone = calloc(u->config.n_lowers, sizeof(*d->no_clone));
	if (!d->no_clone) {
		free(d);
		return -ENOMEM;
	}
	for (size_t i = 0; i < DATA_STATES; i++)
		init_lock(&d->states[i]);
	for (size_t i = 0; i < DATA_RANGES; i++) {
		pthread_mutex_init(&d->ranges[i].lock, NULL);
		pthread_cond_init(&d->ranges[i].gone, NULL);
		pthread_mutex_init(&d->privileges[i], NULL);
	}
	pthread_mutex_init(&d->hold_lock, NULL);
	pthread_cond_init(&d->unheld, NULL);
	u->data = d;
	return 0;
}

void data_free(struct union_fs *u)
{
	struct union_data *d = u->data;

	if (!d)
		return;
	while (d->holds)
		union_unhold(u, d->holds->node->id);
	for (size_t i = 0; i < DATA_STATES; i++)
		pthread_rwlock_destroy(&d->states[i]);
	for (size_t i = 0; i < DATA_RANGES; i++) {
		pthread_mutex_destroy(&d->ranges[i].lock);
		pthread_cond_destroy(&d->ranges[i].gone);
		pthread_mutex_destroy(&d->privileges[i]);
	}
	pthread_mutex_destroy(&d->hold_lock);
	pthread_cond_destroy(&d->unheld);
	free(d->no_clone);
	free(d);
	u->data = NULL;
}

static pthread_rwlock_t *state_of(struct union_fs *u, const struct node *n)
{
	return &u->data->states[n->id % DATA_STATES];
}

void data_state_share(struct union_fs *u, const struct node *n)
{
	pthread_rwlock_rdlock(state_of(u, n));
}

void data_state_alone(struct union_fs *u, const struct node *n)
{
	pthread_rwlock_wrlock(state_of(u, n));
}

void data_state_leave(struct union_fs *u, const struct node *n)
{
	pthread_rwlock_unlock(state_of(u, n));
}

/* ---- half files: opening bitmaps ------------------------------------------------------------ */

static bool is_half(const struct node *n)
{
	return n->rec->flags & NODE_HALF;
}

/* The bitmap must be of this lower file, and the lower file as long as it was. */
static int check_lower(struct union_fs *u, struct node *n, const struct blocks *b)
{
	const struct blocks_info info = blocks_info(b);
	struct lower *l;
	struct stat st;
	int r;

	if (!n->n_lowers)
		return -EIO;
	l = node_lower(u, n);
	if (info.lower_key != (l->has_origin ? n->lowers[0].key : 0))
		return -EIO;
	r = l->ops->stat(l, n->lowers[0].key, &st);
	if (r < 0)
		return r;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size >= info.lower_size ? 0 : -EIO;
}

int data_blocks(struct union_fs *u, struct node *n, int fd)
{
	_cleanup_(blocks_closep) struct blocks *b = NULL;
	int r;

	if (!is_half(n) || n->blocks)
		return 0;
	r = blocks_is_marked(u->upper, fd);
	if (r == 0) /* it was made whole, or was to become half, when a kill came */
		n->rec->flags &= ~(uint32_t)NODE_HALF;
	if (r <= 0)
		return r;
	r = blocks_open(u->upper, fd, &b);
	if (r == 0)
		r = check_lower(u, n, b);
	if (r < 0)
		return r;
	data_state_alone(u, n);
	n->blocks = TAKE_PTR(b);
	data_state_leave(u, n);
	return 0;
}

/* Takes node.lock. */
static int load_blocks(struct union_fs *u, struct node *n)
{
	int fd, r;

	pthread_mutex_lock(&n->lock);
	r = node_fd(u, n, &fd);
	if (r == 0) {
		r = data_blocks(u, n, fd);
		node_fd_put(u, n);
	}
	pthread_mutex_unlock(&n->lock);
	return r;
}

/* ---- using content -------------------------------------------------------------------------- */

int data_node(struct union_fs *u, uint64_t id, struct node **ret)
{
	struct node *n;
	int r = node_get(u, id, &n);

	if (r < 0)
		return r;
	if (!S_ISREG(n->mode)) {
		r = S_ISDIR(n->mode) ? -EISDIR : -EINVAL;
		node_put(u, n);
		return r;
	}
	*ret = n;
	return 0;
}

static int need_upper(struct union_fs *u, struct node *n)
{
	int r = 0;

	if (!u->upper)
		return -EROFS;
	pthread_rwlock_rdlock(&u->tree);
	pthread_mutex_lock(&n->lock);
	if (!n->has_upper)
		r = copy_up(u, n, true, UINT64_MAX);
	pthread_mutex_unlock(&n->lock);
	pthread_rwlock_unlock(&u->tree);
	return r;
}

/* 1 = shared and ready; 0 = something had to be done, look again. */
static int try_begin(struct union_fs *u, struct node *n, bool change)
{
	int r;

	if (change && !n->has_upper)
		return need_upper(u, n);
	data_state_share(u, n);
	if (change && data_is_held(u, n)) {
		data_state_leave(u, n);
		data_wait_unheld(u, n);
		return 0;
	}
	if (n->has_upper && is_half(n) && !n->blocks) {
		data_state_leave(u, n);
		r = load_blocks(u, n);
		return r;
	}
	return 1;
}

int data_begin(struct union_fs *u, struct node *n, bool change, struct data_use *ret)
{
	struct data_use d = {u, n, -1, NULL};
	int r;

	do
		r = try_begin(u, n, change);
	while (r == 0);
	if (r < 0)
		return r;
	r = 0;
	if (n->has_upper) {
		d.b = n->blocks;
		r = node_fd(u, n, &d.fd);
	}
	if (r < 0)
		data_state_leave(u, n);
	else
		*ret = d;
	return r;
}

void data_end(struct data_use *d)
{
	if (!d->n)
		return;
	if (d->fd >= 0)
		node_fd_put(d->u, d->n);
	data_state_leave(d->u, d->n);
	d->n = NULL;
}

/* The caller has node.lock, and the state alone. */
static int finish(struct node *n, int fd)
{
	int r;

	if (!n->blocks || !blocks_is_whole(n->blocks))
		return 0;
	r = blocks_finish(n->blocks, fd);
	if (r < 0)
		return r;
	n->blocks = NULL;
	n->rec->flags &= ~(uint32_t)NODE_HALF;
	return 0;
}

static int settle_locked(struct union_fs *u, struct node *n)
{
	int fd, r = node_fd(u, n, &fd);

	if (r < 0)
		return r;
	data_state_alone(u, n);
	r = finish(n, fd);
	data_state_leave(u, n);
	node_fd_put(u, n);
	return r;
}

int data_settle(struct union_fs *u, struct node *n)
{
	int r;

	pthread_mutex_lock(&n->lock);
	r = settle_locked(u, n);
	pthread_mutex_unlock(&n->lock);
	return r;
}

/* ---- reading -------------------------------------------------------------------------------- */

int data_read(struct data_use *d, void *p, size_t n, uint64_t off, size_t *ret_n)
{
	struct lower *l;

	if (d->b)
		return half_read(d, p, n, off, ret_n);
	if (d->fd >= 0)
		return io_pread(d->fd, p, n, off, ret_n);
	l = node_lower(d->u, d->n);
	return l->ops->read(l, d->n->lowers[0].key, p, n, off, NULL, ret_n);
}

static int read_lower(struct data_use *d, void *p, size_t n, uint64_t off, struct union_read *ret)
{
	struct lower *l = node_lower(d->u, d->n);
	int r;

	ret->pieces.n = 0;
	r = l->ops->read(l, d->n->lowers[0].key, p, n, off, &ret->pieces, &ret->size);
	ret->kind = ret->pieces.n ? UNION_READ_PIECES : UNION_READ_BUFFER;
	return r;
}

int union_read(
	struct union_fs *u, uint64_t node, void *p, size_t n, uint64_t off, struct union_read *ret)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	_cleanup_data_ struct data_use d = {0};
	int r;

	ret->kind = UNION_READ_BUFFER;
	ret->node = NULL;
	ret->size = 0;
	if (off > INT64_MAX || n > INT64_MAX - off)
		return -EINVAL;
	r = data_node(u, node, &ref.n);
	if (r == 0)
		r = data_begin(u, ref.n, false, &d);
	if (r < 0)
		return r;
	if (d.fd < 0)
		return read_lower(&d, p, n, off, ret);
	if (d.b || n < READ_FD_MIN)
		return data_read(&d, p, n, off, &ret->size);
	/* A whole file stays whole: only the descriptor is kept, until union_read_done. */
	r = node_fd(u, ref.n, &ret->fd);
	if (r < 0)
		return r;
	ret->kind = UNION_READ_FD;
	ret->size = n;
	ret->off = off;
	ret->node = TAKE_PTR(ref.n);
	return 0;
}

void union_read_done(struct union_fs *u, struct union_read *r)
{
	if (!r->node)
		return;
	node_fd_put(u, r->node);
	node_put(u, r->node);
	r->node = NULL;
}

/* ---- writing -------------------------------------------------------------------------------- */

int data_write(struct data_use *d, const void *p, size_t n, uint64_t off)
{
	return d->b ? half_write(d, p, n, off) : io_pwrite_full(d->fd, p, n, off);
}

/* What was written long ago leaves the file's privileges as they are. */
static int write_late(struct data_use *d, const void *p, size_t n, uint64_t off)
{
	struct data_kept k;
	int r = data_keep(d, &k), back;

	if (r < 0)
		return r;
	r = data_write(d, p, n, off);
	back = data_give_back(d, &k);
	return r < 0 ? r : back;
}

int union_write(struct union_fs *u, const struct union_op *op _unused_, uint64_t node,
	const void *p, size_t n, uint64_t off, unsigned int flags)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	_cleanup_data_ struct data_use d = {0};
	bool whole;
	int r;

	if (off > INT64_MAX || n > INT64_MAX - off)
		return -EFBIG;
	r = data_node(u, node, &ref.n);
	if (r == 0)
		r = data_begin(u, ref.n, true, &d);
	if (r < 0)
		return r;
	r = flags & UNION_WRITE_LATE ? write_late(&d, p, n, off) : data_write(&d, p, n, off);
	if (r == 0 && flags & UNION_WRITE_KILL_SUIDGID)
		r = data_kill_suidgid(&d);
	whole = d.b && blocks_is_whole(d.b);
	data_end(&d);
	/* The write is done, whether it is noted now that the file is whole, or the next time. */
	if (r == 0 && whole)
		(void)!data_settle(u, ref.n);
	return r;
}

/* ---- size, and all of it -------------------------------------------------------------------- */

/* The file first: a kill between the two is made up for by blocks_open. */
static int cut(struct node *n, int fd, uint64_t size)
{
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (!n->blocks)
		return 0;
	blocks_cut(n->blocks, size);
	/* As above: cut it is, and what is left may be noted later. */
	(void)!finish(n, fd);
	return 0;
}

int data_truncate(struct union_fs *u, struct node *n, uint64_t size)
{
	int fd, r;

	if (size > INT64_MAX)
		return -EFBIG;
	r = node_fd(u, n, &fd);
	if (r < 0)
		return r;
	r = data_blocks(u, n, fd);
	if (r == 0) {
		data_state_alone(u, n);
		while (data_is_held(u, n)) {
			data_state_leave(u, n);
			data_wait_unheld(u, n);
			data_state_alone(u, n);
		}
		r = cut(n, fd, size);
		data_state_leave(u, n);
	}
	node_fd_put(u, n);
	return r;
}

/* What of a file comes from the lower one changes neither its time nor its privileges. */
static int fill(struct data_use *d)
{
	struct data_kept k;
	struct timespec times[2];
	struct stat st;
	int r, back;

	if (fstat(d->fd, &st) < 0)
		return -errno;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	r = data_keep(d, &k);
	if (r < 0)
		return r;
	r = half_fill_all(d);
	back = data_give_back(d, &k);
	if (back == 0 && futimens(d->fd, times) < 0)
		back = -errno;
	return r < 0 ? r : back;
}

/* The state is shared only: reading and writing go on meanwhile. */
static int complete(struct union_fs *u, struct node *n, int fd)
{
	struct data_use d = {u, n, fd, NULL};
	int r = data_blocks(u, n, fd);

	if (r < 0)
		return r;
	data_state_share(u, n);
	d.b = n->blocks;
	r = d.b ? fill(&d) : 0;
	data_state_leave(u, n);
	return r < 0 ? r : settle_locked(u, n);
}

int data_complete(struct union_fs *u, struct node *n)
{
	int fd, r;

	if (!n->has_upper || !is_half(n))
		return 0;
	r = node_fd(u, n, &fd);
	if (r < 0)
		return r;
	r = complete(u, n, fd);
	node_fd_put(u, n);
	return r;
}

int data_before_rename(struct union_fs *u, struct node *n)
{
	if (!is_half(n) || !n->n_lowers || node_lower(u, n)->has_origin)
		return 0;
	return data_complete(u, n);
}
