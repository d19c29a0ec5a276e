/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of records, what records are found by, and their names. */
#include "node-table.h"

#include <assert.h>
#include <string.h>

/* ---- slots ------------------------------------------------------------------------------------
 */

struct slot *slot_of(struct node_table *t, uint32_t id)
{
	return &t->slots[id >> SLOT_BITS][id & ((1u << SLOT_BITS) - 1)];
}

int slot_make(struct node_table *t, uint32_t id)
{
	struct slot **v = &t->slots[id >> SLOT_BITS];

	if (!*v)
		*v = calloc((size_t)1 << SLOT_BITS, sizeof(**v));
	return *v ? 0 : -ENOMEM;
}

/* ---- what a record is found by ----------------------------------------------------------------
 */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0x9fb21c651e98df25ull;
	return x ^ (x >> 29);
}

uint32_t node_hash_upper(uint64_t ino)
{
	return (uint32_t)(mix(ino) >> 16) | 1;
}

uint32_t node_hash_lower(unsigned int layer, uint64_t key)
{
	return (uint32_t)(mix(mix(key) + layer) >> 16) & ~1u;
}

/* Directories that are not in the upper one are told by their name: a redirect may make the same
 * lower directory seen at two places. */
uint32_t node_hash_name(uint32_t parent, const char *name, size_t len)
{
	uint64_t h = parent;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return (uint32_t)(mix(h) >> 16) & ~1u;
}

static bool hash_of_record(struct union_fs *u, uint32_t id, uint32_t *ret)
{
	const struct node_record *r = session_node(u->session, id);
	struct session_name name;
	uint64_t at = 0;

	if (r->flags & NODE_UPPER)
		*ret = node_hash_upper(r->upper_ino);
	else if (!S_ISDIR(r->mode))
		*ret = node_hash_lower(r->lower, r->lower_key);
	else if (session_name_next(u->session, id, &at, &name) == 1)
		*ret = node_hash_name(name.parent, name.name, name.len);
	else
		return false;
	return true;
}

static int hash_grow(struct node_table *t)
{
	const size_t n = t->n_heads ? t->n_heads * 2 : 1024;
	uint32_t *heads = calloc(n, sizeof(*heads));

	if (!heads)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_heads; i++)
		for (uint32_t id = t->heads[i], next; id; id = next) {
			struct slot *s = slot_of(t, id);

			next = s->next;
			s->next = heads[s->hash & (n - 1)] & 0xfffffff;
			heads[s->hash & (n - 1)] = id;
		}
	free(t->heads);
	t->heads = heads;
	t->n_heads = n;
	return 0;
}

int hash_insert(struct union_fs *u, uint32_t id)
{
	struct node_table *t = u->nodes;
	struct slot *s = slot_of(t, id);

	assert(!s->hashed);
	if (t->n_hashed >= t->n_heads && hash_grow(t) < 0 && !t->n_heads)
		return -ENOMEM;
	if (!hash_of_record(u, id, &s->hash))
		return 0;
	s->next = t->heads[s->hash & (t->n_heads - 1)] & 0xfffffff;
	t->heads[s->hash & (t->n_heads - 1)] = id;
	s->hashed = true;
	t->n_hashed++;
	return 0;
}

void hash_remove(struct union_fs *u, uint32_t id)
{
	struct node_table *t = u->nodes;
	struct slot *s = slot_of(t, id);
	uint32_t *head = &t->heads[s->hash & (t->n_heads - 1)];

	if (!s->hashed)
		return;
	if (*head == id) {
		*head = s->next;
	} else {
		struct slot *p = slot_of(t, *head);

		while (p->next != id)
			p = slot_of(t, p->next);
		p->next = s->next;
	}
	s->hashed = false;
	t->n_hashed--;
}

/* ---- names ------------------------------------------------------------------------------------
 */

const char *find_name(
	struct union_fs *u, uint32_t id, uint32_t parent, const char *name, size_t len)
{
	struct session_name m;
	uint64_t at = 0;

	while (session_name_next(u->session, id, &at, &m) == 1)
		if (m.parent == parent && m.len == len && memcmp(m.name, name, len) == 0)
			return m.name;
	return NULL;
}

int add_name(struct union_fs *u, uint32_t id, uint32_t parent, const char *name, size_t len)
{
	int r;

	if (find_name(u, id, parent, name, len))
		return 0;
	r = session_name_add(u->session, id, parent, name, len);
	if (r == 0)
		slot_of(u->nodes, parent)->children++;
	return r;
}

struct node *set_place(struct node *n, struct node *parent, const char *name)
{
	struct node *old = n->parent;

	n->parent = parent;
	n->name = name;
	return old;
}
