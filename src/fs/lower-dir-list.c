/* SPDX-License-Identifier: Apache-2.0 */
#include "lower-dir.h"
#include "util/array.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

static void list_free(struct dir_list *l)
{
	if (!l)
		return;
	buf_done(&l->names);
	free(l->v);
	free(l);
}

void dir_lists_free(struct lower_dir *d)
{
	for (size_t i = 0; i < LISTS_MAX; i++)
		list_free(d->lists[i]);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static int add(struct dir_list *l, const char *name, const struct dir_name *n)
{
	int r = array_room(&l->v, l->n, &l->room, sizeof(*l->v));

	if (r == 0) {
		l->v[l->n] = *n;
		l->v[l->n].at = l->names.n;
		r = buf_add(&l->names, name, strlen(name) + 1);
	}
	if (r == 0)
		l->n++;
	return r;
}

static int add_file(struct lower_dir *d, struct dir_list *l, int dirfd, const struct dirent *e)
{
	struct dir_name n = {.ino = e->d_ino, .type = e->d_type};
	struct stat st;

	/* A regular file may be said to be something else. */
	if (e->d_type == DT_UNKNOWN || e->d_type == DT_CHR ||
		(d->override && e->d_type == DT_REG)) {
		int r;

		if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		n.ino = entry_ino(d, &st);
		n.whiteout = overlay_is_whiteout(&st);
		r = n.whiteout ? 0 : apply_override(d, dirfd, e->d_name, &st);
		if (r < 0)
			return r;
		n.type = (uint8_t)IFTODT(st.st_mode);
	}
	return add(l, e->d_name, &n);
}

static int add_entry(struct lower_dir *d, struct dir_list *l, int dirfd, const struct dirent *e)
{
	static const struct dir_name whiteout = {.type = DT_CHR, .whiteout = true};
	const char *name = e->d_name;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) != 0)
		return add_file(d, l, dirfd, e);
	name += strlen(WHITEOUT_PREFIX);
	if (!*name || strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
		return 0;
	return add(l, name, &whiteout);
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct dir_list *l = ctx;
	const struct dir_name *x = a, *y = b;
	int c = strcmp((char *)l->names.p + x->at, (char *)l->names.p + y->at);

	return c ? c : x->whiteout - y->whiteout; /* a file, and its whiteout: the file counts */
}

static void sort(struct dir_list *l)
{
	size_t n = 0;

	if (l->n)
		qsort_r(l->v, l->n, sizeof(*l->v), compare, l);
	for (size_t i = 0; i < l->n; i++)
		if (!n || strcmp((char *)l->names.p + l->v[n - 1].at,
				  (char *)l->names.p + l->v[i].at) != 0)
			l->v[n++] = l->v[i];
	l->n = n;
}

static int read_list(struct lower_dir *d, struct entry *dir, struct dir_list *l)
{
	_cleanup_(closedirp) DIR *s = NULL;
	struct open_file f;
	struct dirent *e;
	int fd, r = entry_open(d, dir, &f);

	if (r < 0)
		return r;
	fd = openat(f.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	entry_put(d, &f);
	if (r < 0)
		return r;
	s = fdopendir(fd);
	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (errno = 0, e = readdir(s)))
		r = add_entry(d, l, dirfd(s), e);
	if (r == 0 && errno)
		r = -errno;
	sort(l);
	return r;
}

/* ---- keeping ----------------------------------------------------------------------------------
 */

/* With the lock: the list of a directory, or the place for one. */
static struct dir_list **find_place(struct lower_dir *d, uint64_t key)
{
	struct dir_list **oldest = NULL;

	for (size_t i = 0; i < LISTS_MAX; i++)
		if (d->lists[i] && d->lists[i]->key == key)
			return &d->lists[i];
	for (size_t i = 0; i < LISTS_MAX; i++) {
		struct dir_list **l = &d->lists[i];

		if (!*l)
			return l;
		if (!(*l)->users && (!oldest || (*l)->used < (*oldest)->used))
			oldest = l;
	}
	return oldest;
}

static struct dir_list *use_kept(struct lower_dir *d, uint64_t key)
{
	struct dir_list **l, *ret = NULL;

	pthread_mutex_lock(&d->lock);
	l = find_place(d, key);
	if (l && *l && (*l)->key == key) {
		ret = *l;
		ret->users++;
		ret->used = ++d->clock;
	}
	pthread_mutex_unlock(&d->lock);
	return ret;
}

/* 1 = there is no place for it: it is the caller's to free. */
static int keep(struct lower_dir *d, struct dir_list *l)
{
	struct dir_list **place, *old = NULL;

	pthread_mutex_lock(&d->lock);
	place = find_place(d, l->key);
	if (place && *place && ((*place)->key == l->key || (*place)->users))
		place = NULL;
	if (place) {
		old = *place;
		*place = l;
		l->users = 1;
		l->used = ++d->clock;
	}
	pthread_mutex_unlock(&d->lock);
	list_free(old);
	return place ? 0 : 1;
}

static int get_list(struct lower_dir *d, uint64_t key, struct dir_list **ret, bool *ret_kept)
{
	struct entry *dir = entry_find(d, key);
	struct dir_list *l;
	int r;

	*ret_kept = true;
	*ret = use_kept(d, key);
	if (*ret)
		return 0;
	if (!dir || dir->type != DT_DIR)
		return dir ? -ENOTDIR : -ESTALE;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->key = key;
	r = read_list(d, dir, l);
	if (r < 0) {
		list_free(l);
		return r;
	}
	*ret_kept = keep(d, l) == 0;
	*ret = l;
	return 0;
}

int dir_readdir(struct lower *l, uint64_t dir, uint64_t *pos, struct lower_name *ret)
{
	static _Thread_local char name[256];
	struct lower_dir *d = dir_of(l);
	struct dir_list *list;
	bool kept;
	int r = get_list(d, dir, &list, &kept);

	if (r < 0)
		return r;
	if (*pos < list->n) {
		const struct dir_name *n = &list->v[*pos];

		strcpy(name, (char *)list->names.p + n->at);
		*ret = (struct lower_name){.name = name,
			.len = strlen(name),
			.ino = n->ino,
			.type = n->type,
			.whiteout = n->whiteout};
		++*pos;
		r = 1;
	}
	if (kept) {
		pthread_mutex_lock(&d->lock);
		list->users--;
		pthread_mutex_unlock(&d->lock);
	} else {
		list_free(list);
	}
	return r;
}
