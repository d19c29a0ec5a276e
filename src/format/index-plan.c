/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything goes in an index.
 *
 *   block 0      header, superblock, device table
 *   then         the directories' inodes, depth first, each with its inline tail
 *                the directories' blocks, in the same order
 *                all other inodes, directory by directory, with inline content or chunk indexes
 *                blocks of long symlinks
 *                xattrs that several inodes share
 *   then         the chunk table
 *
 * A walk thus reads one dense run for the names and a second one for the attributes.
 */
#include "index-plan.h"
#include "util/array.h"

#include <assert.h>

static int push_dir(struct index_plan *p, struct inode *inode)
{
	if (array_room(&p->dirs, p->n_dirs, &p->room_dirs, sizeof(*p->dirs)) < 0)
		return -ENOMEM;
	p->dirs[p->n_dirs++] = (struct plan_dir){.inode = inode};
	return 0;
}

static int push_inode(struct inode ***v, size_t *n, size_t *room, struct inode *inode)
{
	if (array_room(v, *n, room, sizeof(**v)) < 0)
		return -ENOMEM;
	(*v)[(*n)++] = inode;
	return 0;
}

/* Directories still to be visited, with their parents: pairs on one stack. */
struct walk {
	struct inode **stack;
	size_t n, room;
};

static int walk_push(struct walk *w, struct inode *dir, struct inode *parent)
{
	int r = push_inode(&w->stack, &w->n, &w->room, parent);

	return r < 0 ? r : push_inode(&w->stack, &w->n, &w->room, dir);
}

static bool is_dot(const struct name *n)
{
	return n->name[0] == '.' && (n->len == 1 || (n->len == 2 && n->name[1] == '.'));
}

/* Takes in one directory: its sorted names, its files in that order, its directories to visit. */
static int visit_dir(struct index_plan *p, struct walk *w, struct inode *dir, struct inode *parent)
{
	struct plan_dir *d;
	int r = push_dir(p, dir);

	if (r < 0)
		return r;
	d = &p->dirs[p->n_dirs - 1];
	r = tree_sorted_names(dir, parent, &d->names, &d->n_names);
	if (r < 0)
		return r;
	dir->nlink = 2;
	for (size_t k = d->n_names; k > 0; k--) { /* backwards: the stack turns it round */
		const struct name *n = &d->names[k - 1];

		if (is_dot(n) || !inode_is_dir(n->inode))
			continue;
		dir->nlink++;
		r = walk_push(w, n->inode, dir);
		if (r < 0)
			return r;
	}
	for (size_t k = 0; k < d->n_names; k++) {
		struct inode *i = d->names[k].inode;

		if (inode_is_dir(i))
			continue;
		if (i->mark++ == 0) {
			i->nlink = 0;
			r = push_inode(&p->files, &p->n_files, &p->room_files, i);
			if (r < 0)
				return r;
		}
		i->nlink++;
	}
	return 0;
}

static int plan_walk(struct index_plan *p)
{
	struct walk w = {0};
	int r = walk_push(&w, p->tree->root, p->tree->root);

	while (r == 0 && w.n) {
		struct inode *dir = w.stack[--w.n];
		struct inode *parent = w.stack[--w.n];

		r = visit_dir(p, &w, dir, parent);
	}
	free(w.stack);
	return r;
}

/* The bytes of a directory's names: full blocks, then what the last block holds. */
static uint64_t dir_bytes(const struct plan_dir *d)
{
	uint64_t blocks = 0;
	size_t used = 0;

	for (size_t k = 0; k < d->n_names; k++) {
		size_t need = sizeof(struct erofs_dirent) + d->names[k].len;

		if (used + need > EROFS_BLOCK_SIZE) {
			blocks++;
			used = 0;
		}
		used += need;
	}
	return blocks * EROFS_BLOCK_SIZE + used;
}

struct plan_record plan_record_of(const struct index_plan *p, const struct inode *i)
{
	struct plan_record rec = {.layout = EROFS_PLAIN};
	int r = xattr_pool_body_size(p->xattrs, i, p->layer, &rec.xattr_size);

	rec.too_big = r < 0;
	if (S_ISDIR(i->mode) || S_ISLNK(i->mode)) {
		size_t tail = i->size % EROFS_BLOCK_SIZE;

		if (tail && tail <= INDEX_TAIL_MAX) {
			rec.layout = EROFS_INLINE;
			rec.tail = tail;
		}
	} else if (S_ISREG(i->mode) && i->size && !i->chunk_bits) {
		rec.layout = EROFS_INLINE;
		rec.tail = (size_t)i->size;
	} else if (S_ISREG(i->mode) && i->size) {
		rec.layout = EROFS_CHUNKS;
		rec.chunks = chunk_count(i->size, i->chunk_bits);
	}
	return rec;
}

uint32_t plan_own_blocks(const struct inode *i, const struct plan_record *rec)
{
	if (!S_ISDIR(i->mode) && !S_ISLNK(i->mode))
		return 0;
	return (uint32_t)((i->size - rec->tail + EROFS_BLOCK_SIZE - 1) / EROFS_BLOCK_SIZE);
}

/*
 * The first place from `pos` on where an inode fits: at a slot, not across a block's end, and with
 * an inline tail within one block (both are EROFS's rules). Returns where it ends.
 */
static uint64_t place_inode(struct inode *i, const struct plan_record *rec, uint64_t pos)
{
	size_t head = sizeof(struct erofs_inode) + rec->xattr_size;
	uint64_t at = (pos + EROFS_SLOT_SIZE - 1) & ~(uint64_t)(EROFS_SLOT_SIZE - 1);

	while (at % EROFS_BLOCK_SIZE + sizeof(struct erofs_inode) > EROFS_BLOCK_SIZE ||
		(rec->tail && (at + head) % EROFS_BLOCK_SIZE + rec->tail > EROFS_BLOCK_SIZE))
		at += EROFS_SLOT_SIZE;
	i->mark = at;
	if (rec->chunks)
		return ((at + head + 7) & ~(uint64_t)7) + rec->chunks * sizeof(struct erofs_chunk);
	return at + head + rec->tail;
}

static uint64_t round_block(uint64_t pos)
{
	return (pos + EROFS_BLOCK_SIZE - 1) & ~(uint64_t)(EROFS_BLOCK_SIZE - 1);
}

static int place_all(struct index_plan *p, struct err *e)
{
	uint64_t pos = EROFS_BLOCK_SIZE;

	for (size_t k = 0; k < p->n_dirs; k++) {
		struct plan_record rec = plan_record_of(p, p->dirs[k].inode);

		if (rec.too_big)
			return err_set(e, -ERR_INPUT,
				"the xattrs of a directory are too large for an index");
		pos = place_inode(p->dirs[k].inode, &rec, pos);
	}
	pos = p->dir_blocks = round_block(pos);
	for (size_t k = 0; k < p->n_dirs; k++) {
		struct plan_record rec = plan_record_of(p, p->dirs[k].inode);

		p->dirs[k].block = (uint32_t)(pos / EROFS_BLOCK_SIZE);
		pos += (uint64_t)plan_own_blocks(p->dirs[k].inode, &rec) * EROFS_BLOCK_SIZE;
	}
	for (size_t k = 0; k < p->n_files; k++) {
		struct plan_record rec = plan_record_of(p, p->files[k]);

		if (rec.too_big)
			return err_set(
				e, -ERR_INPUT, "the xattrs of a file are too large for an index");
		pos = place_inode(p->files[k], &rec, pos);
	}
	pos = p->link_blocks = round_block(pos);
	for (size_t k = 0; k < p->n_files; k++) {
		struct plan_record rec = plan_record_of(p, p->files[k]);

		pos += (uint64_t)plan_own_blocks(p->files[k], &rec) * EROFS_BLOCK_SIZE;
	}
	p->shared_xattrs = pos;
	p->chunk_table = round_block(pos + p->shared_size);
	if (p->chunk_table / EROFS_BLOCK_SIZE > UINT32_MAX)
		return err_set(e, -ERR_INPUT, "the tree's metadata is larger than 16 TiB");
	return 0;
}

static int number_file_chunks(struct index_plan *p, const struct inode *i, struct err *e)
{
	uint64_t n = chunk_count(i->size, i->chunk_bits);

	for (uint64_t k = 0; k < n; k++) {
		uint32_t id = i->chunks[k];

		if (id == CHUNK_HOLE)
			continue;
		p->data_bytes += p->tree->chunks[id].size;
		if (p->chunk_block[id] != EROFS_NULL_BLOCK)
			continue;
		p->chunk_number[id] = (uint32_t)p->n_chunks;
		p->chunk_block[id] = (uint32_t)p->blob_blocks;
		p->chunk_order[p->n_chunks++] = id;
		p->blob_blocks +=
			(p->tree->chunks[id].size + EROFS_BLOCK_SIZE - 1) / EROFS_BLOCK_SIZE;
		if (p->blob_blocks >= EROFS_NULL_BLOCK)
			return err_set(e, -ERR_INPUT, "the tree holds more than 16 TiB of data");
	}
	return 0;
}

/* Chunks are numbered as the files come, so that the numbers depend on the tree alone. */
static int number_chunks(struct index_plan *p, struct err *e)
{
	size_t n = p->tree->n_chunks;

	p->chunk_order = calloc(n + 1, sizeof(uint32_t));
	p->chunk_number = calloc(n + 1, sizeof(uint32_t));
	p->chunk_block = malloc((n + 1) * sizeof(uint32_t));
	if (!p->chunk_order || !p->chunk_number || !p->chunk_block)
		return err_sys(e, -ENOMEM, "cannot plan the index");
	memset(p->chunk_block, 0xff, (n + 1) * sizeof(uint32_t));
	for (size_t k = 0; k < p->n_files; k++) {
		const struct inode *i = p->files[k];
		uint64_t before = p->data_bytes;
		int r = 0;

		if (S_ISREG(i->mode) && i->size && !i->chunk_bits)
			p->data_bytes += i->size;
		else if (S_ISREG(i->mode) && i->size)
			r = number_file_chunks(p, i, e);
		if (r < 0)
			return r;
		if (p->data_bytes - before > p->largest)
			p->largest = p->data_bytes - before;
		if (S_ISCHR(i->mode) && !i->dev_major && !i->dev_minor)
			p->whiteout = true;
	}
	return 0;
}

static int add_xattrs(struct index_plan *p)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < p->n_dirs; k++)
		r = xattr_pool_add(p->xattrs, p->dirs[k].inode, p->layer);
	for (size_t k = 0; r == 0 && k < p->n_files; k++)
		r = xattr_pool_add(p->xattrs, p->files[k], p->layer);
	p->shared_size = xattr_pool_place(p->xattrs);
	return r;
}

int index_plan_new(struct tree *t, bool layer, struct index_plan **ret, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_sys(e, -ENOMEM, "cannot plan the index");
	p->tree = t;
	p->layer = layer;
	p->xattrs = xattr_pool_new();
	r = p->xattrs ? plan_walk(p) : -ENOMEM;
	if (r == 0)
		r = add_xattrs(p);
	if (r < 0)
		return err_sys(e, r, "cannot plan the index");
	for (size_t k = 0; k < p->n_dirs; k++)
		p->dirs[k].inode->size = dir_bytes(&p->dirs[k]);
	r = number_chunks(p, e);
	if (r == 0)
		r = place_all(p, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

void index_plan_free(struct index_plan *p)
{
	if (!p)
		return;
	for (size_t k = 0; k < p->n_dirs; k++)
		free(p->dirs[k].names);
	free(p->dirs);
	free(p->files);
	free(p->chunk_order);
	free(p->chunk_number);
	free(p->chunk_block);
	xattr_pool_free(p->xattrs);
	free(p);
}

const uint32_t *index_plan_chunks(const struct index_plan *p, size_t *ret_n)
{
	*ret_n = p->n_chunks;
	return p->chunk_order;
}

struct tree *index_plan_tree(const struct index_plan *p)
{
	return p->tree;
}
