/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck-internal.h"
#include "index-walk.h"
#include "store/chunk-table.h"
#include "util/array.h"
#include "util/buf.h"

#include <stdlib.h>

/* One pass over one image. */
struct pass {
	struct fsck *f;
	struct touches *t;
	size_t image;
	bool *hit; /* by fault: the image's own index has it */
	const struct index *x;
	uint32_t *faults; /* by the number of a chunk in the index: 1 + its fault */
	uint64_t n_found;
};

static int add_touch(struct touches *t, size_t fault, size_t image, const char *path)
{
	char *copy = path ? strdup(path) : NULL;

	if ((path && !copy) || array_room(&t->v, t->n, &t->room, sizeof(*t->v)) < 0) {
		free(copy);
		return -ENOMEM;
	}
	t->v[t->n++] = (struct touch){fault, image, copy};
	return 0;
}

static int add_image(struct touches *t, const struct digest *manifest, char *name)
{
	if (!name || array_room(&t->images, t->n_images, &t->room_images, sizeof(*t->images)) < 0) {
		free(name);
		return -ENOMEM;
	}
	t->images[t->n_images++] = (struct touched_image){*manifest, name};
	return 0;
}

/* The number of the chunk's fault, or SIZE_MAX. */
static size_t find_fault(const struct fsck *f, const struct digest *d)
{
	const struct chunk_fault *found =
		f->c.n_chunks ? bsearch(d, f->c.chunks, f->c.n_chunks, sizeof(*found), digest_order)
			      : NULL;

	return found ? (size_t)(found - f->c.chunks) : SIZE_MAX;
}

static int touch_file(struct pass *p, const char *path, const struct index_inode *i)
{
	uint32_t last = 0;

	if (i->layout != INDEX_CHUNKS)
		return 0;
	for (uint64_t n = 0; n < chunk_count(i->size, i->chunk_bits); n++) {
		struct index_address a;
		uint64_t number;
		int r = index_address(p->x, i, n, &a, NULL);

		if (r < 0)
			return r;
		if (r == 1 || index_find_chunk(p->x, a.block, &number) == 1 || !p->faults[number] ||
			p->faults[number] == last)
			continue;
		last = p->faults[number];
		r = add_touch(p->t, last - 1, p->image, path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Paths are told from the root on, "/usr/bin". */
static int touch_files(struct pass *p)
{
	_cleanup_(index_walk_freep) struct index_walk *walk = index_walk_new(p->x, false);
	_cleanup_buf_ struct buf path = {0};
	struct walk_entry w;
	int r;

	if (!walk)
		return -ENOMEM;
	while ((r = index_walk_next(walk, &w, NULL)) == 1) {
		path.n = 0;
		r = w.leave ? 0 : buf_addf(&path, "/%s", w.path);
		if (r == 0 && !w.leave)
			r = touch_file(p, (char *)path.p, &w.inode);
		if (r < 0)
			return r;
	}
	return r;
}

/* The files of the image's own index. */
static int touch_index(struct pass *p, const struct digest *manifest)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_free_ uint32_t *faults = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (store_file_open(p->f->s, STORE_IMAGE, manifest, &fd, NULL) < 0 ||
		index_open(fd, &x, NULL) < 0)
		return 0; /* damaged itself */
	faults = calloc(index_info(x)->chunks + 1, sizeof(*faults));
	if (!faults)
		return -ENOMEM;
	for (uint64_t n = 0; n < index_info(x)->chunks; n++) {
		struct chunk c;
		size_t fault;

		index_chunk(x, n, &c);
		fault = find_fault(p->f, &c.digest);
		if (fault == SIZE_MAX)
			continue;
		faults[n] = (uint32_t)fault + 1;
		p->hit[fault] = true;
		p->n_found++;
	}
	if (!p->n_found)
		return 0;
	p->x = x;
	p->faults = faults;
	r = touch_files(p);
	return check_is_passing(r) ? r : 0;
}

/* A chunk of a layer that no file of the image has: what a later layer hides, or the tar alone. */
static int touch_hidden(void *ctx, const struct chunk *c)
{
	struct pass *p = ctx;
	size_t fault = find_fault(p->f, &c->digest);

	if (fault == SIZE_MAX || p->hit[fault])
		return 0;
	p->hit[fault] = true;
	return add_touch(p->t, fault, p->image, NULL);
}

/* Findings about the image, or one of its layers. */
static int touch_findings(struct pass *p, const struct image_record *rec)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->f->c.n_findings; i++) {
		const struct finding *g = &p->f->c.findings[i];
		bool hit = false;

		if (g->kind == FINDING_IMAGE || g->kind == FINDING_LOCAL)
			hit = digest_equal(&g->digest, &rec->manifest);
		for (size_t k = 0; g->kind == FINDING_LAYER && k < rec->n_diff_ids; k++)
			hit |= digest_equal(&g->digest, &rec->diff_ids[k]);
		if (hit)
			r = add_touch(p->t, p->f->c.n_chunks + i, p->image, NULL);
	}
	return r;
}

static int touch_image(struct fsck *f, struct touches *t, size_t image)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_free_ bool *hit = calloc(f->c.n_chunks + 1, sizeof(*hit));
	struct pass p = {.f = f, .t = t, .image = image, .hit = hit};
	int r = hit ? record_image(f->s, f->c.txn, &t->images[image].manifest, &rec) : -ENOMEM;

	if (r)
		return check_is_passing(r) ? r : 0;
	r = touch_findings(&p, &rec);
	if (r == 0 && f->c.n_chunks)
		r = touch_index(&p, &rec.manifest);
	for (size_t i = 0; r == 0 && f->c.n_chunks && i < rec.n_diff_ids; i++)
		r = chunk_table_each_readable(
			f->s, STORE_LAYER, &rec.diff_ids[i], touch_hidden, &p);
	return r;
}

struct listing {
	struct touches *t;
	size_t n_named;
};

static int list_name(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct listing *l = ctx;
	struct digest d;

	if (value->mv_size != DIGEST_SIZE)
		return 0;
	memcpy(d.b, value->mv_data, DIGEST_SIZE);
	return add_image(l->t, &d, strndup(key->mv_data, key->mv_size));
}

/* Images without a name go by their digest. */
static int list_image(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	char text[DIGEST_TEXT_MAX];
	struct listing *l = ctx;
	struct digest d;

	if (key->mv_size != DIGEST_SIZE)
		return 0;
	memcpy(d.b, key->mv_data, DIGEST_SIZE);
	for (size_t i = 0; i < l->n_named; i++)
		if (digest_equal(&l->t->images[i].manifest, &d))
			return 0;
	return add_image(l->t, &d, strdup(digest_text(&d, text)));
}

static int order_of_touches(const void *pa, const void *pb)
{
	const struct touch *a = pa, *b = pb;

	if (a->fault != b->fault)
		return a->fault < b->fault ? -1 : 1;
	if (a->image != b->image)
		return a->image < b->image ? -1 : 1;
	return strcmp(a->path ? a->path : "", b->path ? b->path : "");
}

/* A file may have a chunk in several places. */
static void sort_touches(struct touches *t)
{
	size_t n = 0;

	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), order_of_touches);
	for (size_t i = 0; i < t->n; i++)
		if (n && order_of_touches(&t->v[i], &t->v[n - 1]) == 0)
			free(t->v[i].path);
		else
			t->v[n++] = t->v[i];
	t->n = n;
}

int touches_find(struct fsck *f, struct touches *ret, struct err *e)
{
	struct listing l = {.t = ret};
	int r;

	if (!f->c.n_chunks && !f->c.n_findings)
		return 0;
	r = record_for_each(f->s, f->c.txn, f->s->names, list_name, &l);
	l.n_named = ret->n_images;
	if (r == 0)
		r = record_for_each(f->s, f->c.txn, f->s->images, list_image, &l);
	for (size_t i = 0; r == 0 && i < ret->n_images; i++)
		r = touch_image(f, ret, i);
	sort_touches(ret);
	return r < 0 ? err_sys(e, r, "cannot tell what the damage touches") : 0;
}

void touches_done(struct touches *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i].path);
	for (size_t i = 0; i < t->n_images; i++)
		free(t->images[i].name);
	free(t->v);
	free(t->images);
	*t = (struct touches){0};
}

size_t touches_of(const struct touches *t, size_t fault, const struct touch **ret)
{
	size_t lo = 0, hi = t->n, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->v[mid].fault < fault)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + n < t->n && t->v[lo + n].fault == fault)
		n++;
	*ret = t->v + lo;
	return n;
}
