/* SPDX-License-Identifier: Apache-2.0 */
#include "traits.h"
#include "util/array.h"

#include <dirent.h>

/* Directories that are still to be read. */
struct todo {
	uint64_t *nids;
	size_t n, room;
	uint64_t left; /* so many there may be: an index that holds a loop ends */
};

static int put(struct todo *t, uint64_t nid)
{
	int r = array_room(&t->nids, t->n, &t->room, sizeof(*t->nids));

	if (r == 0)
		t->nids[t->n++] = nid;
	return r;
}

static bool is_dot(const struct index_name *n)
{
	return n->name[0] == '.' && (n->len == 1 || (n->len == 2 && n->name[1] == '.'));
}

static int look_at_data(
	const struct index *x, const struct index_inode *i, struct traits *t, struct err *e)
{
	uint64_t data = i->layout == INDEX_CHUNKS ? 0 : i->size;
	uint64_t n = i->layout == INDEX_CHUNKS ? chunk_count(i->size, i->chunk_bits) : 0;

	for (uint64_t k = 0; k < n; k++) {
		struct index_address a;
		int r = index_address(x, i, k, &a, e);

		if (r < 0)
			return r;
		if (r == 0)
			data += chunk_size_at(i->size, i->chunk_bits, k);
	}
	if (data > t->largest)
		t->largest = data;
	return 0;
}

/* Only of devices, and where there may be large ones of files, is more read than their names. */
static int look(const struct index *x, const struct index_name *n, uint64_t interest,
	struct traits *t, struct err *e)
{
	bool large = n->type == DT_REG && index_info(x)->data_bytes >= interest;
	struct index_inode i;
	int r;

	if (n->type != DT_CHR && !large)
		return 0;
	r = index_inode(x, n->nid, &i, e);
	if (r < 0)
		return r;
	if (n->type == DT_CHR && i.dev_major == 0 && i.dev_minor == 0)
		t->whiteout = true;
	return large && i.size > t->largest ? look_at_data(x, &i, t, e) : 0;
}

static int read_dir(const struct index *x, uint64_t nid, uint64_t interest, struct todo *todo,
	struct traits *t, struct err *e)
{
	struct index_inode dir;
	struct index_name n;
	uint64_t pos = 0;
	int r = index_inode(x, nid, &dir, e);

	if (r < 0)
		return r;
	while ((r = index_readdir(x, &dir, &pos, &n, e)) == 1) {
		if (n.type != DT_DIR)
			r = look(x, &n, interest, t, e);
		else
			r = is_dot(&n) ? 0 : put(todo, n.nid);
		if (r < 0)
			return r;
	}
	return r;
}

static int walk(const struct index *x, uint64_t interest, struct traits *ret, struct err *e)
{
	struct todo todo = {.left = index_info(x)->inodes};
	struct traits t = {0};
	int r = put(&todo, index_info(x)->root_nid);

	while (r == 0 && todo.n) {
		if (!todo.left--)
			r = err_set(e, -ERR_STORE, "index: a directory lies within itself");
		else
			r = read_dir(x, todo.nids[--todo.n], interest, &todo, &t, e);
	}
	free(todo.nids);
	if (r == 0)
		*ret = t;
	return r < 0 ? err_sys(e, r, "cannot look through the image") : 0;
}

int traits_of(const struct index *x, uint64_t interest, struct traits *ret, struct err *e)
{
	const struct index_info *info = index_info(x);

	if (!info->facts)
		return walk(x, interest, ret, e);
	*ret = (struct traits){.whiteout = info->whiteout, .largest = info->largest};
	return 0;
}
