/* SPDX-License-Identifier: Apache-2.0 */
#include "lower-dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- files that were looked up ----------------------------------------------------------------
 */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0x9fb21c651e98df25ull;
	return x ^ (x >> 29);
}

uint64_t entry_ino(const struct lower_dir *d, const struct stat *st)
{
	/* What is mounted below the directory may have the same numbers. */
	return st->st_dev == d->dev ? st->st_ino : st->st_ino ^ (mix(st->st_dev) << 48 >> 1);
}

/* With the lock. */
static struct entry *find(struct lower_dir *d, uint64_t key)
{
	struct entry *e = d->n_heads ? d->heads[mix(key) & (d->n_heads - 1)] : NULL;

	while (e && e->key != key)
		e = e->next;
	return e;
}

struct entry *entry_find(struct lower_dir *d, uint64_t key)
{
	struct entry *e;

	pthread_mutex_lock(&d->lock);
	e = find(d, key);
	pthread_mutex_unlock(&d->lock);
	return e;
}

static int grow(struct lower_dir *d)
{
	const size_t n = d->n_heads ? d->n_heads * 2 : 256;
	struct entry **heads = calloc(n, sizeof(struct entry *));

	if (!heads)
		return d->n_heads ? 0 : -ENOMEM;
	for (size_t i = 0; i < d->n_heads; i++)
		for (struct entry *e = d->heads[i], *next; e; e = next) {
			struct entry **head = &heads[mix(e->key) & (n - 1)];

			next = e->next;
			e->next = *head;
			*head = e;
		}
	free(d->heads);
	d->heads = heads;
	d->n_heads = n;
	return 0;
}

/* Names of one file share a key, unless a copy of it could not be told to be of it. */
static bool is_same(const struct lower_dir *d, const struct entry *e, const struct entry *n)
{
	if (e->ino != n->ino || e->dev != n->dev)
		return false;
	return d->has_handles || n->type == DT_DIR ||
	       (e->parent == n->parent && strcmp(e->name, n->name) == 0);
}

static uint64_t first_key(const struct lower_dir *d, const struct entry *n, const struct stat *st)
{
	uint64_t h;

	if (d->has_handles || n->type == DT_DIR || st->st_nlink == 1)
		return entry_ino(d, st);
	h = n->parent->key;
	for (const char *p = n->name; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
	return mix(h) | (uint64_t)1 << 62;
}

int entry_make(struct lower_dir *d, struct entry *parent, const char *name, size_t len,
	const struct stat *st, struct entry **ret)
{
	struct entry *n = malloc(sizeof(*n) + len + 1), *e;
	int r = 0;

	if (!n)
		return -ENOMEM;
	*n = (struct entry){.parent = parent,
		.ino = st->st_ino,
		.dev = st->st_dev,
		.type = (uint8_t)IFTODT(st->st_mode)};
	memcpy(n->name, name, len);
	n->name[len] = '\0';
	n->key = first_key(d, n, st);
	pthread_mutex_lock(&d->lock);
	while ((e = find(d, n->key)) && !is_same(d, e, n))
		n->key++;
	if (!e && d->n_entries >= d->n_heads)
		r = grow(d);
	if (!e && r == 0) {
		struct entry **head = &d->heads[mix(n->key) & (d->n_heads - 1)];

		n->next = *head;
		*head = n;
		d->n_entries++;
		*ret = n;
		n = NULL;
	} else if (e) {
		*ret = e;
	}
	pthread_mutex_unlock(&d->lock);
	free(n);
	return r;
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

static int open_beneath(int dirfd, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

/* The names from the root down to the entry, "" for the root. */
static int path_of(const struct entry *e, struct buf *ret)
{
	size_t n = 0;
	char *p;
	int r;

	for (const struct entry *k = e; k->parent; k = k->parent)
		n += strlen(k->name) + 1;
	r = buf_add_zero(ret, n + 1);
	if (r < 0)
		return r;
	p = (char *)ret->p + n;
	for (const struct entry *k = e; k->parent; k = k->parent) {
		size_t len = strlen(k->name);

		p -= len + 1;
		memcpy(p, k->name, len);
		p[len] = k == e ? '\0' : '/';
	}
	return 0;
}

/* A path may be longer than the kernel takes at once. */
static int open_long(int dirfd, char *path, uint64_t flags, int *ret)
{
	_cleanup_close_ int at = -1;
	int fd;

	while (strlen(path) >= PATH_MAX) {
		char *cut = path + PATH_MAX - 2;

		while (cut > path && *cut != '/')
			cut--;
		*cut = '\0';
		fd = open_beneath(at < 0 ? dirfd : at, path, O_PATH | O_DIRECTORY);
		if (fd < 0)
			return -errno;
		close_fdp(&at);
		at = fd;
		path = cut + 1;
	}
	fd = open_beneath(at < 0 ? dirfd : at, *path ? path : ".", flags);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int open_new(struct lower_dir *d, struct entry *e, int *ret)
{
	const uint64_t flags = e->type == DT_DIR   ? O_PATH | O_DIRECTORY
			       : e->type == DT_REG ? O_RDONLY | O_NONBLOCK | O_NOCTTY
						   : O_PATH;
	_cleanup_buf_ struct buf path = {0};
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = path_of(e, &path);

	if (r == 0)
		r = open_long(d->fd, (char *)path.p, flags, &fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != e->ino || st.st_dev != e->dev || IFTODT(st.st_mode) != e->type)
		return -ESTALE;
	*ret = TAKE_FD(fd);
	return 0;
}

int entry_open(struct lower_dir *d, struct entry *e, struct open_file *ret)
{
	struct kept_fd *k = &d->fds[mix(e->key) % FDS_MAX];
	int old = -1, fd, r;

	pthread_mutex_lock(&d->lock);
	if (k->fd >= 0 && k->key == e->key) {
		k->users++;
		*ret = (struct open_file){k->fd, k};
		pthread_mutex_unlock(&d->lock);
		return 0;
	}
	pthread_mutex_unlock(&d->lock);
	r = open_new(d, e, &fd);
	if (r < 0)
		return r;
	*ret = (struct open_file){fd, NULL};
	pthread_mutex_lock(&d->lock);
	if (!k->users) {
		old = k->fd;
		*k = (struct kept_fd){.key = e->key, .fd = fd, .users = 1};
		ret->kept = k;
	}
	pthread_mutex_unlock(&d->lock);
	if (old >= 0)
		close(old);
	return 0;
}

void entry_put(struct lower_dir *d, struct open_file *f)
{
	if (!f->kept) {
		close(f->fd);
		return;
	}
	pthread_mutex_lock(&d->lock);
	f->kept->users--;
	pthread_mutex_unlock(&d->lock);
}

int entry_place(struct lower_dir *d, struct entry *e, struct open_file *ret, const char **ret_name)
{
	*ret_name = e->parent ? e->name : "";
	return entry_open(d, e->parent ? e->parent : e, ret);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static int stat_at(const struct lower_dir *d, int dirfd, const char *name, struct stat *ret)
{
	if (fstatat(dirfd, name, ret, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return errno == ENOENT ? 1 : -errno;
	return apply_override(d, dirfd, name, ret);
}

/* 0 = there is a file ".wh.NAME" */
static int find_whiteout_file(int dirfd, const char *name)
{
	char wh[sizeof(WHITEOUT_PREFIX) + 255];
	struct stat st;

	if (strlen(name) + strlen(WHITEOUT_PREFIX) > 255)
		return 1;
	strcpy(stpcpy(wh, WHITEOUT_PREFIX), name);
	if (fstatat(dirfd, wh, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -errno;
	return 0;
}

static int lookup_at(struct lower_dir *d, struct entry *dir, int dirfd, const char *name,
	size_t len, struct lower_name *ret)
{
	struct stat raw, st;
	struct entry *e;
	int r = 0;

	if (fstatat(dirfd, name, &raw, AT_SYMLINK_NOFOLLOW) < 0) {
		r = errno == ENOENT ? find_whiteout_file(dirfd, name) : -errno;
		if (r == 0)
			*ret = (struct lower_name){.type = DT_CHR, .whiteout = true};
		return r;
	}
	st = raw;
	if (overlay_is_whiteout(&raw)) {
		*ret = (struct lower_name){.type = DT_CHR, .whiteout = true};
		return 0;
	}
	r = apply_override(d, dirfd, name, &st);
	if (r == 0)
		r = entry_make(d, dir, name, len, &raw, &e);
	if (r == 0)
		*ret = (struct lower_name){.key = e->key,
			.ino = entry_ino(d, &raw),
			.type = (uint8_t)IFTODT(st.st_mode)};
	return r;
}

static int dir_lookup(
	struct lower *l, uint64_t key, const char *name, size_t len, struct lower_name *ret)
{
	struct lower_dir *d = dir_of(l);
	struct entry *dir = entry_find(d, key);
	struct lower_name found;
	struct open_file f;
	char own[256];
	int r;

	if (!dir || len > 255)
		return dir ? -ENAMETOOLONG : -ESTALE;
	if (len >= strlen(WHITEOUT_PREFIX) && memcmp(name, WHITEOUT_PREFIX, 4) == 0)
		return 1;
	memcpy(own, name, len);
	own[len] = '\0';
	r = entry_open(d, dir, &f);
	if (r < 0)
		return r;
	r = lookup_at(d, dir, f.fd, own, len, &found);
	entry_put(d, &f);
	if (r)
		return r;
	found.name = name;
	found.len = len;
	*ret = found;
	return 0;
}

static int dir_stat(struct lower *l, uint64_t key, struct stat *ret)
{
	struct lower_dir *d = dir_of(l);
	struct entry *e = entry_find(d, key);
	struct open_file f;
	const char *name;
	struct stat st;
	int r = e ? entry_place(d, e, &f, &name) : -ESTALE;

	if (r < 0)
		return r;
	r = stat_at(d, f.fd, name, &st);
	entry_put(d, &f);
	if (r)
		return r < 0 ? r : -ESTALE;
	if (st.st_ino != e->ino || st.st_dev != e->dev)
		return -ESTALE;
	st.st_ino = entry_ino(d, &st);
	*ret = st;
	return 0;
}

static int dir_readlink(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n)
{
	struct lower_dir *d = dir_of(l);
	struct entry *e = entry_find(d, key);
	struct open_file f;
	const char *name;
	ssize_t k;
	int r = e ? entry_place(d, e, &f, &name) : -ESTALE;

	if (r < 0)
		return r;
	k = readlinkat(f.fd, name, p, n);
	r = k < 0 ? -errno : 0;
	entry_put(d, &f);
	if (r == 0)
		*ret_n = (size_t)k;
	return r;
}

/* ---- content ----------------------------------------------------------------------------------
 */

static int open_regular(struct lower_dir *d, uint64_t key, struct open_file *ret)
{
	struct entry *e = entry_find(d, key);

	if (!e)
		return -ESTALE;
	if (e->type != DT_REG)
		return e->type == DT_DIR ? -EISDIR : -EINVAL;
	return entry_open(d, e, ret);
}

static int dir_read(struct lower *l, uint64_t key, void *p, size_t n, uint64_t off,
	struct lower_content *pieces _unused_, size_t *ret_n)
{
	struct open_file f;
	size_t done = 0;
	int r = off > INT64_MAX ? -EINVAL : open_regular(dir_of(l), key, &f);

	if (r < 0)
		return r;
	while (r == 0 && done < n) {
		ssize_t k = pread(f.fd, (char *)p + done, n - done, (off_t)(off + done));

		if (k == 0)
			break;
		if (k < 0 && errno != EINTR)
			r = -errno;
		else if (k > 0)
			done += (size_t)k;
	}
	entry_put(dir_of(l), &f);
	if (r == 0)
		*ret_n = done;
	return r;
}

static int dir_seek(struct lower *l, uint64_t key, uint64_t off, bool hole, uint64_t *ret)
{
	struct open_file f;
	off_t at;
	int r = off > INT64_MAX ? -ENXIO : open_regular(dir_of(l), key, &f);

	if (r < 0)
		return r;
	at = lseek(f.fd, (off_t)off, hole ? SEEK_HOLE : SEEK_DATA);
	r = at < 0 ? -errno : 0;
	entry_put(dir_of(l), &f);
	if (r == 0)
		*ret = (uint64_t)at;
	return r;
}

static int dir_open(struct lower *l, uint64_t key, int *ret_fd)
{
	struct entry *e = entry_find(dir_of(l), key);

	if (!e)
		return -ESTALE;
	return e->type == DT_REG ? open_new(dir_of(l), e, ret_fd) : 1;
}

/* ---- the layer --------------------------------------------------------------------------------
 */

static void dir_close(struct lower *l)
{
	struct lower_dir *d = dir_of(l);

	for (size_t i = 0; i < FDS_MAX; i++)
		if (d->fds[i].fd >= 0)
			close(d->fds[i].fd);
	for (size_t i = 0; i < d->n_heads; i++)
		for (struct entry *e = d->heads[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	free(d->heads);
	dir_lists_free(d);
	if (d->fd >= 0)
		close(d->fd);
	if (d->handle_fd >= 0)
		close(d->handle_fd);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static const struct lower_ops dir_ops = {
	.lookup = dir_lookup,
	.stat = dir_stat,
	.readdir = dir_readdir,
	.dir_marks = dir_get_marks,
	.readlink = dir_readlink,
	.read = dir_read,
	.seek = dir_seek,
	.getxattr = dir_getxattr,
	.listxattr = dir_listxattr,
	.open = dir_open,
	.origin = dir_origin,
	.find_origin = dir_find_origin,
	.close = dir_close,
};

static int open_root(struct lower_dir *d, const char *path)
{
	struct entry *e;
	struct stat st;
	int r;

	d->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0 || fstat(d->fd, &st) < 0)
		return -errno;
	d->dev = d->l.dev = st.st_dev;
	d->has_handles = find_handles(d->fd, d->l.uuid);
	d->override = find_override(d->fd);
	if (d->has_handles)
		d->handle_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = entry_make(d, NULL, "", 0, &st, &e);
	if (r == 0)
		d->l.root = e->key;
	return r;
}

int lower_dir_open(const char *path, bool user, struct lower **ret, struct err *e)
{
	struct lower_dir *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_sys(e, -ENOMEM, "cannot open %s", path);
	d->l.ops = &dir_ops;
	d->user = user;
	d->fd = d->handle_fd = -1;
	for (size_t i = 0; i < FDS_MAX; i++)
		d->fds[i].fd = -1;
	pthread_mutex_init(&d->lock, NULL);
	r = open_root(d, path);
	if (r < 0) {
		dir_close(&d->l);
		return err_sys(e, r, "cannot open %s", path);
	}
	*ret = &d->l;
	return 0;
}
