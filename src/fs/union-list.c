/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing directories. Where one goes on:
 *
 *   0, 1           in front of ".", ".."
 *   2 + ...        in the lower layers: the place's number and 52 bits of its own position. A name
 *                  that is in the upper directory, too, is shown here, so that being copied up
 *                  does not move it
 *   2^62 + ...     names that only the upper directory has, by a hash of the name: so a name has
 *                  its place whatever comes, goes or is replaced by another file
 *
 * None of it is known to the process alone: another one goes on where one was killed.
 */
#include "node-table.h"
#include "util/array.h"
#include "util/buf.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define UPPER_OFF ((uint64_t)1 << 62)
#define POS_BITS  52

struct upper_name {
	uint64_t hash;
	size_t at; /* in the names */
	uint64_t ino;
	uint8_t type;
	bool whiteout;
};

/* The names of the directory in the upper one, sorted by their hashes. */
struct listing {
	struct buf names;
	struct upper_name *v;
	size_t n, room;
	bool read_up; /* to `end`: nothing is here any more */
	uint64_t end;
};

static void listing_clear(struct listing *l)
{
	buf_done(&l->names);
	free(l->v);
	*l = (struct listing){0};
}

void listing_free(struct listing *l)
{
	if (!l)
		return;
	listing_clear(l);
	free(l);
}

static uint64_t hash_name(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
	h = (h ^ (h >> 32)) * 0x9fb21c651e98df25ull;
	return (h ^ (h >> 29)) & (UPPER_OFF - 1);
}

static int compare(const void *a, const void *b)
{
	const struct upper_name *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static int add_upper_name(struct listing *l, int fd, const struct dirent *d)
{
	struct upper_name n = {.at = l->names.n, .ino = d->d_ino, .type = d->d_type};
	const size_t len = strlen(d->d_name);
	struct stat st;
	int r;

	if (d->d_name[0] == '.' && (len == 1 || (len == 2 && d->d_name[1] == '.')))
		return 0;
	if (d->d_type == DT_UNKNOWN || d->d_type == DT_CHR) {
		if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		n.type = (uint8_t)IFTODT(st.st_mode);
		n.whiteout = overlay_is_whiteout(&st);
	}
	n.hash = hash_name(d->d_name, len);
	r = buf_add(&l->names, d->d_name, len + 1);
	if (r == 0)
		r = array_room(&l->v, l->n, &l->room, sizeof(*l->v));
	if (r == 0)
		l->v[l->n++] = n;
	return r;
}

static int read_upper(struct union_fs *u, struct node *dir, struct listing *l)
{
	_cleanup_(closedirp) DIR *d = NULL;
	_cleanup_close_ int fd = -1;
	struct dirent *e;
	int at, r = node_fd(u, dir, &at);

	if (r < 0)
		return r;
	fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	node_fd_put(u, dir);
	d = r == 0 ? fdopendir(fd) : NULL;
	if (!d)
		return r < 0 ? r : -errno;
	fd = -1;
	while (r == 0 && (errno = 0, e = readdir(d)))
		r = add_upper_name(l, dirfd(d), e);
	if (r == 0 && errno)
		r = -errno;
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare);
	return r;
}

static const struct upper_name *find_upper_name(
	const struct listing *l, const char *name, size_t len)
{
	const uint64_t hash = hash_name(name, len);
	size_t lo = 0, hi = l ? l->n : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; l && lo < l->n && l->v[lo].hash == hash; lo++) {
		const char *s = (char *)l->names.p + l->v[lo].at;

		if (strlen(s) == len && memcmp(s, name, len) == 0)
			return &l->v[lo];
	}
	return NULL;
}

/* ---- giving names -----------------------------------------------------------------------------
 */

struct list {
	struct union_fs *u;
	struct node *dir;
	struct listing *upper; /* NULL: it is not in the upper directory */
	bool plus;
	union_fill fill;
	void *ctx;
	uint64_t last; /* the last place that was given */
};

/* 1 = there is no room for it. */
static int give(struct list *l, const struct union_name *n)
{
	if (l->fill(l->ctx, n))
		return 1;
	l->last = n->next;
	return 0;
}

static int give_dots(struct list *l, uint64_t off)
{
	struct union_name n = {
		.name = ".", .len = 1, .ino = l->dir->ino, .type = DT_DIR, .next = 1};
	struct union_entry none = {0};
	int r = 0;

	n.entry = l->plus ? &none : NULL;
	if (off == 0)
		r = give(l, &n);
	n.name = "..";
	n.len = 2;
	n.next = 2;
	if (l->dir->parent)
		n.ino = l->dir->parent->ino;
	return r == 0 && off <= 1 ? give(l, &n) : r;
}

/* Looks for the node, too. */
static int give_plus(struct list *l, struct union_name *n, const char *name)
{
	struct union_fs *u = l->u;
	struct union_entry entry = {0};
	struct node *node = NULL;
	int r;

	do {
		_cleanup_found_ struct found f = {0};

		r = layers_find(u, l->dir, name, n->len, &f);
		entry.st = f.stat;
		if (r == 0)
			r = node_find(u, l->dir, name, n->len, &f, &node);
	} while (r == -EAGAIN);
	if (r == -ENOMEM || r == -ENFILE || r == -EMFILE)
		return r;
	if (r == 1)
		return 0; /* it has gone */
	if (r == 0) {
		node_stat_show(u, node, &entry.st);
		entry.node = node->id;
		n->ino = node->ino;
		n->type = (uint8_t)IFTODT(node->mode);
	} else { /* it has a name, but what it is cannot be told */
		entry = (struct union_entry){0};
	}
	n->entry = &entry;
	r = give(l, n);
	if (entry.node && r)
		nodes_forget(u, entry.node, 1);
	node_put(u, node);
	return r;
}

/* What is in the upper directory has its inode number from where it was copied from. */
static int give_upper(struct list *l, struct union_name *n, const char *name)
{
	_cleanup_found_ struct found f = {0};
	int r = layers_find(l->u, l->dir, name, n->len, &f);

	if (r == 1 || r == -ENOMEM)
		return r == 1 ? 0 : r;
	if (r == 0) {
		n->ino = f.ino;
		n->type = (uint8_t)IFTODT(f.mode);
	}
	return give(l, n);
}

static int give_name(
	struct list *l, const char *name, size_t len, struct union_name *n, bool in_upper)
{
	char own[256]; /* looking it up may take the name away */

	memcpy(own, name, len);
	own[len] = '\0';
	n->name = own;
	n->len = len;
	if (l->plus)
		return give_plus(l, n, own);
	return in_upper ? give_upper(l, n, own) : give(l, n);
}

/* Whether one of the places above the k-th has the name, or a whiteout of it. */
static int is_hidden(const struct list *l, size_t k, const struct lower_name *n)
{
	for (size_t i = 0; i < k; i++) {
		const struct lower_place *p = &l->dir->lowers[i];
		struct lower *lower = l->u->config.lowers[p->layer];
		struct lower_name above;
		int r = lower->ops->lookup(lower, p->key, n->name, n->len, &above);

		if (r != 1)
			return r < 0 ? r : 1;
	}
	return 0;
}

static int give_lower_name(struct list *l, size_t k, uint64_t pos, const struct lower_name *n)
{
	const struct upper_name *up = find_upper_name(l->upper, n->name, n->len);
	struct union_name out = {
		.ino = l->u->ino_base[l->dir->lowers[k].layer] + n->ino,
		.type = up ? up->type : n->type,
		.next = 2 + ((uint64_t)k << POS_BITS | pos),
	};
	struct lower_name copy = *n;
	char name[256];
	int r;

	if (n->whiteout || n->len > 255 || (up && up->whiteout))
		return 0;
	memcpy(name, n->name, n->len);
	copy.name = name;
	r = is_hidden(l, k, &copy);
	return r ? (r < 0 ? r : 0) : give_name(l, name, n->len, &out, up != NULL);
}

static int give_lowers(struct list *l, uint64_t off)
{
	const uint64_t mask = ((uint64_t)1 << POS_BITS) - 1;
	size_t k = off > 2 ? (size_t)((off - 2) >> POS_BITS) : 0;
	uint64_t pos = off > 2 ? (off - 2) & mask : 0;

	for (; k < l->dir->n_lowers; k++, pos = 0) {
		const struct lower_place *p = &l->dir->lowers[k];
		struct lower *lower = l->u->config.lowers[p->layer];
		struct lower_name n;
		int r;

		while ((r = lower->ops->readdir(lower, p->key, &pos, &n)) == 1) {
			r = give_lower_name(l, k, pos, &n);
			if (r)
				return r;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int give_uppers(struct list *l, uint64_t off)
{
	const uint64_t after = off >= UPPER_OFF ? off - UPPER_OFF : 0;

	for (size_t i = 0; l->upper && i < l->upper->n; i++) {
		const struct upper_name *n = &l->upper->v[i];
		const char *name = (char *)l->upper->names.p + n->at;
		const size_t len = strlen(name);
		/* Of names with one hash all but the last lead back in front of them. */
		const bool last = i + 1 == l->upper->n || n[1].hash != n->hash;
		struct union_name out = {
			.ino = l->u->upper_ino_base + n->ino,
			.type = n->type,
			.next = UPPER_OFF + n->hash - !last,
		};
		int r;

		if (n->whiteout || (off >= UPPER_OFF && n->hash <= after))
			continue;
		r = layers_have_lower(l->u, l->dir, name, len);
		if (r == 0)
			r = give_name(l, name, len, &out, true);
		else if (r == 1)
			r = 0; /* it was given among the lower names */
		if (r)
			return r;
	}
	return 0;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* The names in the upper directory: as they were when the listing was begun. 1 = it is at its end.
 */
static int get_upper(struct list *l, uint64_t off)
{
	struct node *dir = l->dir;

	if (!dir->has_upper)
		return 0;
	if (!dir->listing)
		dir->listing = calloc(1, sizeof(*dir->listing));
	l->upper = dir->listing;
	if (!l->upper)
		return -ENOMEM;
	if (l->upper->read_up && off == l->upper->end)
		return 1;
	if (off && l->upper->v && !l->upper->read_up)
		return 0;
	listing_clear(l->upper);
	return read_upper(l->u, dir, l->upper);
}

static int list_dir(struct list *l, uint64_t off)
{
	int r = get_upper(l, off);

	if (r)
		return r < 0 ? r : 0;
	l->last = off;
	if (off < 2)
		r = give_dots(l, off);
	if (r == 0 && off < UPPER_OFF)
		r = give_lowers(l, off);
	if (r == 0)
		r = give_uppers(l, off);
	if (r == 0 && l->upper) {
		listing_clear(l->upper);
		l->upper->read_up = true;
		l->upper->end = l->last;
	}
	return r < 0 ? r : 0;
}

int union_readdir(
	struct union_fs *u, uint64_t dir, uint64_t off, bool plus, union_fill fill, void *ctx)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	struct list l = {.u = u, .plus = plus, .fill = fill, .ctx = ctx};
	int r;

	pthread_rwlock_rdlock(&u->tree);
	r = node_get(u, dir, &n.n);
	if (r == 0 && !S_ISDIR(n.n->mode))
		r = -ENOTDIR;
	l.dir = n.n;
	if (r == 0 && (n.n == u->root || n.n->parent)) {
		pthread_mutex_lock(&n.n->lock);
		r = list_dir(&l, off);
		pthread_mutex_unlock(&n.n->lock);
	}
	pthread_rwlock_unlock(&u->tree);
	return r;
}
