/* SPDX-License-Identifier: Apache-2.0 */
/* A whole index as a tree, with everything checked that a tree relies on. */
#include "index.h"
#include "index-disk.h"
#include "util/array.h"

#include <dirent.h>

#define XATTR_LIST_BYTES_MAX 65536 /* Linux could not list more */

struct loader {
	const struct index *x;
	struct tree *t;
	struct inode **by_nid; /* what was read already */
	uint32_t *chunk_ids;   /* the index's chunk numbers -> the tree's ids */
	struct {
		uint64_t nid, parent;
	} * stack;
	size_t n_stack, room_stack;
	struct xattr *xattrs; /* of the inode at hand */
	size_t room_xattrs;
	uint64_t record_bytes; /* of the inodes read so far, with what follows each */
};

static int damaged(struct err *e, uint64_t nid, const char *what)
{
	return err_set(
		e, -ERR_INPUT, "invalid index: inode %llu: %s", (unsigned long long)nid, what);
}

static int load_chunk_table(struct loader *l, struct err *e)
{
	const struct index_info *info = index_info(l->x);
	uint64_t block = 0;

	for (uint64_t n = 0; n < info->chunks; n++) {
		struct chunk c;
		uint64_t at;
		int r;

		index_chunk(l->x, n, &c);
		if (c.size == 0 || c.size > 1u << CHUNK_BITS_MAX || block >= EROFS_NULL_BLOCK ||
			index_find_chunk(l->x, (uint32_t)block, &at) || at != n)
			return err_set(e, -ERR_INPUT, "invalid index: chunk %llu is out of order",
				(unsigned long long)n);
		block += (c.size + EROFS_BLOCK_SIZE - 1) / EROFS_BLOCK_SIZE;
		r = tree_chunk(l->t, &c.digest, c.size, &l->chunk_ids[n]);
		if (r < 0)
			return err_sys(e, r, "cannot read the index");
		if (l->t->chunks[l->chunk_ids[n]].size != c.size)
			return err_set(e, -ERR_INPUT,
				"invalid index: chunk %llu is of the wrong size",
				(unsigned long long)n);
	}
	return 0;
}

static int load_chunks(
	struct loader *l, const struct index_inode *d, struct inode *i, struct err *e)
{
	uint64_t n = chunk_count(d->size, d->chunk_bits);

	i->chunk_bits = d->chunk_bits;
	i->chunks = arena_alloc(&l->t->arena, n * sizeof(uint32_t));
	if (!i->chunks)
		return err_sys(e, -ENOMEM, "cannot read the index");
	for (uint64_t k = 0; k < n; k++) {
		struct index_address a;
		uint64_t number;
		int r = index_address(l->x, d, k, &a, e);

		if (r < 0)
			return r;
		i->chunks[k] = CHUNK_HOLE;
		if (r == 1)
			continue;
		if (index_find_chunk(l->x, a.block, &number))
			return damaged(e, d->nid, "a chunk that is not in the table");
		i->chunks[k] = l->chunk_ids[number];
		if (l->t->chunks[i->chunks[k]].size != chunk_size_at(d->size, d->chunk_bits, k))
			return damaged(e, d->nid, "a chunk of the wrong size");
	}
	return 0;
}

static int load_content(
	struct loader *l, const struct index_inode *d, struct inode *i, struct err *e)
{
	struct bytes b;
	int r;

	if (d->layout == INDEX_CHUNKS)
		return load_chunks(l, d, i, e);
	if (!S_ISREG(d->mode) && !S_ISLNK(d->mode))
		return 0;
	r = index_content(l->x, d, &b, e);
	if (r < 0)
		return r;
	if (S_ISREG(d->mode)) {
		i->data = b.p;
		return 0;
	}
	if (!b.n || memchr(b.p, 0, b.n))
		return damaged(e, d->nid, "wrong symlink target");
	i->target = arena_alloc(&l->t->arena, b.n + 1);
	if (!i->target)
		return err_sys(e, -ENOMEM, "cannot read the index");
	memcpy((char *)(uintptr_t)i->target, b.p, b.n);
	return 0;
}

static int push_xattr(struct loader *l, size_t n, const char *name, struct bytes value)
{
	if (array_room(&l->xattrs, n, &l->room_xattrs, sizeof(*l->xattrs)) < 0)
		return -ENOMEM;
	l->xattrs[n] = (struct xattr){.value = value.p, .value_size = (uint32_t)value.n};
	l->xattrs[n].name = arena_copy(&l->t->arena, name, strlen(name) + 1);
	return l->xattrs[n].name ? 0 : -ENOMEM;
}

static int load_xattrs(
	struct loader *l, const struct index_inode *d, struct inode *i, struct err *e)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	size_t n = 0, names = 0;
	struct bytes value;
	uint64_t pos = 0;
	int r;

	while ((r = index_xattr(l->x, d, &pos, name, &value, e)) == 1) {
		names += strlen(name) + 1;
		if (names > XATTR_LIST_BYTES_MAX)
			return damaged(e, d->nid, "too many xattrs");
		r = push_xattr(l, n++, name, value);
		if (r < 0)
			return err_sys(e, r, "cannot read the index");
	}
	if (r == 0)
		r = tree_xattrs_view(l->t, l->xattrs, n, &i->xattrs);
	return r < 0 ? err_sys(e, r, "cannot read the index") : 0;
}

/*
 * The records of different inodes do not overlap, so that together they fit the index. Were they
 * to, a small index could describe a tree far larger than itself.
 */
static int count_record(struct loader *l, const struct index_inode *d, struct err *e)
{
	l->record_bytes += sizeof(struct erofs_inode) + d->xattrs.n + d->tail.n;
	return l->record_bytes <= index_info(l->x)->size ? 0
							 : damaged(e, d->nid, "overlaps others");
}

static int load_inode(struct loader *l, uint64_t nid, struct inode **ret, struct err *e)
{
	struct index_inode d;
	struct inode *i;
	int r;

	if (nid <= index_info(l->x)->size / EROFS_SLOT_SIZE && l->by_nid[nid]) {
		if (inode_is_dir(l->by_nid[nid]))
			return damaged(e, nid, "a directory with two names");
		*ret = l->by_nid[nid];
		return 0;
	}
	r = index_inode(l->x, nid, &d, e);
	if (r == 0)
		r = count_record(l, &d, e);
	if (r < 0)
		return r;
	i = tree_inode_new(l->t, d.mode);
	if (!i)
		return err_sys(e, -ENOMEM, "cannot read the index");
	i->uid = d.uid;
	i->gid = d.gid;
	i->mtime = d.mtime;
	i->mtime_nsec = d.mtime_nsec;
	i->size = S_ISDIR(d.mode) ? 0 : d.size;
	i->dev_major = d.dev_major;
	i->dev_minor = d.dev_minor;
	i->flags = d.flags;
	if ((d.flags & (INODE_OPAQUE | INODE_IMPLICIT) && !S_ISDIR(d.mode)) ||
		(d.flags & INODE_LINK && !S_ISLNK(d.mode)) ||
		(d.flags & INODE_WHITEOUT && !S_ISCHR(d.mode)))
		return damaged(e, nid, "wrong layer mark");
	r = load_xattrs(l, &d, i, e);
	if (r == 0)
		r = load_content(l, &d, i, e);
	if (r < 0)
		return r;
	l->by_nid[nid] = i;
	*ret = i;
	return 0;
}

static int push(struct loader *l, uint64_t nid, uint64_t parent, struct err *e)
{
	if (array_room(&l->stack, l->n_stack, &l->room_stack, sizeof(*l->stack)) < 0)
		return err_sys(e, -ENOMEM, "cannot read the index");
	l->stack[l->n_stack].nid = nid;
	l->stack[l->n_stack++].parent = parent;
	return 0;
}

static bool same_type(const struct index_name *n, const struct inode *i)
{
	return n->type == IFTODT(i->mode);
}

/* 1 = it is "." or "..". */
static int load_name(struct loader *l, struct inode *dir, uint64_t nid, uint64_t parent,
	const struct index_name *n, struct err *e)
{
	bool dot = n->len == 1 && n->name[0] == '.';
	bool dots = n->len == 2 && n->name[0] == '.' && n->name[1] == '.';
	struct inode *i;
	int r;

	if (dot || dots)
		return n->nid == (dot ? nid : parent) ? 1 : damaged(e, nid, "wrong . or ..");
	r = load_inode(l, n->nid, &i, e);
	if (r < 0)
		return r;
	if (!same_type(n, i))
		return damaged(e, nid, "a name of the wrong type");
	r = tree_link(l->t, dir, n->name, n->len, i);
	if (r < 0)
		return err_sys(e, r, "cannot read the index");
	return inode_is_dir(i) ? push(l, n->nid, nid, e) : 0;
}

static int load_dir(struct loader *l, uint64_t nid, uint64_t parent, struct err *e)
{
	char last[NAME_LEN_MAX];
	size_t last_len = 0;
	int dots = 0; /* that each has its own keeps directories from sharing blocks */
	struct index_inode d;
	struct index_name n;
	uint64_t pos = 0;
	int r = index_inode(l->x, nid, &d, e);

	if (r < 0)
		return r;
	while ((r = index_readdir(l->x, &d, &pos, &n, e)) == 1) {
		int c = memcmp(last, n.name, last_len < n.len ? last_len : n.len);

		if (last_len && (c > 0 || (c == 0 && last_len >= n.len)))
			return damaged(e, nid, "names out of order");
		memcpy(last, n.name, n.len);
		last_len = n.len;
		r = load_name(l, l->by_nid[nid], nid, parent, &n, e);
		if (r < 0)
			return r;
		dots += r;
	}
	return r == 0 && dots != 2 ? damaged(e, nid, "no . or ..") : r;
}

static int load_all(struct loader *l, struct inode **ret_root, struct err *e)
{
	uint64_t root = index_info(l->x)->root_nid;
	int r = load_chunk_table(l, e);

	if (r == 0)
		r = load_inode(l, root, ret_root, e);
	if (r == 0 && !inode_is_dir(*ret_root))
		return damaged(e, root, "the root is no directory");
	if (r == 0)
		r = push(l, root, root, e);
	while (r == 0 && l->n_stack) {
		l->n_stack--;
		r = load_dir(l, l->stack[l->n_stack].nid, l->stack[l->n_stack].parent, e);
	}
	return r;
}

int index_load(const struct index *x, struct tree *t, struct inode **ret_root, struct err *e)
{
	const struct index_info *info = index_info(x);
	struct loader l = {.x = x, .t = t};
	struct inode *root;
	int r;

	if (info->local)
		return err_set(e, -ERR_UNSUPPORTED, "a local index cannot be read as a tree");
	l.by_nid = calloc(info->size / EROFS_SLOT_SIZE + 1, sizeof(*l.by_nid));
	l.chunk_ids = calloc(info->chunks + 1, sizeof(*l.chunk_ids));
	r = l.by_nid && l.chunk_ids ? load_all(&l, &root, e)
				    : err_sys(e, -ENOMEM, "cannot read the index");
	free(l.by_nid);
	free(l.chunk_ids);
	free(l.stack);
	free(l.xattrs);
	if (r < 0)
		return r;
	*ret_root = root;
	return 0;
}
