/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of the upper directory as it was at one moment. In this order:
 *
 *  1. the server that has it mounted keeps changes waiting (delta_live), if there is one;
 *  2. where the file system shares blocks, it is cloned (FICLONE), which is one moment, and the
 *     clone is read;
 *  3. a lease on reading (fcntl(2), F_SETLEASE) keeps who would open it for writing waiting, where
 *     nobody has it open so;
 *  4. else it is read, and must be the same afterwards: size, time of modification and of change.
 *     Where the clock of these times goes in steps (before Linux 6.13, and on some file systems),
 *     reading begins only when it has left the step of the last change.
 *
 * In none of them is what a process writes by mmap(2) known of, but in 1.
 */
#include "delta-internal.h"
#include "util/io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>

/* By its names one after the other, so that it may be of any length; never through a symlink. */
static int open_below(int root, const char *path, int *ret)
{
	_cleanup_close_ int dir = -1;
	char name[NAME_LEN_MAX + 1];

	for (;;) {
		const char *slash = strchr(path, '/');
		const size_t n = slash ? (size_t)(slash - path) : strlen(path);
		int flags = slash ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK | O_NOCTTY;
		int fd;

		if (n > NAME_LEN_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = 0;
		fd = openat(dir < 0 ? root : dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (!slash) {
			*ret = fd;
			return 0;
		}
		close_fdp(&dir);
		dir = fd;
		path = slash + 1;
	}
}

/* -ESTALE: it was not as of one moment. */
static int let_go(struct delta *d)
{
	return d->o.live->unhold(d->o.live->ctx, TAKE_PTR(d->open.hold));
}

void delta_release(struct delta *d)
{
	struct delta_open *o = &d->open;

	if (!o->inode)
		return;
	if (o->hold)
		(void)!let_go(d);
	blocks_close(o->blocks);
	close_fdp(&o->fd);
	*o = (struct delta_open){.fd = -1};
}

/* What is gone under its name is another file's affair. */
static bool is_gone(int code)
{
	return code == -ENOENT || code == -ENOTDIR || code == -ELOOP;
}

static int hold_live(struct delta *d, const struct delta_source *src, void **ret, struct err *e)
{
	const struct delta_live *live = d->o.live;
	struct err why = {0};
	int r;

	*ret = NULL;
	if (!live || !live->hold || !src->shown)
		return 0;
	r = live->hold(live->ctx, src->shown, ret, &why);
	if (r == -EBUSY)
		return 0;
	return r < 0 ? err_set(e, r, "%s", *why.text ? why.text : err_text(r)) : 0;
}

/* 1 = the file system does not share blocks. */
static int clone_file(struct delta *d, struct delta_open *o)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!d->up->reflink || o->blocks)
		return 1;
	fd = openat(d->up->work_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ioctl(fd, FICLONE, o->fd) < 0 || fstat(fd, &st) < 0)
		return 1;
	if (st.st_size != o->before.st_size)
		return 1; /* it has grown just now: as if there were no clone */
	if (o->hold && let_go(d) < 0)
		return 1;
	close_fdp(&o->fd);
	o->fd = TAKE_FD(fd);
	o->clone = true;
	return 0;
}

/* The signal that tells of a writer is one that is ignored unless asked for. */
static bool take_lease(int fd)
{
	return fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

#define SETTLE_TRIES 100

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

#define PROBES 8

/* By writing and looking in turn, much faster than the clock's steps. */
void delta_probe_times(struct delta *d)
{
	_cleanup_close_ int fd = openat(d->up->work_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat before, st;

	if (fd < 0 || fstat(fd, &before) < 0)
		return;
	d->fine_times = true;
	for (int i = 0; i < PROBES && d->fine_times; i++) {
		if (pwrite(fd, "x", 1, 0) != 1 || fstat(fd, &st) < 0 ||
			same_time(&st.st_ctim, &before.st_ctim))
			d->fine_times = false;
		before = st;
	}
}

/* Until the clock that changes are timed by shows another time than that of the last change. */
static int settle(struct delta *d, struct delta_open *o)
{
	struct timespec now;

	o->unsettled = !d->fine_times;
	for (int tries = 0; o->unsettled && tries < SETTLE_TRIES; tries++) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		if (is_later(&now, &o->before.st_ctim)) {
			o->unsettled = false;
			break;
		}
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		if (fstat(o->fd, &o->before) < 0)
			return -errno;
	}
	return 0;
}

static int open_upper(struct delta *d, struct delta_open *o, struct err *e)
{
	const struct delta_source *src = o->source;
	int r = open_below(src->in_index ? d->up->index_fd : d->up->fd, src->path, &o->fd);

	if (r == 0 && fstat(o->fd, &o->before) < 0)
		r = -errno;
	if (is_gone(r) || (r == 0 && (o->before.st_ino != src->ino || !S_ISREG(o->before.st_mode))))
		return 1;
	if (r == 0 && src->half)
		r = blocks_open(d->up, o->fd, &o->blocks);
	if (r < 0)
		return err_sys(e, r, "cannot open '%.200s'", src->path);
	if (o->blocks) {
		r = index_inode(d->base, blocks_info(o->blocks).lower_key, &o->base, e);
		if (r == 0 && !S_ISREG(o->base.mode))
			r = err_set(
				e, -ERR_STORE, "'%.200s' is half copied from no file", src->path);
		if (r < 0)
			return r;
	}
	if (clone_file(d, o) != 0 && !o->hold) {
		o->leased = take_lease(o->fd);
		if (!o->leased && (r = settle(d, o)) < 0)
			return err_sys(e, r, "cannot look at '%.200s'", src->path);
	}
	o->size = (uint64_t)o->before.st_size;
	return 0;
}

int delta_hold(struct delta *d, struct inode *i, struct err *e)
{
	struct delta_open *o = &d->open;
	int r;

	delta_release(d);
	*o = (struct delta_open){.inode = i, .source = delta_source_of(d, i), .fd = -1};
	if (!o->source->upper) {
		r = index_inode(d->base, o->source->base_nid, &o->base, e);
		o->size = i->size;
		return r;
	}
	r = hold_live(d, o->source, &o->hold, e);
	if (r == 0)
		r = open_upper(d, o, e);
	if (r == 0) {
		i->size = o->size;
		i->mtime = o->before.st_mtim.tv_sec;
		i->mtime_nsec = (uint32_t)o->before.st_mtim.tv_nsec;
		i->chunk_bits = (uint8_t)delta_chunk_bits(d, o);
	}
	return r;
}

int delta_changed(struct delta *d, struct err *e)
{
	struct delta_open *o = &d->open;
	struct stat st;
	int r;

	if (!o->source->upper || o->clone)
		return 0;
	if (o->hold) {
		r = let_go(d);
		return r == -ESTALE ? 1
		       : r < 0      ? err_sys(e, r, "cannot let go of '%.200s'", o->source->path)
				    : 0;
	}
	if (o->unsettled)
		return 1;
	if (o->leased && fcntl(o->fd, F_GETLEASE) == F_RDLCK)
		return 0;
	if (fstat(o->fd, &st) < 0)
		return err_sys(e, -errno, "cannot look at '%.200s'", o->source->path);
	return st.st_size != o->before.st_size || !same_time(&st.st_mtim, &o->before.st_mtim) ||
	       !same_time(&st.st_ctim, &o->before.st_ctim);
}

/* Of the upper file. What lies behind its end was cut off meanwhile: that is a change. */
static int read_own(struct delta_open *o, uint8_t *p, size_t n, uint64_t off, struct err *e)
{
	size_t got;
	int r = io_pread(o->fd, p, n, off, &got);

	if (r < 0)
		return err_sys(e, r, "cannot read '%.200s'", o->source->path);
	memset(p + got, 0, n - got);
	return 0;
}

static int read_half(struct delta *d, uint8_t *p, size_t n, uint64_t off, struct err *e)
{
	struct delta_open *o = &d->open;
	const uint64_t end = off + n;
	int r = 0;

	while (r == 0 && off < end) {
		uint64_t run;
		bool own;
		size_t k;

		blocks_run(o->blocks, off, end, &own, &run);
		k = (size_t)(run - off);
		r = own ? read_own(o, p, k, off, e) : delta_base_read(d, &o->base, p, k, off, e);
		p += k;
		off = run;
	}
	return r;
}

int delta_read(struct delta *d, struct inode *i, void *p, size_t n, uint64_t off, struct err *e)
{
	struct delta_open *o = &d->open;
	int r = o->inode == i ? 0 : delta_hold(d, i, e);

	if (r)
		return r < 0 ? r
			     : err_set(e, -ERR_CONFLICT, "'%.200s' was removed while it was read",
				       o->source->path);
	if (!o->source->upper)
		return delta_base_read(d, &o->base, p, n, off, e);
	d->stats.read_bytes += n;
	return o->blocks ? read_half(d, p, n, off, e) : read_own(o, p, n, off, e);
}
