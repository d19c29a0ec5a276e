/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <assert.h>

#define TABLE_FIRST_SIZE 1024

/* FNV-1a over the name, mixed with the parent: names are short, and this needs no library. */
static uint32_t name_hash(const struct inode *dir, const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u ^ ((uintptr_t)dir >> 4);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

struct tree *tree_new(void)
{
	_cleanup_(tree_freep) struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->table_size = TABLE_FIRST_SIZE;
	t->table = calloc(t->table_size, sizeof(*t->table));
	t->root = tree_inode_new(t, S_IFDIR | 0755);
	if (!t->table || !t->root)
		return NULL;
	t->root->flags = INODE_IMPLICIT;
	return TAKE_PTR(t);
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	arena_done(&t->arena);
	free(t->table);
	free(t->chunks);
	free(t->chunk_table);
	free(t);
}

unsigned int chunk_bits_for(uint64_t size, unsigned int wanted_bits)
{
	unsigned int bits = wanted_bits;

	while (bits < CHUNK_BITS_MAX && chunk_count(size, bits) > CHUNKS_PER_FILE)
		bits++;
	return bits;
}

struct inode *tree_inode_new(struct tree *t, uint32_t mode)
{
	struct inode *i = arena_alloc(&t->arena, sizeof(*i));

	if (i)
		i->mode = mode;
	return i;
}

static struct dentry *find_slot(
	const struct tree *t, const struct inode *dir, const char *name, size_t len, uint32_t hash)
{
	struct dentry *d = t->table[hash & (t->table_size - 1)];

	while (d && (d->hash != hash || d->parent != dir || d->len != len ||
			    memcmp(d->name, name, len)))
		d = d->hash_next;
	return d;
}

struct dentry *tree_find(
	const struct tree *t, const struct inode *dir, const char *name, size_t len)
{
	struct dentry *d = find_slot(t, dir, name, len, name_hash(dir, name, len));

	return d && d->inode ? d : NULL;
}

static int grow_table(struct tree *t)
{
	size_t size = t->table_size * 2;
	struct dentry **table = calloc(size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < t->table_size; i++) {
		struct dentry *d, *next;

		for (d = t->table[i]; d; d = next) {
			next = d->hash_next;
			d->hash_next = table[d->hash & (size - 1)];
			table[d->hash & (size - 1)] = d;
		}
	}
	free(t->table);
	t->table = table;
	t->table_size = size;
	return 0;
}

int tree_link(struct tree *t, struct inode *dir, const char *name, size_t len, struct inode *inode)
{
	uint32_t hash = name_hash(dir, name, len);
	struct dentry *d = find_slot(t, dir, name, len, hash);

	assert(inode_is_dir(dir) && len > 0 && len <= NAME_LEN_MAX);
	if (d) {
		d->inode = inode;
		return 0;
	}
	if (t->n_names >= t->table_size) {
		int r = grow_table(t);

		if (r < 0)
			return r;
	}
	d = arena_alloc(&t->arena, sizeof(*d) + len + 1);
	if (!d)
		return -ENOMEM;
	d->parent = dir;
	d->inode = inode;
	d->hash = hash;
	d->len = (uint16_t)len;
	memcpy(d->name, name, len);
	d->sibling = dir->children;
	dir->children = d;
	d->hash_next = t->table[hash & (t->table_size - 1)];
	t->table[hash & (t->table_size - 1)] = d;
	t->n_names++;
	return 0;
}

void tree_clear(struct inode *dir)
{
	dentry_for_each (d, dir)
		d->inode = NULL;
}

static size_t chunk_slot(const struct tree *t, const struct digest *digest)
{
	size_t mask = t->chunk_table_size - 1;
	size_t i;
	uint64_t h;

	memcpy(&h, digest->b, sizeof(h)); /* a digest is its own hash */
	for (i = h & mask; t->chunk_table[i]; i = (i + 1) & mask)
		if (digest_equal(&t->chunks[t->chunk_table[i] - 1].digest, digest))
			break;
	return i;
}

static int grow_chunks(struct tree *t)
{
	uint32_t room = t->room_chunks ? t->room_chunks * 2 : 1024;
	struct chunk *chunks;
	uint32_t *table;

	if (room > UINT32_MAX / 4)
		return -ENOMEM;
	chunks = reallocarray(t->chunks, room, sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	t->chunks = chunks;
	table = calloc((size_t)room * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(t->chunk_table);
	t->chunk_table = table;
	t->chunk_table_size = (size_t)room * 2;
	t->room_chunks = room;
	for (uint32_t i = 0; i < t->n_chunks; i++)
		t->chunk_table[chunk_slot(t, &t->chunks[i].digest)] = i + 1;
	return 0;
}

int tree_chunk(struct tree *t, const struct digest *digest, uint32_t size, uint32_t *ret_id)
{
	size_t slot;

	if (t->n_chunks == t->room_chunks) {
		int r = grow_chunks(t);

		if (r < 0)
			return r;
	}
	slot = chunk_slot(t, digest);
	if (t->chunk_table[slot]) {
		*ret_id = t->chunk_table[slot] - 1;
		return 0;
	}
	t->chunks[t->n_chunks] = (struct chunk){.digest = *digest, .size = size};
	t->chunk_table[slot] = t->n_chunks + 1;
	*ret_id = t->n_chunks++;
	return 1;
}

static int name_order(const void *pa, const void *pb)
{
	const struct name *a = pa, *b = pb;
	int c = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);

	return c ? c : (int)a->len - (int)b->len;
}

int tree_sorted_names(struct inode *dir, struct inode *parent, struct name **ret, size_t *ret_n)
{
	struct name *v;
	size_t n = 2;

	dentry_for_each (d, dir)
		n++;
	v = calloc(n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v[0] = (struct name){.name = ".", .len = 1, .inode = dir};
	v[1] = (struct name){.name = "..", .len = 2, .inode = parent};
	n = 2;
	dentry_for_each (d, dir)
		v[n++] = (struct name){.name = d->name, .len = d->len, .inode = d->inode};
	qsort(v, n, sizeof(*v), name_order);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* Insertion sort: a file has a handful of xattrs, and they mostly come sorted. */
int tree_xattrs_view(struct tree *t, const struct xattr *v, size_t n, const struct xattr_set **ret)
{
	struct xattr_set *s;

	*ret = NULL;
	if (!n)
		return 0;
	s = arena_alloc(&t->arena, sizeof(*s) + n * sizeof(*v));
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t at = s->n;

		while (at > 0 && strcmp(s->v[at - 1].name, v[i].name) > 0)
			at--;
		if (at > 0 && strcmp(s->v[at - 1].name, v[i].name) == 0) {
			s->v[at - 1] = v[i];
			continue;
		}
		memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*v));
		s->v[at] = v[i];
		s->n++;
	}
	*ret = s;
	return 0;
}

int tree_xattrs(struct tree *t, const struct xattr *v, size_t n, const struct xattr_set **ret)
{
	_cleanup_free_ struct xattr *copy = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = v[i];
		copy[i].name = arena_copy(&t->arena, v[i].name, strlen(v[i].name) + 1);
		copy[i].value = arena_copy(&t->arena, v[i].value, v[i].value_size);
		if (!copy[i].name || !copy[i].value)
			return -ENOMEM;
	}
	return tree_xattrs_view(t, copy, n, ret);
}
