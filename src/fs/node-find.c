/* SPDX-License-Identifier: Apache-2.0 */
/* The node of what was found under a name: the one there is, or a new one. */
#include "node-table.h"

#include <string.h>

/* ---- finding ----------------------------------------------------------------------------------
 */

struct key {
	struct node *dir;
	const char *name;
	size_t len;
	const struct found *f;
	uint32_t hash;
};

static uint32_t hash_of_found(const struct key *k)
{
	if (k->f->upper)
		return node_hash_upper(k->f->upper->st_ino);
	if (S_ISDIR(k->f->mode))
		return node_hash_name(k->dir->id, k->name, k->len);
	return node_hash_lower(k->f->lowers[0].layer + 1u, k->f->lowers[0].key);
}

static bool matches(struct union_fs *u, uint32_t id, const struct key *k)
{
	const struct node_record *r = session_node(u->session, id);
	const struct found *f = k->f;

	if (f->upper)
		return r->upper_ino == f->upper->st_ino;
	if (S_ISDIR(f->mode))
		return S_ISDIR(r->mode) && find_name(u, id, k->dir->id, k->name, k->len);
	return !S_ISDIR(r->mode) && r->lower == f->lowers[0].layer + 1u &&
	       r->lower_key == f->lowers[0].key;
}

static uint32_t find(struct union_fs *u, const struct key *k)
{
	struct node_table *t = u->nodes;
	uint32_t id = t->n_heads ? t->heads[k->hash & (t->n_heads - 1)] : 0;

	for (; id; id = slot_of(t, id)->next)
		if (slot_of(t, id)->hash == k->hash && matches(u, id, k))
			return id;
	return 0;
}

/*
 * Inode numbers come again: what has one name only, and that is none we know of, is another file
 * than the one that had the number. 0 = it is another, 1 = it is the same, 2 = that must be looked
 * at.
 */
static int is_same(struct union_fs *u, uint32_t id, const struct key *k)
{
	const struct node_record *r = session_node(u->session, id);

	if ((r->mode & S_IFMT) != (k->f->mode & S_IFMT))
		return 0;
	/* Its file may have gone, and a process been killed before it could say so. */
	if (k->f->upper && (r->flags & NODE_ORPHAN) && slot_of(u->nodes, id)->stale)
		return 2;
	if (!k->f->upper || (r->flags & NODE_ORPHAN) ||
		find_name(u, id, k->dir->id, k->name, k->len))
		return 1;
	/* a file in index/ has names that are in the lower layers alone: these do not count there
	 */
	return S_ISDIR(r->mode) || (k->f->upper->st_nlink == 1 && !k->f->indexed) ? 0 : 2;
}

static struct node_record record_of(const struct found *f)
{
	struct node_record r = {.lookups = 1, .ino = f->ino, .mode = f->mode & S_IFMT};

	if (f->upper) {
		r.upper_ino = f->upper->st_ino;
		r.flags = NODE_UPPER | (f->half ? NODE_HALF : 0u);
	}
	if (!S_ISDIR(f->mode) && f->n_lowers) {
		r.lower = (uint16_t)(f->lowers[0].layer + 1);
		r.lower_key = f->lowers[0].key;
	}
	return r;
}

static int new_record(struct union_fs *u, const struct key *k, uint32_t *ret)
{
	const struct node_record rec = record_of(k->f);
	uint32_t id;
	int r = session_node_new(u->session, &rec, &id);

	if (r < 0)
		return r;
	r = slot_make(u->nodes, id);
	if (r == 0) {
		*slot_of(u->nodes, id) = (struct slot){0};
		r = add_name(u, id, k->dir->id, k->name, k->len);
	}
	if (r == 0)
		r = hash_insert(u, id);
	if (r < 0) {
		if (find_name(u, id, k->dir->id, k->name, k->len))
			slot_of(u->nodes, k->dir->id)->children--;
		session_node_free(u->session, id);
		return r;
	}
	*ret = id;
	return 0;
}

/* Fills a node that is new in memory from what was found, and puts it into its slot. */
static void fill(struct union_fs *u, struct node *n, uint32_t id, struct key *k, struct found *f)
{
	struct slot *s = slot_of(u->nodes, id);

	n->id = id;
	n->rec = session_node(u->session, id);
	n->mode = n->rec->mode;
	n->ino = n->rec->ino;
	n->has_upper = f->upper != NULL;
	if (s->stale && f->upper && !f->n_lowers)
		n->rec->lower = 0; /* what it is a copy of is not known any more */
	if (f->upper && f->half)
		n->rec->flags |= NODE_HALF;
	node_set_lowers(n, f);
	node_ref(u->nodes, k->dir);
	set_place(n, k->dir, find_name(u, id, k->dir->id, k->name, k->len));
	s->node = n;
	s->stale = false;
}

/* With the lock. 1 = whether the node *ret_id is the same file has to be looked at first. */
static int find_or_make(struct union_fs *u, struct key *k, struct found *f, bool checked,
	uint32_t *ret_id, bool *ret_new)
{
	uint32_t id;
	int same = 0;

	/* Of several that had this inode number, one may still have it. */
	while ((id = find(u, k)) && (same = is_same(u, id, k)) == 0)
		hash_remove(u, id);
	*ret_id = id;
	*ret_new = false;
	if (same == 2 && !checked)
		return 1;
	if (id) {
		int r = add_name(u, id, k->dir->id, k->name, k->len);

		if (r == 0)
			session_node(u->session, id)->lookups++;
		return r;
	}
	if (!f->upper && f->copied != u->nodes->copied)
		return -EAGAIN;
	*ret_new = true;
	return new_record(u, k, ret_id);
}

/* Whether the file of a node still is what it was taken for; if not, it is found no more. */
static void check(struct union_fs *u, uint32_t id)
{
	_cleanup_node_ struct node_ref n = {.u = u};
	struct node *parent;
	char name[256];
	int fd;

	if (node_get(u, id, &n.n) == 0 && node_place(u, n.n, &fd, &parent, name) == 0) {
		node_place_done(u, parent);
		return;
	}
	pthread_mutex_lock(&u->nodes->lock);
	if (session_node(u->session, id))
		hash_remove(u, id);
	pthread_mutex_unlock(&u->nodes->lock);
}

/* As node_find; -EAGAIN: what was found is no longer so. */
static int find_once(struct union_fs *u, struct key *k, struct found *f, struct node *spare,
	bool checked, struct node **ret)
{
	struct node_table *t = u->nodes;
	uint32_t id = 0;
	bool is_new;
	int r;

	pthread_mutex_lock(&t->lock);
	r = find_or_make(u, k, f, checked, &id, &is_new);
	if (r == 0) {
		*ret = slot_of(t, id)->node;
		if (*ret) {
			node_ref(t, *ret);
		} else {
			fill(u, spare, id, k, f);
			*ret = spare;
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (r != 1)
		return r;
	check(u, id);
	return find_once(u, k, f, spare, true, ret);
}

int node_find(struct union_fs *u, struct node *dir, const char *name, size_t len, struct found *f,
	struct node **ret)
{
	struct key k = {.dir = dir, .name = name, .len = len, .f = f};
	struct node *spare = node_alloc(0, NULL);
	int r;

	if (!spare)
		return -ENOMEM;
	k.hash = hash_of_found(&k);
	r = find_once(u, &k, f, spare, false, ret);
	if (r < 0 || *ret != spare)
		node_dealloc(spare);
	return r;
}

int node_orphan_new(struct union_fs *u, struct found *f, struct node **ret)
{
	struct node_record rec = record_of(f);
	struct node *n = node_alloc(0, NULL);
	uint32_t id;
	int r;

	if (!n)
		return -ENOMEM;
	rec.flags |= NODE_ORPHAN;
	pthread_mutex_lock(&u->nodes->lock);
	r = session_node_new(u->session, &rec, &id);
	if (r == 0)
		r = slot_make(u->nodes, id);
	if (r == 0) {
		*slot_of(u->nodes, id) = (struct slot){.node = n};
		r = hash_insert(u, id);
	}
	if (r == 0) {
		n->id = id;
		n->rec = session_node(u->session, id);
		n->mode = n->rec->mode;
		n->ino = n->rec->ino;
		n->has_upper = true;
		*ret = n;
	}
	pthread_mutex_unlock(&u->nodes->lock);
	if (r < 0)
		node_dealloc(n);
	return r;
}

int node_lookup(struct union_fs *u, struct node *dir, const char *name, struct node **ret)
{
	const size_t len = strlen(name);
	struct node *n;
	int r;

	do {
		_cleanup_found_ struct found f = {0};

		r = layers_find(u, dir, name, len, &f);
		if (r == 0)
			r = node_find(u, dir, name, len, &f, &n);
	} while (r == -EAGAIN);
	if (r)
		return r;
	nodes_forget(u, n->id, 1); /* it stays while we have it */
	*ret = n;
	return 0;
}
