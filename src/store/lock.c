/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/random.h>

static struct flock byte_of(enum lock_space space, uint64_t number, bool exclusive)
{
	return (struct flock){
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)((uint64_t)space << 60 | (number & ((1ull << 60) - 1))),
		.l_len = 1,
	};
}

static int open_lock(struct store *s, int *ret_fd, struct err *e)
{
	*ret_fd = openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? err_sys(e, -errno, "cannot open %s/lock", s->path) : 0;
}

static int take(struct store *s, struct flock fl, bool wait, struct lock *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = open_lock(s, &fd, e);

	if (r < 0)
		return r;
	while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl) < 0) {
		if (!wait && (errno == EAGAIN || errno == EACCES))
			return 1;
		if (errno != EINTR)
			return err_sys(e, -errno, "cannot lock %s/lock", s->path);
	}
	ret->fd = TAKE_FD(fd);
	return 0;
}

int lock_take(struct store *s, enum lock_space space, uint64_t number, bool exclusive, bool wait,
	struct lock *ret, struct err *e)
{
	return take(s, byte_of(space, number, exclusive), wait, ret, e);
}

int lock_test(struct store *s, enum lock_space space, uint64_t number, struct err *e)
{
	struct flock fl = byte_of(space, number, true);
	_cleanup_close_ int fd = -1;
	int r = open_lock(s, &fd, e);

	if (r < 0)
		return r;
	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return err_sys(e, -errno, "cannot test %s/lock", s->path);
	return fl.l_type != F_UNLCK;
}

int lock_session(struct store *s, uint64_t *ret_first, struct lock *ret, struct err *e)
{
	struct flock fl;
	uint64_t first;
	int r;

	do {
		if (getrandom(&first, sizeof(first), 0) != sizeof(first))
			return err_sys(e, -errno, "cannot begin a session");
		first = (first >> 4) / LOCK_SESSION_NUMBERS * LOCK_SESSION_NUMBERS;
		fl = byte_of(LOCK_SESSION, first, true);
		fl.l_len = LOCK_SESSION_NUMBERS;
		r = take(s, fl, false, ret, e);
	} while (r == 1);
	if (r == 0)
		*ret_first = first;
	return r;
}

void lock_release(struct lock *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

uint64_t lock_number(const struct digest *d)
{
	uint64_t n;

	memcpy(&n, d->b, sizeof(n));
	return be64toh(n) >> 4;
}
