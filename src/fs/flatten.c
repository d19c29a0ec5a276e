/* SPDX-License-Identifier: Apache-2.0 */
#include "flatten.h"
#include "image/index-walk.h"
#include "format/tar-sparse.h"

struct xattr_name {
	char text[XATTR_NAME_LEN_MAX + 1];
};

struct flatten {
	struct view *v;
	struct sink *out;
	/* Of the current entry. */
	struct tar_map map;
	struct xattr_name *names;
	struct tar_xattr *xattrs;
	size_t room_xattrs;
};

static void flatten_done(struct flatten *f)
{
	tar_map_done(&f->map);
	free(f->names);
	free(f->xattrs);
}

static int reserve_xattrs(struct flatten *f, size_t n)
{
	struct xattr_name *names;
	struct tar_xattr *xattrs;

	if (n <= f->room_xattrs)
		return 0;
	names = reallocarray(f->names, 2 * n, sizeof(*names));
	if (names)
		f->names = names;
	xattrs = reallocarray(f->xattrs, 2 * n, sizeof(*xattrs));
	if (xattrs)
		f->xattrs = xattrs;
	if (!names || !xattrs)
		return -ENOMEM;
	f->room_xattrs = 2 * n;
	return 0;
}

/* The names are put into the list last: until then their array moves. */
static int load_xattrs(
	struct flatten *f, const struct walk_entry *w, struct tar_entry *x, struct err *e)
{
	struct xattr_name name;
	struct bytes value;
	uint64_t pos = 0;
	size_t n = 0;
	int r;

	while ((r = index_xattr(view_index(f->v), &w->inode, &pos, name.text, &value, e)) == 1) {
		if (reserve_xattrs(f, n + 1) < 0)
			return err_sys(e, -ENOMEM, "cannot read extended attributes");
		f->names[n] = name;
		f->xattrs[n++] = (struct tar_xattr){.value = value.p, .value_size = value.n};
	}
	for (size_t i = 0; i < n; i++)
		f->xattrs[i].name = f->names[i].text;
	x->xattrs = f->xattrs;
	x->n_xattrs = n;
	return r;
}

static int map_data(struct flatten *f, const struct index_inode *i, struct err *e)
{
	uint64_t start, end = 0;
	int r;

	tar_map_reset(&f->map);
	while ((r = view_next_run(f->v, i, end, &start, &end, e)) == 1)
		if (tar_map_add(&f->map, start, end - start) < 0)
			return err_sys(e, -ENOMEM, "cannot map its holes");
	return r;
}

static int copy_extent(
	struct flatten *f, const struct index_inode *i, struct tar_extent x, struct err *e)
{
	while (x.size) {
		uint8_t *room;
		size_t n;
		int r = f->out->room(f->out, &room, &n);

		if (r < 0)
			return err_sys(e, r, "cannot write");
		n = n < x.size ? n : (size_t)x.size;
		r = view_read(f->v, i, room, n, x.offset, &n, e);
		if (r < 0)
			return r;
		r = f->out->fill(f->out, n);
		if (r < 0)
			return err_sys(e, r, "cannot write");
		x.offset += n;
		x.size -= n;
	}
	return 0;
}

static int write_file(
	struct flatten *f, const struct index_inode *i, struct tar_entry *x, struct err *e)
{
	int r = map_data(f, i, e);

	if (r < 0)
		return r;
	x->size = i->size;
	x->sparse = f->map.data < i->size;
	x->extents = f->map.v;
	x->n_extents = f->map.n;
	r = tar_write_entry(f->out, x, e);
	for (size_t k = 0; r == 0 && k < f->map.n; k++)
		r = copy_extent(f, i, f->map.v[k], e);
	if (r < 0)
		return r;
	r = tar_write_padding(f->out, x);
	return r < 0 ? err_sys(e, r, "cannot write") : 0;
}

static int write_symlink(
	struct flatten *f, const struct index_inode *i, struct tar_entry *x, struct err *e)
{
	_cleanup_free_ char *target = NULL;
	struct bytes b;
	int r = index_content(view_index(f->v), i, &b, e);

	if (r < 0)
		return r;
	target = strndup((const char *)b.p, b.n);
	if (!target)
		return err_sys(e, -ENOMEM, "cannot read");
	x->link = target;
	return tar_write_entry(f->out, x, e);
}

static int write_entry(struct flatten *f, const struct walk_entry *w, struct err *e)
{
	struct tar_entry x = {
		.path = w->path,
		.mode = w->inode.mode,
		.hardlink = w->first,
		.link = w->first,
		.uid = w->inode.uid,
		.gid = w->inode.gid,
		.mtime = w->inode.mtime,
		.mtime_nsec = w->inode.mtime_nsec,
		.dev_major = w->inode.dev_major,
		.dev_minor = w->inode.dev_minor,
	};
	int r;

	if (strncmp(w->name, ".wh.", 4) == 0)
		return err_set(e, -ERR_INPUT, "its name would be a whiteout in a layer");
	r = load_xattrs(f, w, &x, e);
	if (r < 0)
		return r;
	if (S_ISREG(x.mode) && !x.hardlink)
		return write_file(f, &w->inode, &x, e);
	if (S_ISLNK(x.mode) && !x.hardlink)
		return write_symlink(f, &w->inode, &x, e);
	return tar_write_entry(f->out, &x, e);
}

int view_flatten(struct view *v, struct sink *out, struct err *e)
{
	_cleanup_(index_walk_freep) struct index_walk *walk = index_walk_new(view_index(v), true);
	_cleanup_(flatten_done) struct flatten f = {.v = v, .out = out};
	struct walk_entry w;
	int r;

	if (!walk)
		return err_sys(e, -ENOMEM, "cannot read the tree");
	while ((r = index_walk_next(walk, &w, e)) == 1) {
		r = w.leave ? 0 : write_entry(&f, &w, e);
		if (r < 0)
			return err_prefix(e, r, "'%.200s'", w.path);
	}
	if (r == 0)
		r = tar_write_end(out);
	return r < 0 ? err_sys(e, r, "cannot write") : 0;
}
