/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"
#include "util/io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* What an open file is: fuse_open_out.fh. */
enum { FH_UNCOUNTED, FH_PLAIN, FH_PASSTHROUGH };

/* ---- opens, where they are messages ------------------------------------------------------- */

/* The kernel's id for the file that all opens of the node go to. */
static int backing_of(struct fuse_request *q, uint64_t node, int fd, int32_t *ret)
{
	struct node_record *rec = session_node(q->f->session, node);
	struct wire_backing_map map = {.fd = fd};
	int id;

	if (!rec)
		return -ESTALE;
	pthread_mutex_lock(&q->f->opens);
	id = rec->backing;
	if (!id) {
		id = ioctl(q->f->fd, WIRE_BACKING_OPEN, &map);
		if (id > 0)
			rec->backing = id;
		else
			id = id < 0 ? -errno : -EIO;
	}
	pthread_mutex_unlock(&q->f->opens);
	*ret = id;
	return id > 0 ? 0 : id;
}

static void forget_open(struct fuse_server *f, uint64_t node, bool passthrough)
{
	struct node_record *rec = session_node(f->session, node);
	uint32_t id;

	pthread_mutex_lock(&f->opens);
	union_release(f->u, node, passthrough);
	if (rec && rec->backing && !rec->passthrough_opens) {
		id = (uint32_t)rec->backing;
		rec->backing = 0;
		if (ioctl(f->fd, WIRE_BACKING_CLOSE, &id) < 0)
			id = 0; /* it lasts as long as the connection */
	}
	pthread_mutex_unlock(&f->opens);
}

/* Passthrough needs CAP_SYS_ADMIN: without it all opens go through the server, alike. */
static int open_passthrough(
	struct fuse_request *q, uint64_t node, int fd, struct wire_open_out *ret)
{
	int32_t id = 0;
	int r = q->f->no_backing ? -EPERM : backing_of(q, node, fd, &id);

	*ret = (struct wire_open_out){.fh = FH_PASSTHROUGH, .open_flags = FOPEN_KEEP_CACHE};
	if (r == -EPERM || r == -EOPNOTSUPP || r == -ENOTTY) {
		q->f->no_backing = true;
		return 0;
	}
	if (r < 0) {
		forget_open(q->f, node, true);
		return r;
	}
	ret->open_flags = WIRE_FOPEN_PASSTHROUGH;
	ret->backing_id = id;
	return 0;
}

/* One that comes again after a kill has been counted, if its note says so: the second time is taken
 * back. (Noted after it was counted: one open too many only keeps a file open.) */
static void count_once(struct fuse_request *q, uint64_t node, bool passthrough)
{
	uint64_t v;

	if (q->op.resent && session_note_find(q->f->session, q->op.unique, &v) == 0 && v == node)
		union_release(q->f->u, node, passthrough);
	else
		session_note(q->f->session, q->op.unique, node);
}

static int open_node(
	struct fuse_request *q, uint64_t node, uint32_t flags, struct wire_open_out *ret)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	_cleanup_close_ int fd = -1;
	int r = union_passthrough(q->f->u, &q->op, node, write, &fd);

	if (r < 0)
		return r;
	count_once(q, node, fd >= 0);
	if (fd >= 0)
		return open_passthrough(q, node, fd, ret);
	*ret = (struct wire_open_out){.fh = FH_PLAIN, .open_flags = FOPEN_KEEP_CACHE};
	return 0;
}

static bool opens_are_messages(const struct fuse_server *f)
{
	return f->options.mode == FUSE_PASSTHROUGH_FILES;
}

int fuse_do_open(struct fuse_request *q)
{
	const struct fuse_open_in *in = q->arg;
	struct wire_open_out out;
	int r;

	if (!opens_are_messages(q->f))
		return -ENOSYS; /* the kernel does not ask again */
	if ((in->flags & O_ACCMODE) != O_RDONLY && !q->f->options.writable)
		return -EROFS;
	r = open_node(q, q->h->nodeid, in->flags, &out);
	if (r == 0)
		fuse_reply(q, &out, sizeof(out));
	session_note_remove(q->f->session, q->op.unique);
	return r;
}

static int reply_created(
	struct fuse_request *q, const struct union_entry *e, const struct wire_open_out *o)
{
	struct fuse_entry_out entry;
	struct iovec v[3] = {[1] = {&entry, sizeof(entry)}, {(void *)o, sizeof(*o)}};

	fuse_fill_entry(e, &entry);
	return fuse_reply_iov(q, v, 3);
}

static int open_created(struct fuse_request *q, const struct union_entry *e, uint32_t flags)
{
	struct wire_open_out out = {.fh = FH_UNCOUNTED, .open_flags = FOPEN_KEEP_CACHE};
	int r = opens_are_messages(q->f) ? open_node(q, e->node, flags, &out) : 0;

	if (r == 0)
		r = reply_created(q, e, &out);
	else
		union_forget(q->f->u, e->node, 1);
	session_note_remove(q->f->session, q->op.unique);
	return r;
}

/* Where opens are no messages, neither is this: MKNOD does, and spares the RELEASE. */
int fuse_do_create(struct fuse_request *q)
{
	const struct fuse_create_in *in = q->arg;
	struct union_entry e;
	const char *name;
	int r;

	if (!opens_are_messages(q->f))
		return -ENOSYS;
	r = fuse_take_name(&q->in, &name);
	if (r < 0)
		return r;
	q->op.umask = in->umask;
	r = union_mknod(q->f->u, &q->op, q->h->nodeid, name, S_IFREG | (in->mode & 07777), 0, &e);
	return r < 0 ? r : open_created(q, &e, in->flags);
}

int fuse_do_tmpfile(struct fuse_request *q)
{
	const struct fuse_create_in *in = q->arg;
	struct union_entry e;
	int r;

	q->op.umask = in->umask;
	r = union_tmpfile(q->f->u, &q->op, q->h->nodeid, S_IFREG | (in->mode & 07777), &e);
	return r < 0 ? r : open_created(q, &e, in->flags);
}

/* One that comes again after a kill must not count twice; one too few only keeps a file open. */
static void release_once(struct fuse_request *q, bool passthrough)
{
	uint64_t v;

	if (q->op.resent && session_note_find(q->f->session, q->op.unique, &v) == 0) {
		session_note_remove(q->f->session, q->op.unique);
		return;
	}
	session_note(q->f->session, q->op.unique, 1);
	forget_open(q->f, q->h->nodeid, passthrough);
}

int fuse_do_release(struct fuse_request *q)
{
	const struct fuse_release_in *in = q->arg;

	if (in->fh != FH_UNCOUNTED)
		release_once(q, in->fh == FH_PASSTHROUGH);
	fuse_reply(q, NULL, 0);
	if (in->fh != FH_UNCOUNTED)
		session_note_remove(q->f->session, q->op.unique);
	return 0;
}

int fuse_do_opendir(struct fuse_request *q)
{
	(void)q;
	return -ENOSYS;
}

int fuse_do_releasedir(struct fuse_request *q)
{
	return fuse_reply(q, NULL, 0);
}

/* ---- content ------------------------------------------------------------------------------ */

/* The pages are there when the kernel copies them: see fuse-internal.h, and a file that was cut
 * short is an error here instead of a reply half written. */
static int populate(const struct iovec *v)
{
	const uintptr_t page = 4095, begin = (uintptr_t)v->iov_base & ~page;
	size_t n = (((uintptr_t)v->iov_base + v->iov_len + page) & ~page) - begin;

	if (!v->iov_len || madvise((void *)begin, n, MADV_POPULATE_READ) == 0)
		return 0;
	return errno == EINVAL ? 0 : -EIO; /* EINVAL: Linux before 5.14 */
}

static int reply_pieces(struct fuse_request *q, const struct union_read *x)
{
	struct iovec v[1 + LOWER_PIECES_MAX];
	int r;

	for (int i = 0; i < x->pieces.n; i++) {
		r = populate(&x->pieces.pieces[i]);
		if (r < 0)
			return r;
		v[1 + i] = x->pieces.pieces[i];
	}
	return fuse_reply_iov(q, v, 1 + x->pieces.n);
}

static int reply_fd(struct fuse_request *q, const struct union_read *x)
{
	size_t n;
	int r = io_pread(x->fd, q->w->out, x->size, x->off, &n);

	return r < 0 ? r : fuse_reply(q, q->w->out, n);
}

int fuse_do_read(struct fuse_request *q)
{
	const struct fuse_read_in *in = q->arg;
	size_t n = in->size < FUSE_BUFFER_SIZE ? in->size : FUSE_BUFFER_SIZE;
	struct union_read x = {0};
	int r = union_read(q->f->u, q->h->nodeid, q->w->out, n, in->offset, &x);

	if (r < 0)
		return r;
	if (x.kind == UNION_READ_PIECES)
		r = reply_pieces(q, &x);
	else if (x.kind == UNION_READ_FD)
		r = reply_fd(q, &x);
	else
		r = fuse_reply(q, q->w->out, x.size);
	union_read_done(q->f->u, &x);
	return r;
}

int fuse_do_write(struct fuse_request *q)
{
	const struct fuse_write_in *in = q->arg;
	const bool cached = in->write_flags & FUSE_WRITE_CACHE;
	/* Without that cache it is a mapping that was written to, and the time is ours to set. */
	const bool keeps_time = cached && q->f->agreed->flags & FUSE_WRITEBACK_CACHE;
	const bool kill = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
	struct fuse_write_out out = {.size = in->size};
	const uint8_t *p = bytes_take(&q->in, in->size);
	int r = p ? 0 : -EINVAL;

	if (r == 0 && keeps_time)
		r = fuse_times_keep(q);
	if (r == 0)
		r = union_write(q->f->u, &q->op, q->h->nodeid, p, in->size, in->offset,
			(kill ? UNION_WRITE_KILL_SUIDGID : 0u) | (cached ? UNION_WRITE_LATE : 0u));
	if (r == 0 && keeps_time)
		r = fuse_times_restore(q);
	return r < 0 ? r : fuse_reply(q, &out, sizeof(out));
}

/* If it is not asked for, the kernel is told so once (the pages are written to us all the same). */
int fuse_do_fsync(struct fuse_request *q)
{
	const struct fuse_fsync_in *in = q->arg;
	int r;

	if (!q->f->options.sync)
		return -ENOSYS;
	r = union_fsync(q->f->u, q->h->nodeid, in->fsync_flags & FUSE_FSYNC_FDATASYNC);
	return r < 0 ? r : fuse_reply(q, NULL, 0);
}

int fuse_do_syncfs(struct fuse_request *q)
{
	int r = q->f->options.sync ? union_fsync(q->f->u, UNION_ROOT, false) : 0;

	return r < 0 ? r : fuse_reply(q, NULL, 0);
}

int fuse_do_fallocate(struct fuse_request *q)
{
	const struct fuse_fallocate_in *in = q->arg;
	int r = union_fallocate(
		q->f->u, &q->op, q->h->nodeid, (int)in->mode, in->offset, in->length);

	return r < 0 ? r : fuse_reply(q, NULL, 0);
}

int fuse_do_lseek(struct fuse_request *q)
{
	const struct fuse_lseek_in *in = q->arg;
	struct fuse_lseek_out out = {0};
	int r;

	/* What was written may still be the kernel's alone, which does not send it first: a hole
	 * that we told of would be lost data to cp. ENOSYS: all is data. */
	if (q->f->options.writable && q->f->options.mode == FUSE_CACHED)
		return -ENOSYS;
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	r = union_lseek(q->f->u, q->h->nodeid, in->offset, (int)in->whence, &out.offset);
	return r < 0 ? r : fuse_reply(q, &out, sizeof(out));
}

#define COPY_MAX ((uint64_t)1 << 30) /* the reply's size has 32 bits */

int fuse_do_copy_file_range(struct fuse_request *q)
{
	const struct fuse_copy_file_range_in *in = q->arg;
	struct fuse_write_out out = {0};
	size_t n = in->len < COPY_MAX ? (size_t)in->len : COPY_MAX, done = 0;
	int r;

	if (in->flags)
		return -EINVAL;
	r = union_copy_range(
		q->f->u, &q->op, q->h->nodeid, in->off_in, in->nodeid_out, in->off_out, n, &done);
	out.size = (uint32_t)done;
	return r < 0 ? r : fuse_reply(q, &out, sizeof(out));
}
