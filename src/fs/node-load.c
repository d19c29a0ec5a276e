/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a node from its record again, be it that it was not used for long, or that another process
 * knew it. After a restart the names are only what may be (N2): each is looked at. In a process's
 * own time only directories are looked at, for the sake of the layers they merge.
 */
#include "node-table.h"
#include "util/array.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>

#define TRIES 200 /* against renames that are under way */

struct load {
	struct union_fs *u;
	uint32_t id;
	struct node_record *rec;
	bool stale;
};

static int load_chain(struct union_fs *u, uint32_t id, struct node **ret);

/* The k-th name. 1 = there are no more. */
static int nth_name(
	struct union_fs *u, uint32_t id, unsigned int k, uint32_t *ret_parent, char ret[256])
{
	struct session_name m;
	uint64_t at = 0;
	int r = 1;

	pthread_mutex_lock(&u->nodes->lock);
	for (unsigned int i = 0; i <= k && r == 1; i++)
		r = session_name_next(u->session, id, &at, &m);
	if (r == 1) {
		strcpy(ret, m.name);
		*ret_parent = m.parent;
	}
	pthread_mutex_unlock(&u->nodes->lock);
	return r == 1 ? 0 : 1;
}

/* 1 = it is being loaded itself, so that a name in it leads nowhere. */
static int get_parent(struct union_fs *u, uint32_t id, struct node **ret)
{
	struct node_table *t = u->nodes;
	bool loading = false, known;

	*ret = NULL;
	pthread_mutex_lock(&t->lock);
	known = session_node(u->session, id) != NULL;
	if (known) {
		*ret = slot_of(t, id)->node;
		loading = slot_of(t, id)->loading;
	}
	if (*ret)
		node_ref(t, *ret);
	pthread_mutex_unlock(&t->lock);
	if (*ret)
		return 0;
	return !known || loading ? 1 : load_chain(u, id, ret);
}

/* Whether what was found under a name is the node. */
static bool matches(const struct load *l, const struct found *f)
{
	const struct node_record *r = l->rec;
	const bool same_lower = f->n_lowers && r->lower == f->lowers[0].layer + 1u &&
				r->lower_key == f->lowers[0].key;

	if ((f->mode & S_IFMT) != (r->mode & S_IFMT))
		return false;
	if (f->upper && r->upper_ino)
		return r->upper_ino == f->upper->st_ino;
	if (!l->stale)
		return !f->upper;
	/* Killed in the middle of copying it up: it may have been done or not. */
	return S_ISDIR(r->mode) || same_lower;
}

/* With the lock. Says in the record what turned out to be. */
static int settle(const struct load *l, const struct found *f)
{
	const bool in_upper = l->rec->flags & NODE_UPPER;
	int r = 0;

	if (!l->stale || in_upper == (f->upper != NULL))
		return 0;
	hash_remove(l->u, l->id);
	if (f->upper) {
		l->rec->upper_ino = f->upper->st_ino;
		l->rec->flags |= NODE_UPPER;
	} else {
		l->rec->flags &= ~(uint32_t)NODE_UPPER;
	}
	r = hash_insert(l->u, l->id);
	return r;
}

/* NODE_ORPHAN says that it may lie there. */
static bool is_orphan(const struct load *l)
{
	char name[UPPER_NUMBER_SIZE];
	struct stat st;

	return l->u->upper && (l->rec->flags & NODE_ORPHAN) && l->rec->upper_ino &&
	       fstatat(l->u->upper->orphans_fd, upper_number_name(l->id, name), &st,
		       AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == l->rec->upper_ino;
}

/* With the lock. Found in orphans/, it has come to the upper directory. */
static int settle_orphan(const struct load *l)
{
	hash_remove(l->u, l->id);
	l->rec->flags |= NODE_UPPER;
	return hash_insert(l->u, l->id);
}

/* With the lock. A directory has but one name: the others are what did not come about. */
static int drop_other_names(const struct load *l, uint32_t parent, const char *name)
{
	struct union_fs *u = l->u;
	struct session_name m;
	uint64_t at = 0;

	hash_remove(u, l->id);
	while (session_name_next(u->session, l->id, &at, &m) == 1) {
		if (m.parent == parent && strcmp(m.name, name) == 0)
			continue;
		slot_of(u->nodes, m.parent)->children--;
		session_name_remove(u->session, l->id, m.parent, m.name, m.len);
		at = 0;
	}
	return hash_insert(u, l->id);
}

/* With the lock. The file of a lower directory is known again by its name only: of a copy that is
 * called something else now, it is not known. */
static void forget_lower(const struct load *l, const struct found *f)
{
	const struct union_config *c = &l->u->config;
	struct node_record *r = l->rec;

	if (!l->stale || S_ISDIR(r->mode) || !(r->flags & NODE_UPPER) || (f && f->n_lowers))
		return;
	if (r->lower > c->n_lowers || (r->lower && !c->lowers[r->lower - 1]->has_origin))
		r->lower = 0;
}

/* Makes the node; `f` NULL: it is in no need of the layers. Takes the parent's reference over. */
static int make(const struct load *l, struct node *parent, const char *name, struct found *f,
	struct node **ret)
{
	struct union_fs *u = l->u;
	struct node_table *t = u->nodes;
	struct node *n = node_alloc(l->id, l->rec), *there, *unneeded = parent;
	const bool orphan = l->stale && !parent && is_orphan(l);
	int r = 0;

	pthread_mutex_lock(&t->lock);
	there = slot_of(t, l->id)->node;
	if (there) {
		node_ref(t, there);
	} else if (!n) {
		r = -ENOMEM;
	} else {
		r = f ? settle(l, f) : orphan ? settle_orphan(l) : 0;
		forget_lower(l, f);
		if (r == 0 && l->stale && parent && S_ISDIR(l->rec->mode))
			r = drop_other_names(l, parent->id, name);
		if (l->stale && parent) /* it was to be removed, and was not */
			l->rec->flags &= ~(uint32_t)NODE_ORPHAN;
	}
	if (r == 0 && !there) {
		n->mode = l->rec->mode;
		n->ino = l->rec->ino;
		n->has_upper = l->rec->flags & NODE_UPPER;
		if (f)
			node_set_lowers(n, f);
		if (!S_ISDIR(n->mode) && l->rec->lower) {
			n->place = (struct lower_place){
				(uint16_t)(l->rec->lower - 1), l->rec->lower_key};
			n->lowers = &n->place;
			n->n_lowers = 1;
		}
		if (parent)
			set_place(n, parent, find_name(u, l->id, parent->id, name, strlen(name)));
		if (parent && !n->name) { /* it was just taken away */
			set_place(n, NULL, NULL);
		} else {
			unneeded = NULL;
		}
		slot_of(t, l->id)->node = there = n;
		slot_of(t, l->id)->stale = false;
		n = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	if (n)
		node_dealloc(n);
	node_put(u, unneeded);
	if (r < 0)
		return r;
	*ret = there;
	return 0;
}

/* 1 = the name is not it. */
static int load_by_name(
	const struct load *l, uint32_t parent_id, const char *name, struct node **ret)
{
	_cleanup_found_ struct found f = {0};
	struct node *parent;
	int r = get_parent(l->u, parent_id, &parent);

	if (r)
		return r == -ENOMEM ? r : 1;
	if (!l->stale && !S_ISDIR(l->rec->mode))
		return make(l, parent, name, NULL, ret);
	r = layers_find(l->u, parent, name, strlen(name), &f);
	if (r == 0 && matches(l, &f))
		return make(l, parent, name, &f, ret);
	node_put(l->u, parent);
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? r : 1;
}

static bool is_in_index(const struct load *l)
{
	struct union_fs *u = l->u;
	struct overlay_origin o;
	struct lower *lower;
	struct stat st;

	if (!u->upper || !l->rec->lower || l->rec->lower > u->config.n_lowers)
		return false;
	lower = u->config.lowers[l->rec->lower - 1];
	return lower->ops->origin(lower, l->rec->lower_key, &o) == 0 &&
	       upper_index_stat(u->upper, &o, &st) == 0 && st.st_ino == l->rec->upper_ino;
}

/* A removed directory. That another one took its place is known by its copy in orphans/ alone. */
static int load_removed_dir(const struct load *l, struct node **ret)
{
	struct union_fs *u = l->u;
	char name[UPPER_NUMBER_SIZE];
	struct stat st;
	int r = 0;

	if (!u->upper || !(l->rec->flags & NODE_ORPHAN) ||
		fstatat(u->upper->orphans_fd, upper_number_name(l->id, name), &st,
			AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISDIR(st.st_mode))
		return 1;
	if (l->stale) {
		pthread_mutex_lock(&u->nodes->lock);
		hash_remove(u, l->id);
		l->rec->upper_ino = st.st_ino;
		l->rec->flags |= NODE_UPPER;
		r = hash_insert(u, l->id);
		pthread_mutex_unlock(&u->nodes->lock);
	}
	return r < 0 ? r : make(l, NULL, NULL, NULL, ret);
}

/* A file without a true name, that somebody may have open. 1 = it is gone. */
static int load_nameless(const struct load *l, struct node **ret)
{
	if (S_ISDIR(l->rec->mode))
		return load_removed_dir(l, ret);
	if (l->stale && (l->rec->flags & NODE_UPPER) && !is_orphan(l) && !is_in_index(l))
		return 1;
	return make(l, NULL, NULL, NULL, ret);
}

static int load_once(const struct load *l, struct node **ret)
{
	uint32_t parent;
	char name[256];
	int r = 1;

	if (l->stale && is_orphan(l))
		r = make(l, NULL, NULL, NULL, ret);
	for (unsigned int k = 0; r == 1 && nth_name(l->u, l->id, k, &parent, name) == 0; k++)
		r = load_by_name(l, parent, name, ret);
	return r == 1 ? load_nameless(l, ret) : r;
}

static int load_one(struct union_fs *u, uint32_t id, struct node **ret)
{
	struct load l = {.u = u, .id = id, .rec = session_node(u->session, id)};
	int r = 1;

	if (!l.rec)
		return -ESTALE;
	l.stale = slot_of(u->nodes, id)->stale;
	for (unsigned int i = 0; r == 1 && i < (l.stale ? 1 : TRIES); i++) {
		if (i)
			sched_yield();
		r = load_once(&l, ret);
	}
	return r == 1 ? -ESTALE : r;
}

/* The ids from one that is not loaded up to below one that is. */
static int climb(struct union_fs *u, uint32_t id, uint32_t **ret, size_t *ret_n)
{
	struct node_table *t = u->nodes;
	struct session_name m;
	uint32_t *v = NULL;
	size_t n = 0, room = 0;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	while (r == 0 && session_node(u->session, id) && !slot_of(t, id)->node &&
		!slot_of(t, id)->loading) {
		uint64_t at = 0;

		r = array_room(&v, n, &room, sizeof(*v));
		if (r < 0)
			break;
		v[n++] = id;
		slot_of(t, id)->loading = true;
		if (session_name_next(u->session, id, &at, &m) != 1)
			break;
		id = m.parent;
	}
	pthread_mutex_unlock(&t->lock);
	*ret = v;
	*ret_n = n;
	return r;
}

/* With load_lock. From the top down, so that depth costs no stack. */
static int load_chain(struct union_fs *u, uint32_t id, struct node **ret)
{
	_cleanup_free_ uint32_t *v = NULL;
	struct node *above = NULL, *n = NULL;
	size_t count = 0;
	int r = climb(u, id, &v, &count), k = 1;

	for (size_t i = count; i-- > 0;) {
		n = NULL;
		if (r == 0)
			k = load_one(u, v[i], &n);
		pthread_mutex_lock(&u->nodes->lock);
		slot_of(u->nodes, v[i])->loading = false;
		pthread_mutex_unlock(&u->nodes->lock);
		node_put(u, above);
		above = n;
	}
	if (r == 0 && count == 0)
		return get_parent(u, id, ret) == 0 ? 0 : -ESTALE;
	if (r < 0 || k < 0) {
		node_put(u, n);
		return r < 0 ? r : k;
	}
	*ret = n;
	return 0;
}

int node_load(struct union_fs *u, uint32_t id, struct node **ret)
{
	int r;

	pthread_mutex_lock(&u->nodes->load_lock);
	r = load_chain(u, id, ret);
	pthread_mutex_unlock(&u->nodes->load_lock);
	return r;
}
