/* SPDX-License-Identifier: Apache-2.0 */
#include "index-walk.h"
#include "source/link-table.h"
#include "util/array.h"
#include "util/buf.h"

#define INODE_SIZE 64 /* bytes of the index that each inode takes at least */

struct level {
	struct index_inode dir;
	uint64_t pos;
	size_t prefix; /* bytes of the path in front of this directory's names */
};

struct index_walk {
	const struct index *x;
	bool links;
	bool begun;
	struct buf path;
	struct level *levels;
	size_t n, room;
	uint64_t dirs; /* entered so far */
	struct link_table first_names;
};

struct index_walk *index_walk_new(const struct index *x, bool links)
{
	struct index_walk *w = calloc(1, sizeof(*w));

	if (w) {
		w->x = x;
		w->links = links;
	}
	return w;
}

void index_walk_free(struct index_walk *w)
{
	if (!w)
		return;
	buf_done(&w->path);
	free(w->levels);
	link_table_done(&w->first_names);
	free(w);
}

/* The path becomes its first `prefix` bytes and the name. */
static int set_path(struct index_walk *w, size_t prefix, const char *name, size_t len)
{
	w->path.n = prefix;
	return buf_add(&w->path, name, len);
}

static int enter(struct index_walk *w, const struct index_inode *dir, struct err *e)
{
	if (++w->dirs > index_info(w->x)->size / INODE_SIZE)
		return err_set(e, -ERR_STORE, "index: a directory lies within itself");
	if (array_room(&w->levels, w->n, &w->room, sizeof(*w->levels)) < 0)
		return err_sys(e, -ENOMEM, "cannot read the tree");
	w->levels[w->n] = (struct level){.dir = *dir, .prefix = w->n ? w->path.n + 1 : 0};
	w->n++;
	return 0;
}

static int find_first(struct index_walk *w, struct walk_entry *x, struct err *e)
{
	if (!w->links || S_ISDIR(x->inode.mode) || x->inode.nlink < 2)
		return 0;
	return link_table_add(&w->first_names, 0, x->inode.nid, x->path, &x->first) < 0
		       ? err_sys(e, -ENOMEM, "cannot remember '%.200s'", x->path)
		       : 0;
}

/* The path is the entry's already. */
static int give(
	struct index_walk *w, uint64_t nid, size_t prefix, struct walk_entry *ret, struct err *e)
{
	struct walk_entry x = {.path = (char *)w->path.p, .name = (char *)w->path.p + prefix};
	int r = index_inode(w->x, nid, &x.inode, e);

	if (r == 0)
		r = find_first(w, &x, e);
	if (r == 0 && S_ISDIR(x.inode.mode))
		r = enter(w, &x.inode, e);
	if (r < 0)
		return err_prefix(e, r, "'%.200s'", x.path);
	*ret = x;
	return 1;
}

static int begin(struct index_walk *w, struct walk_entry *ret, struct err *e)
{
	struct index_inode root;
	int r = index_inode(w->x, index_info(w->x)->root_nid, &root, e);

	if (r == 0 && !S_ISDIR(root.mode))
		r = err_set(e, -ERR_STORE, "index: the root is no directory");
	if (r == 0 && set_path(w, 0, "./", 2) < 0)
		r = err_sys(e, -ENOMEM, "cannot read the tree");
	w->begun = true;
	return r < 0 ? r : give(w, root.nid, 0, ret, e);
}

/* The innermost directory's path is cut out of the current one, which lies in it or is it. */
static int leave(struct index_walk *w, struct walk_entry *ret, struct err *e)
{
	const struct level *l = &w->levels[--w->n];
	size_t outer = w->n ? w->levels[w->n - 1].prefix : 0;

	if (w->n) {
		w->path.n = l->prefix - 1;
		w->path.p[w->path.n] = 0;
	} else if (set_path(w, 0, "./", 2) < 0) {
		return err_sys(e, -ENOMEM, "cannot read the tree");
	}
	*ret = (struct walk_entry){
		.path = (char *)w->path.p,
		.name = (char *)w->path.p + outer,
		.leave = true,
		.inode = l->dir,
	};
	return 1;
}

static bool is_dot(const struct index_name *n)
{
	return n->name[0] == '.' && (n->len == 1 || (n->len == 2 && n->name[1] == '.'));
}

/* The next name of the innermost directory, "." and ".." left out. 0 = no more. */
static int next_name(struct index_walk *w, struct index_name *ret, struct err *e)
{
	struct level *l = &w->levels[w->n - 1];
	int r;

	do
		r = index_readdir(w->x, &l->dir, &l->pos, ret, e);
	while (r == 1 && is_dot(ret));
	return r;
}

int index_walk_next(struct index_walk *w, struct walk_entry *ret, struct err *e)
{
	struct index_name name;
	size_t prefix;
	int r;

	if (!w->begun)
		return begin(w, ret, e);
	if (!w->n)
		return 0;
	r = next_name(w, &name, e);
	if (r <= 0)
		return r < 0 ? err_prefix(e, r, "'%.200s'", (char *)w->path.p) : leave(w, ret, e);
	prefix = w->levels[w->n - 1].prefix;
	if (prefix)
		w->path.p[prefix - 1] = '/';
	if (set_path(w, prefix, name.name, name.len) < 0)
		return err_sys(e, -ENOMEM, "cannot read the tree");
	return give(w, name.nid, prefix, ret, e);
}
