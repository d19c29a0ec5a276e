/* SPDX-License-Identifier: Apache-2.0 */
#include "container-check.h"
#include "blocks.h"
#include "container.h"
#include "look.h"
#include "format/index.h"
#include "util/dir-walk.h"

#include <fcntl.h>

struct looking {
	const struct container *container;
	struct check *check;
	struct upper *up;
	struct index *image; /* NULL: it cannot be read, which is noted elsewhere */
};

static int note(struct looking *l, const char *path, const char *what)
{
	return check_note(l->check, FINDING_CONTAINER, NULL, "container '%s': '%.200s' %s",
		l->container->id, path, what);
}

/* Marked as half copied. A bitmap that somebody changes just now is as good before as after. */
static int check_half(struct looking *l, const struct dir_walk_entry *x)
{
	_cleanup_(blocks_closep) struct blocks *b = NULL;
	_cleanup_close_ int fd =
		openat(x->dirfd, x->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct index_inode lower;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : note(l, x->path, err_text(-errno));
	r = blocks_open(l->up, fd, &b);
	if (check_is_passing(r))
		return r;
	if (r < 0)
		return note(l, x->path, "is half copied, and what tells which half is damaged");
	if (l->image && (index_inode(l->image, blocks_info(b).lower_key, &lower, NULL) < 0 ||
				!S_ISREG(lower.mode)))
		return note(l, x->path, "is half copied from a file that the image has not");
	return 0;
}

static int check_entry(struct looking *l, struct dir_walk *w, const struct dir_walk_entry *x)
{
	uint8_t mark[64];
	struct stat st;
	size_t n;
	int r;

	if (fstatat(x->dirfd, x->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* it is in use, and has gone meanwhile */
	if (S_ISDIR(st.st_mode)) {
		r = dir_walk_enter(w);
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	r = upper_mark_get(l->up, x->dirfd, x->name, OVERLAY_BLOCKS, mark, sizeof(mark), &n);
	return r == 0 || r == -ERANGE ? check_half(l, x) : 0;
}

static struct index *open_image(struct store *s, const struct container *c)
{
	_cleanup_close_ int fd = -1;
	struct index *x = NULL;

	if (store_file_open(s, STORE_IMAGE, &c->image, &fd, NULL) < 0 ||
		index_open(fd, &x, NULL) < 0)
		return NULL;
	return x;
}

static int check_upper(struct store *s, struct looking *l)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	_cleanup_(upper_look_donep) struct upper *up = NULL;
	_cleanup_(dir_walk_freep) struct dir_walk *w = NULL;
	struct dir_walk_entry x;
	struct err e = {0};
	int r = container_paths(s, l->container, &upper, &work, NULL);

	if (r == 0)
		r = upper_look(upper, work, &up, &e);
	if (check_is_passing(r))
		return r;
	if (r < 0) /* that it is missing was noted */
		return r == -ENOENT ? 0 : note(l, "upper", *e.text ? e.text : err_text(r));
	l->up = up;
	r = dir_walk_new(up->fd, &w);
	while (r == 0 && (r = dir_walk_next(w, &x)) == 1)
		r = check_entry(l, w, &x);
	return r < 0 && !check_is_passing(r) ? note(l, "upper", err_text(r)) : r;
}

int container_check(void *ctx, const struct container *container, struct check *c)
{
	_cleanup_(index_closep) struct index *image = open_image(ctx, container);
	struct looking l = {.container = container, .check = c, .image = image};

	return check_upper(ctx, &l);
}
