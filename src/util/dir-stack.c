/* SPDX-License-Identifier: Apache-2.0 */
#include "dir-stack.h"
#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define OPEN_MAX_DIRS ((size_t)64)

void dir_stack_done(struct dir_stack *s)
{
	while (s->n)
		close_fdp(&s->v[--s->n].fd);
	free(s->v);
	*s = (struct dir_stack){0};
}

int dir_stack_push(struct dir_stack *s, int fd)
{
	_cleanup_close_ int taken = fd;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (array_room(&s->v, s->n, &s->room, sizeof(*s->v)) < 0)
		return -ENOMEM;
	if (s->n >= OPEN_MAX_DIRS) {
		struct dir_place *outer = &s->v[s->n - OPEN_MAX_DIRS];

		close_fdp(&outer->fd);
		outer->fd = -1;
	}
	s->v[s->n++] = (struct dir_place){.fd = TAKE_FD(taken), .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

static int reopen(struct dir_place *outer, int inner_fd)
{
	_cleanup_close_ int fd = openat(inner_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != outer->dev || st.st_ino != outer->ino)
		return -ESTALE;
	outer->fd = TAKE_FD(fd);
	return 0;
}

int dir_stack_pop(struct dir_stack *s, int *ret_fd)
{
	struct dir_place *d = &s->v[s->n - 1];
	int r = 0;

	if (s->n > 1 && d[-1].fd < 0)
		r = reopen(&d[-1], d->fd);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(d->fd);
	s->n--;
	return 0;
}

int dir_stack_fd(const struct dir_stack *s)
{
	return s->v[s->n - 1].fd;
}
