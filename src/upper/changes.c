/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"
#include "container-image.h"
#include "image/quarantine.h"
#include "util/array.h"
#include "util/buf.h"

/*
 * Two trees in step. The new one is a layer over the old one (a container's changes) or a whole
 * image; the old one is an index.
 */
struct compare {
	const struct index *old;
	struct delta *delta;     /* of a container; else */
	const struct index *now; /* an image */
	change_sink sink;
	void *ctx;
	struct buf path;
	/* Directories that are on the path, and were not told yet: they are if anything below is.
	 */
	struct pending {
		size_t path_size;
		uint32_t mode;
	} * pending;
	size_t n_pending, room_pending;
};

static void compare_done(struct compare *c)
{
	buf_done(&c->path);
	free(c->pending);
}

static int no_memory(struct err *e)
{
	return err_sys(e, -ENOMEM, "cannot compare");
}

static int tell_one(
	struct compare *c, enum change_kind kind, size_t path_size, uint32_t mode, struct err *e)
{
	char *p = (char *)c->path.p, kept = p[path_size];
	struct change x = {.kind = kind, .path = path_size ? p : "/", .mode = mode};
	int r;

	p[path_size] = 0;
	r = c->sink(c->ctx, &x, e);
	p[path_size] = kept;
	return r;
}

/* The current path, after the directories that it is below. */
static int tell(struct compare *c, enum change_kind kind, uint32_t mode, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_pending; i++)
		r = tell_one(c, CHANGE_CHANGED, c->pending[i].path_size, c->pending[i].mode, e);
	c->n_pending = 0;
	return r ? r : tell_one(c, kind, c->path.n, mode, e);
}

static int push_name(struct compare *c, const char *name, size_t len)
{
	int r = buf_add(&c->path, "/", 1);

	return r < 0 ? r : buf_add(&c->path, name, len);
}

static void cut_path(struct compare *c, size_t n)
{
	c->path.n = n;
	c->path.p[n] = 0;
}

/* ---- what a file is ------------------------------------------------------------------------- */

/* Attributes of a file of either side, so that they can be compared. */
struct file {
	const struct index_inode *x; /* in `index`; or */
	const struct index *index;
	struct inode *i; /* in the layer */
};

static struct inode attributes_of(const struct file *f)
{
	struct inode a = {0};

	if (f->i)
		return *f->i;
	a.mode = f->x->mode;
	a.uid = f->x->uid;
	a.gid = f->x->gid;
	a.mtime = f->x->mtime;
	a.mtime_nsec = f->x->mtime_nsec;
	a.size = f->x->size;
	a.dev_major = f->x->dev_major;
	a.dev_minor = f->x->dev_minor;
	return a;
}

static bool same_attributes(const struct file *fa, const struct file *fb)
{
	const struct inode a = attributes_of(fa), b = attributes_of(fb);

	return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime == b.mtime &&
	       a.mtime_nsec == b.mtime_nsec && a.dev_major == b.dev_major &&
	       a.dev_minor == b.dev_minor &&
	       (S_ISDIR(a.mode) || !S_ISREG(a.mode) || a.size == b.size);
}

/* Each xattr of `x` is in `others`, with the same value; *ret_n counts them. 1 = not so. */
static int xattrs_within(const struct index *index, const struct index_inode *x,
	const struct file *others, size_t *ret_n, struct err *e);

static int find_xattr(
	const struct file *f, const char *name, const struct bytes *value, struct err *e)
{
	char other[XATTR_NAME_LEN_MAX + 1];
	struct bytes v;
	uint64_t pos = 0;
	int r;

	for (uint32_t k = 0; f->i && f->i->xattrs && k < f->i->xattrs->n; k++) {
		const struct xattr *a = &f->i->xattrs->v[k];

		if (strcmp(a->name, name) == 0)
			return a->value_size != value->n ||
			       (value->n && memcmp(a->value, value->p, value->n) != 0);
	}
	if (f->i)
		return 1;
	while ((r = index_xattr(f->index, f->x, &pos, other, &v, e)) == 1)
		if (strcmp(other, name) == 0)
			return v.n != value->n || (v.n && memcmp(v.p, value->p, v.n) != 0);
	return r < 0 ? r : 1;
}

static int xattrs_within(const struct index *index, const struct index_inode *x,
	const struct file *others, size_t *ret_n, struct err *e)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	struct bytes value;
	uint64_t pos = 0;
	int r, differs;

	*ret_n = 0;
	while ((r = index_xattr(index, x, &pos, name, &value, e)) == 1) {
		differs = find_xattr(others, name, &value, e);
		if (differs)
			return differs;
		++*ret_n;
	}
	return r;
}

static int count_xattrs(const struct file *f, size_t *ret, struct err *e)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	struct bytes value;
	uint64_t pos = 0;
	int r;

	*ret = 0;
	if (f->i) {
		*ret = f->i->xattrs ? f->i->xattrs->n : 0;
		return 0;
	}
	while ((r = index_xattr(f->index, f->x, &pos, name, &value, e)) == 1)
		++*ret;
	return r;
}

/* 0 = the same, 1 = not */
static int compare_xattrs(const struct file *old, const struct file *now, struct err *e)
{
	size_t a, b;
	int r = xattrs_within(old->index, old->x, now, &a, e);

	if (r == 0)
		r = count_xattrs(now, &b, e);
	return r ? r : a != b;
}

/* Chunk by chunk; files that are cut differently are taken for different. */
static int compare_chunks(
	struct compare *c, const struct index_inode *a, const struct index_inode *b, struct err *e)
{
	if (a->chunk_bits != b->chunk_bits)
		return 1;
	for (uint64_t k = 0; k < chunk_count(a->size, a->chunk_bits); k++) {
		struct index_address pa, pb;
		struct chunk ca, cb;
		uint64_t na, nb;
		int ra = index_address(c->old, a, k, &pa, e);
		int rb = ra < 0 ? 0 : index_address(c->now, b, k, &pb, e);

		if (ra < 0 || rb < 0 || ra != rb)
			return ra < 0 ? ra : rb < 0 ? rb : 1;
		if (ra == 1)
			continue;
		if (index_find_chunk(c->old, pa.block, &na) ||
			index_find_chunk(c->now, pb.block, &nb))
			return err_set(e, -ERR_STORE, "an index names a chunk that it has not");
		index_chunk(c->old, na, &ca);
		index_chunk(c->now, nb, &cb);
		if (!digest_equal(&ca.digest, &cb.digest))
			return 1;
	}
	return 0;
}

static int compare_bytes(
	const struct index *ix, const struct index_inode *x, const void *p, size_t n, struct err *e)
{
	struct bytes b;
	int r = index_content(ix, x, &b, e);

	return r < 0 ? r : b.n != n || (n && memcmp(b.p, p, n) != 0);
}

/* Types and attributes are the same. */
static int compare_content(
	struct compare *c, const struct file *old, const struct file *now, struct err *e)
{
	struct bytes b;
	int r;

	if (S_ISLNK(old->x->mode) && now->i)
		return compare_bytes(c->old, old->x, now->i->target, now->i->size, e);
	if (now->i)
		return S_ISREG(old->x->mode) ? delta_compare(c->delta, now->i, old->x, e) : 0;
	if ((!S_ISREG(old->x->mode) && !S_ISLNK(old->x->mode)) || !old->x->size)
		return 0;
	if (old->x->layout == INDEX_CHUNKS || now->x->layout == INDEX_CHUNKS)
		return old->x->layout == now->x->layout ? compare_chunks(c, old->x, now->x, e) : 1;
	r = index_content(c->now, now->x, &b, e);
	return r < 0 ? r : compare_bytes(c->old, old->x, b.p, b.n, e);
}

/* 0 = they are the same in all respects, 1 = not */
static int compare_files(
	struct compare *c, const struct file *old, const struct file *now, struct err *e)
{
	int r;

	if (!same_attributes(old, now))
		return 1;
	r = compare_xattrs(old, now, e);
	return r || S_ISDIR(old->x->mode) ? r : compare_content(c, old, now, e);
}

/* ---- directories ---------------------------------------------------------------------------- */

struct entry {
	const char *name;
	size_t len;
	struct inode *i; /* in the layer */
	uint64_t nid;    /* or in an index */
};

struct entries {
	struct entry *v;
	size_t n, room;
};

static int order_of_entries(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	int c = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);

	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static int add_entry(struct entries *list, const struct entry *x)
{
	int r = array_room(&list->v, list->n, &list->room, sizeof(*x));

	if (r == 0)
		list->v[list->n++] = *x;
	return r;
}

static int list_index(
	const struct index *x, const struct index_inode *dir, struct entries *ret, struct err *e)
{
	struct index_name n;
	uint64_t pos = 0;
	int r;

	while ((r = index_readdir(x, dir, &pos, &n, e)) == 1) {
		const struct entry en = {.name = n.name, .len = n.len, .nid = n.nid};

		if (n.name[0] == '.' && (n.len == 1 || (n.len == 2 && n.name[1] == '.')))
			continue;
		if (add_entry(ret, &en) < 0)
			return no_memory(e);
	}
	return r;
}

static int list_layer(const struct inode *dir, struct entries *ret, struct err *e)
{
	dentry_for_each (d, dir) {
		const struct entry en = {.name = d->name, .len = d->len, .i = d->inode};

		if (add_entry(ret, &en) < 0)
			return no_memory(e);
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), order_of_entries);
	return 0;
}

/* A pair of directories; either may be missing. */
struct level {
	struct entries old, now;
	size_t at_old, at_now;
	size_t path_size;
	bool hides; /* what of `old` is not in `now` is gone; else it is as it was */
};

struct levels {
	struct level *v;
	size_t n, room;
};

static void level_done(struct level *l)
{
	free(l->old.v);
	free(l->now.v);
}

static void levels_done(struct levels *s)
{
	while (s->n)
		level_done(&s->v[--s->n]);
	free(s->v);
}

static int push_level(struct compare *c, struct levels *s, const struct index_inode *old,
	const struct file *now, struct err *e)
{
	struct level l = {.path_size = c->path.n};
	int r = array_room(&s->v, s->n, &s->room, sizeof(l)) < 0 ? no_memory(e) : 0;

	l.hides = !now->i || now->i->flags & INODE_OPAQUE;
	if (r == 0 && old)
		r = list_index(c->old, old, &l.old, e);
	if (r == 0)
		r = now->i ? list_layer(now->i, &l.now, e) : list_index(c->now, now->x, &l.now, e);
	if (r < 0)
		level_done(&l);
	else
		s->v[s->n++] = l;
	return r;
}

static int wait_to_tell(struct compare *c, uint32_t mode)
{
	int r = array_room(&c->pending, c->n_pending, &c->room_pending, sizeof(*c->pending));

	if (r == 0)
		c->pending[c->n_pending++] = (struct pending){c->path.n, mode};
	return r;
}

/* A name that is there now; `old` NULL: it was not. */
static int compare_name(struct compare *c, struct levels *s, const struct entry *old,
	const struct entry *now, struct err *e)
{
	struct index_inode was, is;
	struct file fold = {.x = &was, .index = c->old};
	struct file fnow = {.x = &is, .index = c->now, .i = now->i};
	uint32_t mode;
	bool both;
	int r = 0;

	if (now->i && now->i->flags & INODE_WHITEOUT) {
		r = old ? index_inode(c->old, old->nid, &was, e) : 1;
		return r ? (r < 0 ? r : 0) : tell(c, CHANGE_DELETED, was.mode, e);
	}
	if (!now->i)
		r = index_inode(c->now, now->nid, &is, e);
	if (r == 0 && old)
		r = index_inode(c->old, old->nid, &was, e);
	if (r < 0)
		return r;
	mode = now->i ? now->i->mode : is.mode;
	both = old && S_ISDIR(was.mode) && S_ISDIR(mode);
	if (!old)
		r = tell(c, CHANGE_ADDED, mode, e);
	else
		r = compare_files(c, &fold, &fnow, e);
	if (old && r == 1)
		r = tell(c, CHANGE_CHANGED, mode, e);
	else if (r == 0 && both)
		r = wait_to_tell(c, mode) < 0 ? no_memory(e) : 0;
	if (r)
		return r;
	return S_ISDIR(mode) ? push_level(c, s, both ? &was : NULL, &fnow, e) : 0;
}

static int tell_deleted(struct compare *c, const struct entry *old, struct err *e)
{
	struct index_inode was;
	int r = index_inode(c->old, old->nid, &was, e);

	return r < 0 ? r : tell(c, CHANGE_DELETED, was.mode, e);
}

static void drop_pending(struct compare *c, size_t path_size)
{
	while (c->n_pending && c->pending[c->n_pending - 1].path_size > path_size)
		c->n_pending--;
}

static bool is_done(const struct level *l)
{
	return l->at_old == l->old.n && l->at_now == l->now.n;
}

/* The next name of the innermost directories. */
static int step(struct compare *c, struct levels *s, struct err *e)
{
	struct level *l = &s->v[s->n - 1];
	const struct entry *old = l->at_old < l->old.n ? &l->old.v[l->at_old] : NULL;
	const struct entry *now = l->at_now < l->now.n ? &l->now.v[l->at_now] : NULL;
	const int order = !old ? 1 : !now ? -1 : order_of_entries(old, now);

	cut_path(c, l->path_size);
	/* A directory that is done and had nothing to tell is not told. */
	drop_pending(c, l->path_size);
	if (push_name(c, order < 0 ? old->name : now->name, order < 0 ? old->len : now->len) < 0)
		return no_memory(e);
	l->at_old += order <= 0;
	l->at_now += order >= 0;
	if (order < 0)
		return l->hides ? tell_deleted(c, old, e) : 0;
	return compare_name(c, s, order == 0 ? old : NULL, now, e);
}

static int walk(
	struct compare *c, const struct index_inode *old, const struct file *now, struct err *e)
{
	_cleanup_(levels_done) struct levels s = {0};
	const struct file fold = {.x = old, .index = c->old};
	struct inode root = attributes_of(now);
	int r = buf_add(&c->path, "", 0) < 0 ? no_memory(e) : 0;

	/* That something in it has changed is not worth a line; its time says no more. */
	root.mtime = old->mtime;
	root.mtime_nsec = old->mtime_nsec;
	if (r == 0 && (!same_attributes(&fold, &(struct file){.i = &root})))
		r = tell(c, CHANGE_CHANGED, root.mode, e);
	if (r == 0)
		r = push_level(c, &s, old, now, e);
	while (r == 0 && s.n) {
		if (is_done(&s.v[s.n - 1]))
			level_done(&s.v[--s.n]);
		else
			r = step(c, &s, e);
	}
	return r;
}

/* ---- the whole ------------------------------------------------------------------------------ */

void container_delta_done(struct container_delta *x)
{
	delta_free(x->delta);
	image_record_done(&x->image);
	lock_release(&x->gc);
}

static int find_image(
	struct store *s, const struct digest *image, struct image_record *ret, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	char text[DIGEST_TEXT_MAX];
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = record_image(s, txn, image, ret);
	digest_text(image, text);
	if (r == 1)
		return err_set(e, -ERR_ABSENT, "there is no image %s", text);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	return image_check_quarantine(s, ret, text, e);
}

int container_delta_open(struct store *s, const struct container *c, const struct delta_live *live,
	struct container_delta *ret, struct err *e)
{
	const struct delta_options o = {.live = live};
	_cleanup_free_ char *upper = NULL, *work = NULL;
	int r;

	*ret = (struct container_delta){.gc = LOCK_NONE};
	r = lock_take(s, LOCK_GC, 0, false, true, &ret->gc, e);
	if (r == 0)
		r = find_image(s, &c->image, &ret->image, e);
	if (r == 0)
		r = container_paths(s, c, &upper, &work, e);
	if (r == 0)
		r = delta_new(s, &ret->image, upper, work, &o, &ret->delta, e);
	return r;
}

int container_changes(struct store *s, const struct container *container,
	const struct delta_live *live, change_sink sink, void *ctx, struct err *e)
{
	_cleanup_(container_delta_done) struct container_delta x = {.gc = LOCK_NONE};
	_cleanup_(compare_done) struct compare c = {.sink = sink, .ctx = ctx};
	struct index_inode root;
	int r = container_delta_open(s, container, live, &x, e);

	if (r < 0)
		return err_prefix(e, r, "container '%s'", container->id);
	c.old = delta_base(x.delta);
	c.delta = x.delta;
	r = index_inode(c.old, index_info(c.old)->root_nid, &root, e);
	return r < 0 ? r : walk(&c, &root, &(struct file){.i = delta_tree(x.delta)->root}, e);
}

static int open_index(
	struct store *s, const struct digest *image, struct index **ret, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_close_ int fd = -1;
	int r = find_image(s, image, &rec, e);

	if (r == 0)
		r = store_file_open(s, STORE_IMAGE, image, &fd, e);
	return r < 0 ? r : index_open(fd, ret, e);
}

int image_changes(struct store *s, const struct digest *from, const struct digest *to,
	change_sink sink, void *ctx, struct err *e)
{
	_cleanup_(index_closep) struct index *old = NULL, *now = NULL;
	_cleanup_(compare_done) struct compare c = {.sink = sink, .ctx = ctx};
	struct index_inode was, is;
	int r = open_index(s, from, &old, e);

	if (r == 0)
		r = open_index(s, to, &now, e);
	if (r == 0)
		r = index_inode(old, index_info(old)->root_nid, &was, e);
	if (r == 0)
		r = index_inode(now, index_info(now)->root_nid, &is, e);
	c.old = old;
	c.now = now;
	return r < 0 ? r : walk(&c, &was, &(struct file){.x = &is, .index = now}, e);
}
