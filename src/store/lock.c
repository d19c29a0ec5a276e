/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include <endian.h>
#include <fcntl.h>

int lock_take(struct store *s, enum lock_space space, uint64_t number, bool exclusive, bool wait,
	struct lock *ret, struct err *e)
{
	_cleanup_close_ int fd = openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock fl = {
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)((uint64_t)space << 60 | (number & ((1ull << 60) - 1))),
		.l_len = 1,
	};

	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s/lock", s->path);
	while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl) < 0) {
		if (!wait && (errno == EAGAIN || errno == EACCES))
			return 1;
		if (errno != EINTR)
			return err_sys(e, -errno, "cannot lock %s/lock", s->path);
	}
	ret->fd = TAKE_FD(fd);
	return 0;
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
