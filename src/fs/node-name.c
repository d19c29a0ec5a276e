/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of names, and of where nodes are (N2). */
#include "node-table.h"

#include <string.h>

/* ---- changes of names -------------------------------------------------------------------------
 */

int node_name_announce(struct union_fs *u, struct node *n, struct node *dir, const char *name)
{
	int r;

	pthread_mutex_lock(&u->nodes->lock);
	r = add_name(u, n->id, dir->id, name, strlen(name));
	pthread_mutex_unlock(&u->nodes->lock);
	return r;
}

/* With the lock. Takes a name away; not the one that n->name is. */
static void remove_name(
	struct union_fs *u, struct node *n, uint32_t parent, const char *name, size_t len)
{
	if (!find_name(u, n->id, parent, name, len))
		return;
	session_name_remove(u->session, n->id, parent, name, len);
	slot_of(u->nodes, parent)->children--;
	if (!n->rec->names && !(n->rec->flags & NODE_ORPHAN))
		hash_remove(u, n->id);
}

/* With the lock: a record that is not loaded, or loaded by another name. */
static void remove_stale_name(
	struct union_fs *u, uint32_t id, uint32_t parent, const char *name, size_t len)
{
	const struct node_record *r = session_node(u->session, id);
	const char *m = r ? find_name(u, id, parent, name, len) : NULL;
	const struct node *n = slot_of(u->nodes, id)->node;

	if (!m || (n && n->name == m))
		return;
	hash_remove(u, id);
	session_name_remove(u->session, id, parent, name, len);
	slot_of(u->nodes, parent)->children--;
	/* There is room: one was just taken out. */
	if (r->names || (r->flags & NODE_ORPHAN))
		(void)!hash_insert(u, id);
}

void node_name_gone(struct union_fs *u, struct node *dir, const char *name)
{
	const size_t len = strlen(name);

	pthread_mutex_lock(&u->nodes->lock);
	for (uint32_t id = UNION_ROOT + 1; id < session_nodes_end(u->session); id++)
		remove_stale_name(u, id, dir->id, name, len);
	pthread_mutex_unlock(&u->nodes->lock);
}

static bool has_one_other_name(struct union_fs *u, const struct node *n)
{
	struct session_name m;
	uint64_t at = 0;
	unsigned int k = 0;

	while (session_name_next(u->session, n->id, &at, &m) == 1)
		k++;
	return k == 2;
}

void node_name_set(
	struct union_fs *u, struct node *n, struct node *dir, const char *name, bool moved)
{
	struct node_table *t = u->nodes;
	struct node *old = NULL;
	const char *m, *old_name;

	pthread_mutex_lock(&t->lock);
	m = find_name(u, n->id, dir->id, name, strlen(name));
	if (m && m != n->name) {
		old_name = n->name;
		node_ref(t, dir);
		old = set_place(n, dir, m);
		if (old && moved && has_one_other_name(u, n))
			remove_name(u, n, old->id, old_name, strlen(old_name));
	}
	pthread_mutex_unlock(&t->lock);
	node_put(u, old);
}

/* Another of its names becomes the one it is found by: not yet known to be true. */
static void take_other_name(struct union_fs *u, struct node *n)
{
	struct node_table *t = u->nodes;
	struct session_name m;
	struct node *parent = NULL, *old = NULL;
	uint64_t at = 0;
	bool some;

	pthread_mutex_lock(&t->lock);
	some = !n->parent && session_name_next(u->session, n->id, &at, &m) == 1;
	pthread_mutex_unlock(&t->lock);
	if (!some || node_get(u, m.parent, &parent) < 0)
		return;
	pthread_mutex_lock(&t->lock);
	at = 0;
	if (!n->parent && session_name_next(u->session, n->id, &at, &m) == 1 &&
		m.parent == parent->id) {
		old = set_place(n, parent, m.name);
		parent = old;
	}
	pthread_mutex_unlock(&t->lock);
	node_put(u, parent);
}

void node_name_drop(struct union_fs *u, struct node *n, struct node *dir, const char *name)
{
	struct node_table *t = u->nodes;
	struct node *old = NULL;
	const char *m;

	pthread_mutex_lock(&t->lock);
	m = find_name(u, n->id, dir->id, name, strlen(name));
	if (m && m == n->name)
		old = set_place(n, NULL, NULL);
	if (m)
		remove_name(u, n, dir->id, name, strlen(name));
	pthread_mutex_unlock(&t->lock);
	if (old)
		take_other_name(u, n);
	node_put(u, old);
}

void node_set_upper(struct union_fs *u, struct node *n, const struct stat *st)
{
	struct node_table *t = u->nodes;

	pthread_mutex_lock(&t->lock);
	hash_remove(u, n->id);
	n->rec->upper_ino = st->st_ino;
	n->rec->flags |= NODE_UPPER;
	/* There is room: one was just taken out. */
	if (n->rec->names || (n->rec->flags & NODE_ORPHAN))
		(void)!hash_insert(u, n->id);
	n->has_upper = true;
	t->copied++;
	pthread_mutex_unlock(&t->lock);
}
