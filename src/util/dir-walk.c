/* SPDX-License-Identifier: Apache-2.0 */
#include "dir-walk.h"
#include "array.h"
#include "buf.h"
#include "dir-stack.h"

#include <fcntl.h>

struct level {
	struct buf text; /* the names, each with its NUL */
	char **names;    /* views of it, sorted */
	size_t n, at;
	size_t prefix; /* bytes of the path in front of the names */
};

struct dir_walk {
	struct dir_stack stack;
	struct level *levels;
	size_t n, room;
	struct buf path;
};

static void level_done(struct level *l)
{
	buf_done(&l->text);
	free(l->names);
}

void dir_walk_free(struct dir_walk *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		level_done(&w->levels[i]);
	free(w->levels);
	dir_stack_done(&w->stack);
	buf_done(&w->path);
	free(w);
}

static int read_names(struct level *l, int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int r = 0;

	if (!stream)
		return -errno;
	while (r == 0 && (errno = 0, d = readdir(stream))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		r = buf_add(&l->text, d->d_name, strlen(d->d_name) + 1);
		l->n++;
	}
	return r < 0 ? r : -errno;
}

static int order_of_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int sort_names(struct level *l)
{
	char *p = (char *)l->text.p;

	l->names = calloc(l->n + 1, sizeof(*l->names));
	if (!l->names)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++, p += strlen(p) + 1)
		l->names[i] = p;
	qsort(l->names, l->n, sizeof(*l->names), order_of_names);
	return 0;
}

/* Takes the descriptor over. The current path is the directory's. */
static int push(struct dir_walk *w, int fd)
{
	struct level l = {.prefix = w->n ? w->path.n + 1 : 0};
	int r = array_room(&w->levels, w->n, &w->room, sizeof(l));

	if (r == 0)
		r = read_names(&l, fd);
	if (r == 0)
		r = sort_names(&l);
	if (r == 0)
		r = dir_stack_push(&w->stack, TAKE_FD(fd));
	if (r < 0) {
		level_done(&l);
		close_fdp(&fd);
		return r;
	}
	w->levels[w->n++] = l;
	return 0;
}

int dir_walk_new(int fd, struct dir_walk **ret)
{
	_cleanup_(dir_walk_freep) struct dir_walk *w = calloc(1, sizeof(*w));
	int own, r;

	if (!w)
		return -ENOMEM;
	own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = own < 0 ? -errno : push(w, own);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

static int pop(struct dir_walk *w)
{
	_cleanup_close_ int left = -1;

	level_done(&w->levels[--w->n]);
	return dir_stack_pop(&w->stack, &left);
}

int dir_walk_next(struct dir_walk *w, struct dir_walk_entry *ret)
{
	struct level *l;
	const char *name;
	int r;

	while (w->n && w->levels[w->n - 1].at == w->levels[w->n - 1].n) {
		r = pop(w);
		if (r < 0)
			return r;
	}
	if (!w->n)
		return 0;
	l = &w->levels[w->n - 1];
	name = l->names[l->at++];
	w->path.n = l->prefix ? l->prefix - 1 : 0;
	r = l->prefix ? buf_add(&w->path, "/", 1) : 0;
	if (r == 0)
		r = buf_add(&w->path, name, strlen(name));
	if (r < 0)
		return r;
	*ret = (struct dir_walk_entry){.dirfd = dir_stack_fd(&w->stack),
		.name = name,
		.path = (const char *)w->path.p,
		.depth = w->n - 1};
	return 1;
}

int dir_walk_enter(struct dir_walk *w)
{
	const struct level *l = &w->levels[w->n - 1];
	int fd = openat(dir_stack_fd(&w->stack), l->names[l->at - 1],
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : push(w, fd);
}
