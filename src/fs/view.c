/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"
#include "image/local.h"
#include "store/pack.h"
#include "util/array.h"
#include "util/buf.h"
#include "util/io.h"

#define SYMLINKS_MAX 40

struct view {
	struct store *s;
	struct index *x;
	int packs[INDEX_DEVICES_MAX]; /* the store's descriptors */
};

int view_open(struct store *s, const struct image_record *image, struct view **ret, struct err *e)
{
	_cleanup_(view_closep) struct view *v = calloc(1, sizeof(*v));
	_cleanup_close_ int fd = -1;
	int r;

	if (!v)
		return err_sys(e, -ENOMEM, "cannot open the image");
	v->s = s;
	r = local_open(s, image, &fd, e);
	if (r == 0)
		r = index_open(fd, &v->x, e);
	for (uint64_t i = 0; r == 0 && i < index_info(v->x)->devices; i++)
		r = pack_open(s, (uint16_t)i, &v->packs[i], e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(v);
	return 0;
}

void view_close(struct view *v)
{
	if (!v)
		return;
	index_close(v->x);
	free(v);
}

const struct index *view_index(const struct view *v)
{
	return v->x;
}

/* A walk: the inodes from the root down, and what is left of the path. */
struct walk {
	struct view *v;
	uint64_t *nids;
	size_t n, room;
	unsigned int symlinks;
	struct buf rest;
	const char *whole;
	struct err *e;
};

static int fail(struct walk *w, int code)
{
	return err_sys(w->e, code, "%s", w->whole);
}

static int enter(struct walk *w, uint64_t nid)
{
	if (array_room(&w->nids, w->n, &w->room, sizeof(*w->nids)) < 0)
		return fail(w, -ENOMEM);
	w->nids[w->n++] = nid;
	return 0;
}

/* Puts a symlink's target in front of the rest of the path. */
static int follow_link(struct walk *w, const struct index_inode *link, const char *rest)
{
	struct buf path = {0};
	struct bytes target;
	int r = index_content(w->v->x, link, &target, w->e);

	if (r == 0 && ++w->symlinks > SYMLINKS_MAX)
		return fail(w, -ELOOP);
	if (r == 0)
		r = buf_add(&path, target.p, target.n);
	if (r == 0)
		r = buf_addf(&path, "%s", rest); /* empty, or begins with '/' */
	if (r < 0) {
		buf_done(&path);
		return fail(w, r);
	}
	if (path.p[0] == '/')
		w->n = 1;
	buf_done(&w->rest);
	w->rest = path;
	return 0;
}

/* Takes the next name of the rest. 1 = went on; 0 = the rest is empty. */
static int step(struct walk *w, size_t *at, bool follow, struct index_inode *here)
{
	const char *name = (char *)w->rest.p + *at;
	bool slash; /* also at the end: what is in front of it must be a directory */
	size_t len;
	uint64_t nid;
	int r;

	slash = *name == '/';
	while (*name == '/')
		name++;
	len = strcspn(name, "/");
	*at = (size_t)(name + len - (char *)w->rest.p);
	if (!S_ISDIR(here->mode) && (len || slash))
		return fail(w, -ENOTDIR);
	if (!len)
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		w->n -= w->n > 1;
	} else if (len != 1 || name[0] != '.') {
		r = index_lookup(w->v->x, here, name, len, &nid, w->e);
		if (r)
			return r < 0 ? r : fail(w, -ENOENT);
		r = enter(w, nid);
		if (r < 0)
			return r;
	}
	r = index_inode(w->v->x, w->nids[w->n - 1], here, w->e);
	if (r < 0 || !S_ISLNK(here->mode) || (!follow && !name[len]))
		return r < 0 ? r : 1;
	w->n--;
	r = follow_link(w, here, name + len);
	*at = 0;
	return r < 0 ? r : index_inode(w->v->x, w->nids[w->n - 1], here, w->e) < 0 ? -ERR_STORE : 1;
}

int view_lookup(
	struct view *v, const char *path, bool follow, struct index_inode *ret, struct err *e)
{
	struct walk w = {.v = v, .whole = path, .e = e};
	struct index_inode here;
	size_t at = 0;
	int r = buf_addf(&w.rest, "%s", path);

	if (r == 0)
		r = enter(&w, index_info(v->x)->root_nid);
	if (r == 0)
		r = index_inode(v->x, w.nids[0], &here, e);
	if (r == 0)
		while ((r = step(&w, &at, follow, &here)) == 1)
			;
	buf_done(&w.rest);
	free(w.nids);
	if (r < 0)
		return err_sys(e, r, "%s", path);
	*ret = here;
	return 0;
}

/* Neighbours in the file that are neighbours in a pack too, or all holes. */
struct run {
	bool hole;
	struct index_address start;
	uint64_t size; /* bytes, from the place asked for */
};

/* The run at `off`, of at most `n` bytes, which lie in the file. */
static int find_run(struct view *v, const struct index_inode *i, uint64_t off, uint64_t n,
	struct run *ret, struct err *e)
{
	const uint64_t chunk = (uint64_t)1 << i->chunk_bits;
	uint64_t number = off >> i->chunk_bits;
	struct run run = {.size = chunk - (off & (chunk - 1))};
	struct index_address a;
	int r = index_address(v->x, i, number, &run.start, e);

	run.hole = r == 1;
	for (uint64_t block = run.start.block; r >= 0 && run.size < n; run.size += chunk) {
		r = index_address(v->x, i, ++number, &a, e);
		block += chunk / PACK_BLOCK_SIZE;
		if (run.hole != (r == 1) ||
			(r == 0 && (a.device != run.start.device || a.block != block)))
			break;
	}
	if (run.size > n)
		run.size = n;
	*ret = run;
	return r < 0 ? r : 0;
}

static int read_chunks(struct view *v, const struct index_inode *i, void *p, size_t n, uint64_t off,
	size_t *ret_n, struct err *e)
{
	struct run run;
	int r = find_run(v, i, off, n, &run, e);

	if (r < 0)
		return r;
	*ret_n = (size_t)run.size;
	if (run.hole) {
		memset(p, 0, *ret_n);
		return 0;
	}
	r = io_pread_full(v->packs[run.start.device - 1], p, *ret_n,
		(uint64_t)run.start.block * PACK_BLOCK_SIZE +
			(off & (((uint64_t)1 << i->chunk_bits) - 1)));
	return r < 0 ? err_sys(e, r, "cannot read packs/%d.pack", run.start.device - 1) : 0;
}

int view_run(struct view *v, const struct index_inode *i, uint64_t off, uint64_t n,
	struct view_run *ret, struct err *e)
{
	const uint64_t inside = off & (((uint64_t)1 << i->chunk_bits) - 1);
	struct run run;
	int r = find_run(v, i, off, n < i->size - off ? n : i->size - off, &run, e);

	if (r < 0)
		return r;
	*ret = (struct view_run){.hole = run.hole, .size = run.size};
	if (!run.hole) {
		ret->pack = (uint16_t)(run.start.device - 1);
		ret->pack_off = (uint64_t)run.start.block * PACK_BLOCK_SIZE + inside;
	}
	return 0;
}

int view_pack_fd(const struct view *v, uint16_t pack)
{
	return v->packs[pack];
}

static int read_inline(
	struct view *v, const struct index_inode *i, void *p, size_t n, uint64_t off, struct err *e)
{
	struct bytes b;
	int r = index_content(v->x, i, &b, e);

	if (r == 0 && n)
		memcpy(p, b.p + off, n);
	return r;
}

int view_read(struct view *v, const struct index_inode *i, void *p, size_t n, uint64_t off,
	size_t *ret_n, struct err *e)
{
	size_t done = 0;

	if (S_ISDIR(i->mode))
		return err_sys(e, -EISDIR, "cannot read");
	if (!S_ISREG(i->mode))
		return err_sys(e, -EINVAL, "cannot read");
	n = off >= i->size ? 0 : i->size - off < n ? (size_t)(i->size - off) : n;
	while (done < n) {
		uint64_t at = off + done;
		size_t k = n - done;
		int r;

		if (i->layout == INDEX_CHUNKS)
			r = read_chunks(v, i, (char *)p + done, k, at, &k, e);
		else
			r = read_inline(v, i, (char *)p + done, k, at, e);
		if (r < 0)
			return r;
		done += k;
	}
	*ret_n = n;
	return 0;
}

/* The next place from `off` on that is a hole, or is none, as wanted; or the file's size. */
static int find_next(struct view *v, const struct index_inode *i, uint64_t off, bool hole,
	uint64_t *ret, struct err *e)
{
	uint64_t number = off >> i->chunk_bits, total = chunk_count(i->size, i->chunk_bits);
	struct index_address a;
	int r = 0;

	while (number < total && (r = index_address(v->x, i, number, &a, e)) == !hole)
		number++;
	if (r < 0)
		return r;
	if (number << i->chunk_bits > off)
		off = number << i->chunk_bits;
	*ret = off < i->size ? off : i->size;
	return 0;
}

int view_next_data(
	struct view *v, const struct index_inode *i, uint64_t off, uint64_t *ret, struct err *e)
{
	if (off < i->size && i->layout == INDEX_CHUNKS)
		return find_next(v, i, off, false, ret, e);
	*ret = off < i->size ? off : i->size;
	return 0;
}

int view_next_run(struct view *v, const struct index_inode *i, uint64_t off, uint64_t *ret_start,
	uint64_t *ret_end, struct err *e)
{
	uint64_t start, end = i->size;
	int r = view_next_data(v, i, off, &start, e);

	if (r < 0 || start >= i->size)
		return r;
	if (i->layout == INDEX_CHUNKS)
		r = find_next(v, i, start, true, &end, e);
	if (r < 0)
		return r;
	*ret_start = start;
	*ret_end = end;
	return 1;
}
