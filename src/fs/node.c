/* SPDX-License-Identifier: Apache-2.0 */
#include "node-table.h"

#include <assert.h>
#include <string.h>

#define UNUSED_MAX 16384
size_t node_unused_max = UNUSED_MAX;

/* ---- nodes in memory --------------------------------------------------------------------------
 */

struct node *node_alloc(uint32_t id, struct node_record *rec)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->id = id;
	n->rec = rec;
	n->refs = 1;
	n->fd = -1;
	pthread_mutex_init(&n->lock, NULL);
	return n;
}

/* Its parent has been put, its descriptor forgotten. */
void node_dealloc(struct node *n)
{
	if (n->fd >= 0)
		close(n->fd);
	if (n->blocks)
		blocks_close(n->blocks);
	listing_free(n->listing);
	pthread_mutex_destroy(&n->lock);
	if (n->lowers != &n->place)
		free(n->lowers);
	free(n);
}

void node_set_lowers(struct node *n, struct found *f)
{
	n->n_lowers = f->n_lowers;
	if (f->n_lowers > 1) {
		n->lowers = f->lowers;
		f->lowers = NULL;
	} else if (f->n_lowers == 1) {
		n->place = f->lowers[0];
		n->lowers = &n->place;
	}
}

void found_done(struct found *f)
{
	free(f->lowers);
	f->lowers = NULL;
}

static void unused_remove(struct node_table *t, struct node *n)
{
	*(n->older ? &n->older->newer : &t->oldest) = n->newer;
	*(n->newer ? &n->newer->older : &t->newest) = n->older;
	n->older = n->newer = NULL;
	t->n_unused--;
}

static void unused_add(struct node_table *t, struct node *n)
{
	n->older = t->newest;
	n->newer = NULL;
	*(t->newest ? &t->newest->newer : &t->oldest) = n;
	t->newest = n;
	t->n_unused++;
}

void node_ref(struct node_table *t, struct node *n)
{
	if (n->refs++ == 0)
		unused_remove(t, n);
}

/* Whether it can be made again from its record. */
static bool can_drop(const struct node *n)
{
	return n->rec->names || (n->rec->flags & NODE_ORPHAN) ||
	       (!S_ISDIR(n->mode) && !n->has_upper);
}

/* What is to be done without the lock, after nodes went. */
struct gone {
	struct node *nodes; /* chained by `newer` */
};

static void drop(struct union_fs *u, struct node *n, struct gone *gone)
{
	slot_of(u->nodes, n->id)->node = NULL;
	fd_forget(u->nodes, n);
	n->newer = gone->nodes;
	gone->nodes = n;
}

/* ---- the end of records -----------------------------------------------------------------------
 */

/*
 * Nobody knows the node any more: takes it out, in `n` if it is loaded. Its names go, and with
 * them the directories that were only kept for those.
 */
static void forget_record(struct union_fs *u, uint32_t id)
{
	struct node_table *t = u->nodes;
	struct session_name name;
	uint64_t at = 0;

	hash_remove(u, id);
	while (session_name_next(u->session, id, &at, &name) == 1)
		slot_of(t, name.parent)->children--;
	slot_of(t, id)->kept = slot_of(t, id)->stale = false;
}

static bool is_needed(struct union_fs *u, uint32_t id)
{
	const struct slot *s = slot_of(u->nodes, id);

	return s->children || (s->node && s->node->refs) || id == UNION_ROOT;
}

static void remove_files(struct union_fs *u, uint32_t id, const struct node_record *r)
{
	if (u->upper && (r->flags & NODE_ORPHAN))
		upper_orphan_remove(u->upper, id);
}

/* The parents that a record's names lie in, to look at again when it has gone. */
struct parents {
	uint32_t *v;
	size_t n;
};

static void collect_parents(struct union_fs *u, uint32_t id, struct parents *ret)
{
	struct session_name name;
	uint64_t at = 0;
	size_t n = 0;

	while (session_name_next(u->session, id, &at, &name) == 1)
		n++;
	ret->v = n ? calloc(n, sizeof(*ret->v)) : NULL;
	ret->n = 0;
	at = 0;
	/* Without memory they stay: a node too many. */
	while (ret->v && ret->n < n && session_name_next(u->session, id, &at, &name) == 1)
		ret->v[ret->n++] = name.parent;
}

/*
 * Ends the node if nobody needs it, of which `lookups` have been taken already; with the lock,
 * which it lets go meanwhile.
 */
static void end_if_unneeded(struct union_fs *u, uint32_t id)
{
	struct node_table *t = u->nodes;
	struct node_record *r = session_node(u->session, id);
	struct slot *s = slot_of(t, id);
	struct parents parents;
	struct gone gone = {0};
	struct node *up = NULL;

	if (!r || !s->kept || r->lookups != 1 || is_needed(u, id))
		return;
	collect_parents(u, id, &parents);
	forget_record(u, id);
	if (s->node) {
		up = set_place(s->node, NULL, NULL);
		unused_remove(t, s->node);
		drop(u, s->node, &gone);
	}
	pthread_mutex_unlock(&t->lock);
	if (gone.nodes)
		node_dealloc(gone.nodes);
	remove_files(u, id, r);
	session_node_free(u->session, id);
	if (up)
		node_put(u, up);
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < parents.n; i++)
		end_if_unneeded(u, parents.v[i]);
	free(parents.v);
}

void nodes_forget(struct union_fs *u, uint64_t id, uint64_t n)
{
	struct node_table *t = u->nodes;
	struct node_record *r;

	pthread_mutex_lock(&t->lock);
	r = session_node(u->session, id);
	if (r && id != UNION_ROOT && n) {
		struct slot *s = slot_of(t, (uint32_t)id);
		const uint64_t ours = s->kept ? 1 : 0;

		/* The last lookup becomes ours, until we know that the node can go. */
		if (n >= r->lookups - ours) {
			s->kept = true;
			r->lookups = 1;
			end_if_unneeded(u, (uint32_t)id);
		} else {
			r->lookups -= n;
		}
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- references -------------------------------------------------------------------------------
 */

/* Drops nodes that were not used for the longest time. */
static void drop_oldest(struct union_fs *u, struct gone *gone)
{
	struct node_table *t = u->nodes;
	struct node *n = t->oldest, *next;

	for (unsigned int tries = 0; n && t->n_unused > t->unused_max && tries < 8; tries++) {
		next = n->newer;
		if (can_drop(n)) {
			unused_remove(t, n);
			drop(u, n, gone);
		} else { /* to the end: it is in nobody's way there */
			unused_remove(t, n);
			unused_add(t, n);
		}
		n = next;
	}
}

/* The next parent that is to be put, of nodes that went. */
static struct node *free_gone(struct gone *gone)
{
	struct node *parent = NULL;

	while (gone->nodes && !parent) {
		struct node *n = gone->nodes;

		gone->nodes = n->newer;
		parent = set_place(n, NULL, NULL);
		node_dealloc(n);
	}
	return parent;
}

void node_put(struct union_fs *u, struct node *n)
{
	struct node_table *t = u->nodes;
	struct gone gone = {0};

	for (; n; n = free_gone(&gone)) {
		pthread_mutex_lock(&t->lock);
		assert(n->refs);
		if (--n->refs == 0) {
			uint32_t id = n->id;

			unused_add(t, n);
			end_if_unneeded(u, id);
			if (t->n_unused > t->unused_max)
				drop_oldest(u, &gone);
		}
		pthread_mutex_unlock(&t->lock);
	}
}

void node_place_done(struct union_fs *u, struct node *parent)
{
	if (!parent)
		return;
	node_fd_put(u, parent);
	node_put(u, parent);
}

void node_ref_done(struct node_ref *r)
{
	if (r->n)
		node_put(r->u, r->n);
	r->n = NULL;
}

int node_get(struct union_fs *u, uint64_t id, struct node **ret)
{
	struct node_table *t = u->nodes;
	struct node *n = NULL;
	bool known;

	pthread_mutex_lock(&t->lock);
	known = session_node(u->session, id) != NULL;
	if (known)
		n = slot_of(t, (uint32_t)id)->node;
	if (n)
		node_ref(t, n);
	pthread_mutex_unlock(&t->lock);
	if (!known)
		return -ESTALE;
	if (!n)
		return node_load(u, (uint32_t)id, ret);
	*ret = n;
	return 0;
}

/* ---- the table --------------------------------------------------------------------------------
 */

/* What a process before us left: whose files are where will be seen when they are needed. */
static int adopt(struct union_fs *u, uint32_t id)
{
	struct session_name m;
	uint64_t at = 0;

	while (session_name_next(u->session, id, &at, &m) == 1)
		if (m.parent && m.parent < session_nodes_end(u->session))
			slot_of(u->nodes, m.parent)->children++;
	if (id == UNION_ROOT)
		return 0;
	slot_of(u->nodes, id)->stale = true;
	/* What was removed has a number that may be another's by now. */
	if (!session_node(u->session, id)->names &&
		!(session_node(u->session, id)->flags & NODE_ORPHAN))
		return 0;
	return hash_insert(u, id);
}

int nodes_new(struct union_fs *u)
{
	struct node_table *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return -ENOMEM;
	u->nodes = t;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->load_lock, NULL);
	t->unused_max = node_unused_max;
	for (uint32_t id = 0; r == 0 && id < session_nodes_end(u->session); id++)
		r = slot_make(t, id);
	for (uint32_t id = 1; r == 0 && id < session_nodes_end(u->session); id++)
		if (session_node(u->session, id))
			r = adopt(u, id);
	return r;
}

int nodes_root(struct union_fs *u)
{
	const struct node_record rec = {
		.lookups = 1, .mode = S_IFDIR, .flags = u->upper ? NODE_UPPER : 0};
	uint32_t id = UNION_ROOT;
	struct node *n;
	int r = 0;

	if (!session_node(u->session, UNION_ROOT))
		r = session_node_new(u->session, &rec, &id);
	if (r == 0)
		r = slot_make(u->nodes, id);
	if (r < 0)
		return r;
	assert(id == UNION_ROOT);
	n = node_alloc(id, session_node(u->session, id));
	if (!n)
		return -ENOMEM;
	slot_of(u->nodes, id)->node = n;
	n->mode = S_IFDIR;
	n->has_upper = u->upper != NULL;
	u->root = n;
	return 0;
}

void nodes_free(struct union_fs *u)
{
	struct node_table *t = u->nodes;

	if (!t)
		return;
	for (size_t i = 0; i < SLOTS_MAX; i++) {
		for (size_t k = 0; t->slots[i] && k < (size_t)1 << SLOT_BITS; k++)
			if (t->slots[i][k].node)
				node_dealloc(t->slots[i][k].node);
		free(t->slots[i]);
	}
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->load_lock);
	free(t->heads);
	free(t->open);
	free(t);
	u->nodes = NULL;
}
