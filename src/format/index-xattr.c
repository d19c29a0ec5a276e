/* SPDX-License-Identifier: Apache-2.0 */
#include "index-xattr.h"
#include "index-disk.h"

#include <endian.h>

#define NOT_SHARED UINT32_MAX
#define SHARED_MAX 255u                /* ids in one body: an 8-bit count */
#define BODY_MAX   (12u + 4u * 65534u) /* a 16-bit count of 4-byte units */

struct pool_entry {
	struct xattr x;
	uint32_t hash;
	uint32_t uses;
	uint32_t id; /* position in the shared area over 4, or NOT_SHARED */
};

struct xattr_pool {
	struct pool_entry *v; /* in the order they came: that order is the layout */
	uint32_t n, room;
	uint32_t *table; /* number in v + 1 */
	size_t table_size;
};

static const struct index_xattr_prefix prefixes[] = INDEX_XATTR_PREFIXES;

struct xattr_pool *xattr_pool_new(void)
{
	return calloc(1, sizeof(struct xattr_pool));
}

void xattr_pool_free(struct xattr_pool *p)
{
	if (!p)
		return;
	free(p->v);
	free(p->table);
	free(p);
}

static uint32_t xattr_hash(const struct xattr *x)
{
	uint32_t h = 2166136261u;

	for (const char *c = x->name; *c; c++)
		h = (h ^ (uint8_t)*c) * 16777619u;
	for (uint32_t i = 0; i < x->value_size; i++)
		h = (h ^ x->value[i]) * 16777619u;
	return h;
}

static bool xattr_equal(const struct xattr *a, const struct xattr *b)
{
	return a->value_size == b->value_size && strcmp(a->name, b->name) == 0 &&
	       memcmp(a->value, b->value, a->value_size) == 0;
}

static size_t pool_slot(const struct xattr_pool *p, const struct xattr *x, uint32_t hash)
{
	size_t i = hash & (p->table_size - 1);

	while (p->table[i]) {
		const struct pool_entry *e = &p->v[p->table[i] - 1];

		if (e->hash == hash && xattr_equal(&e->x, x))
			break;
		i = (i + 1) & (p->table_size - 1);
	}
	return i;
}

static int pool_grow(struct xattr_pool *p)
{
	uint32_t room = p->room ? p->room * 2 : 64;
	struct pool_entry *v = reallocarray(p->v, room, sizeof(*v));
	uint32_t *table;

	if (!v)
		return -ENOMEM;
	p->v = v;
	table = calloc((size_t)room * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(p->table);
	p->table = table;
	p->table_size = (size_t)room * 2;
	p->room = room;
	for (uint32_t i = 0; i < p->n; i++)
		p->table[pool_slot(p, &p->v[i].x, p->v[i].hash)] = i + 1;
	return 0;
}

static int pool_add_one(struct xattr_pool *p, const struct xattr *x)
{
	uint32_t hash = xattr_hash(x);
	size_t slot;

	if (p->n == p->room) {
		int r = pool_grow(p);

		if (r < 0)
			return r;
	}
	slot = pool_slot(p, x, hash);
	if (p->table[slot]) {
		p->v[p->table[slot] - 1].uses++;
		return 0;
	}
	p->v[p->n] = (struct pool_entry){.x = *x, .hash = hash, .uses = 1, .id = NOT_SHARED};
	p->table[slot] = ++p->n;
	return 0;
}

/* The layer flags as an xattr; false if there are none. */
static bool layer_xattr(const struct inode *i, bool layer, struct xattr *ret)
{
	static const uint8_t values[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

	if (!layer || !i->flags)
		return false;
	*ret = (struct xattr){
		.name = INDEX_LAYER_XATTR, .value = &values[i->flags & 15], .value_size = 1};
	return true;
}

static uint32_t set_size(const struct inode *i)
{
	return i->xattrs ? i->xattrs->n : 0;
}

/* The `n`th xattr of an inode, its layer flags last; false behind the end. */
static bool inode_xattr(const struct inode *i, bool layer, uint32_t n, struct xattr *ret)
{
	if (n < set_size(i)) {
		*ret = i->xattrs->v[n];
		return true;
	}
	return n == set_size(i) && layer_xattr(i, layer, ret);
}

int xattr_pool_add(struct xattr_pool *p, const struct inode *i, bool layer)
{
	struct xattr x;

	for (uint32_t n = 0; inode_xattr(i, layer, n, &x); n++) {
		int r = pool_add_one(p, &x);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Splits the name; false if EROFS has no number for its prefix. */
static bool split_name(const char *name, uint8_t *ret_prefix, const char **ret_rest)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i].text);
		bool whole = prefixes[i].text[n - 1] != '.';

		if (whole ? strcmp(name, prefixes[i].text) : strncmp(name, prefixes[i].text, n))
			continue;
		*ret_prefix = prefixes[i].number;
		*ret_rest = name + n;
		return true;
	}
	return false;
}

static size_t entry_size(const struct xattr *x)
{
	const char *rest = "";
	uint8_t prefix;

	split_name(x->name, &prefix, &rest);
	return (sizeof(struct erofs_xattr_entry) + strlen(rest) + x->value_size + 3) & ~(size_t)3;
}

static int write_entry(const struct xattr *x, struct buf *out)
{
	struct erofs_xattr_entry e = {.value_size = htole16((uint16_t)x->value_size)};
	size_t end = out->n + entry_size(x);
	const char *rest = "";
	int r;

	split_name(x->name, &e.prefix, &rest);
	e.name_len = (uint8_t)strlen(rest);
	r = buf_add(out, &e, sizeof(e));
	if (r == 0)
		r = buf_add(out, rest, e.name_len);
	if (r == 0)
		r = buf_add(out, x->value, x->value_size);
	return r < 0 ? r : buf_add_zero(out, end - out->n);
}

uint64_t xattr_pool_place(struct xattr_pool *p)
{
	uint64_t pos = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		if (p->v[i].uses < 2)
			continue;
		p->v[i].id = (uint32_t)(pos / 4);
		pos += entry_size(&p->v[i].x);
	}
	return pos;
}

static uint32_t shared_id(const struct xattr_pool *p, const struct xattr *x)
{
	return p->v[p->table[pool_slot(p, x, xattr_hash(x))] - 1].id;
}

int xattr_pool_body_size(const struct xattr_pool *p, const struct inode *i, bool layer, size_t *ret)
{
	size_t size = 0, shared = 0;
	struct xattr x;

	for (uint32_t n = 0; inode_xattr(i, layer, n, &x); n++) {
		if (shared < SHARED_MAX && shared_id(p, &x) != NOT_SHARED) {
			shared++;
			size += 4;
		} else {
			size += entry_size(&x);
		}
		if (size > BODY_MAX - sizeof(struct erofs_xattr_header))
			return -ERR_INPUT;
	}
	*ret = size ? size + sizeof(struct erofs_xattr_header) : 0;
	return 0;
}

static int write_shared_ids(
	const struct xattr_pool *p, const struct inode *i, bool layer, struct buf *out)
{
	struct erofs_xattr_header h = {0};
	uint32_t ids[SHARED_MAX];
	struct xattr x;
	int r;

	for (uint32_t n = 0; h.shared_count < SHARED_MAX && inode_xattr(i, layer, n, &x); n++) {
		uint32_t id = shared_id(p, &x);

		if (id != NOT_SHARED)
			ids[h.shared_count++] = htole32(id);
	}
	r = buf_add(out, &h, sizeof(h));
	return r < 0 ? r : buf_add(out, ids, 4u * h.shared_count);
}

int xattr_pool_write_body(
	const struct xattr_pool *p, const struct inode *i, bool layer, struct buf *out)
{
	size_t shared = 0;
	struct xattr x;
	int r;

	if (!inode_xattr(i, layer, 0, &x))
		return 0;
	r = write_shared_ids(p, i, layer, out);
	for (uint32_t n = 0; r == 0 && inode_xattr(i, layer, n, &x); n++) {
		if (shared < SHARED_MAX && shared_id(p, &x) != NOT_SHARED)
			shared++;
		else
			r = write_entry(&x, out);
	}
	return r;
}

int xattr_pool_write_shared(const struct xattr_pool *p, struct buf *out)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->n; i++)
		if (p->v[i].id != NOT_SHARED)
			r = write_entry(&p->v[i].x, out);
	return r;
}
