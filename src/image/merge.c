/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include "path.h"

/* A directory of the upper layer to be laid over one of the lower's. */
struct pair {
	struct inode
		*lower; /* the same as upper: it has no lower one, and was put in place whole */
	struct inode *upper;
	struct pair *parent; /* for its path */
	const char *name;
	struct pair *next;
};

struct merge {
	struct tree *t;
	struct pair *stack;
	const char *layer;
	struct err *e;
};

static int no_memory(struct merge *m)
{
	return err_sys(m->e, -ENOMEM, "cannot merge the layers");
}

static int push(struct merge *m, struct inode *lower, struct inode *upper, struct pair *parent,
	const char *name)
{
	struct pair *p = arena_alloc(&m->t->arena, sizeof(*p));

	if (!p)
		return no_memory(m);
	*p = (struct pair){lower, upper, parent, name, m->stack};
	m->stack = p;
	return 0;
}

static struct pair *pop(struct merge *m)
{
	struct pair *p = m->stack;

	if (p)
		m->stack = p->next;
	return p;
}

#define LINK_HOPS_MAX 40

/* NULL in *ret: there is no such name below `root`. */
static int find_path(struct merge *m, struct inode *root, const char *path, struct dentry **ret)
{
	const char *name;
	struct inode *dir;
	int r = path_parent(m->t, root, path, false, &dir, &name, m->e);

	*ret = r == 0 ? tree_find(m->t, dir, name, strlen(name)) : NULL;
	return r < 0 ? err_prefix(m->e, r, "%s", m->layer) : 0;
}

/*
 * Before anything is changed: what a hard link into the lower layers means. Where these have no
 * such file, it is one that comes later in this layer's own tar.
 */
static int resolve_link(struct merge *m, struct inode *upper, struct dentry *d)
{
	const char *target = d->inode->target;
	struct dentry *found;
	int r = find_path(m, m->t->root, target, &found);

	for (int hops = 0; r == 0 && !found && hops < LINK_HOPS_MAX; hops++) {
		r = find_path(m, upper, target, &found);
		if (r < 0 || !found || !(found->inode->flags & INODE_LINK))
			break;
		target = found->inode->target;
		found = NULL;
	}
	if (r < 0)
		return r;
	if (!found || inode_is_dir(found->inode) || found->inode->flags & INODE_WHITEOUT)
		return err_set(m->e, -ERR_INPUT, "%s: '%s' is a hard link to '%s', which is %s",
			m->layer, d->name, d->inode->target,
			found && inode_is_dir(found->inode) ? "a directory" : "nowhere");
	d->inode = found->inode;
	return 0;
}

static int resolve_links(struct merge *m, struct inode *upper)
{
	struct pair *p;
	int r = push(m, upper, upper, NULL, "");

	while (r == 0 && (p = pop(m))) {
		dentry_for_each (d, p->upper) {
			if (d->inode->flags & INODE_LINK)
				r = resolve_link(m, upper, d);
			else if (inode_is_dir(d->inode))
				r = push(m, d->inode, d->inode, NULL, "");
			if (r < 0)
				return r;
		}
	}
	return r;
}

static void take_attributes(struct inode *to, const struct inode *from)
{
	to->mode = from->mode;
	to->uid = from->uid;
	to->gid = from->gid;
	to->mtime = from->mtime;
	to->mtime_nsec = from->mtime_nsec;
	to->xattrs = from->xattrs;
}

/* The path of `name` below the pair's directory, from malloc; written from its end. */
static char *pair_path(const struct pair *p, const char *name)
{
	size_t n = strlen(name) + 1;
	char *path;

	for (const struct pair *q = p; q; q = q->parent)
		n += strlen(q->name) + 1;
	path = calloc(1, n);
	if (!path)
		return NULL;
	n -= strlen(name) + 1;
	memcpy(path + n, name, strlen(name));
	for (const struct pair *q = p; q; q = q->parent) {
		path[--n] = '/';
		n -= strlen(q->name);
		memcpy(path + n, q->name, strlen(q->name));
	}
	return path;
}

/* 0 = *ret is the directory that the lower symlink leads to; 1 = it leads to none. */
static int follow_lower(struct merge *m, const struct pair *p, const char *name, struct inode **ret)
{
	_cleanup_free_ char *path = pair_path(p, name);

	return path ? path_directory(m->t, m->t->root, path, ret) : no_memory(m);
}

static int merge_directory(struct merge *m, struct pair *p, struct dentry *d)
{
	struct dentry *l = tree_find(m->t, p->lower, d->name, d->len);
	struct inode *lower = l && inode_is_dir(l->inode) ? l->inode : NULL;
	struct inode *upper = d->inode;
	int r;

	if (l && S_ISLNK(l->inode->mode) && upper->flags == INODE_IMPLICIT) {
		r = follow_lower(m, p, d->name, &lower);
		if (r < 0)
			return r;
	}
	if (!lower || upper->flags & INODE_OPAQUE) {
		if (lower && upper->flags & INODE_IMPLICIT)
			take_attributes(upper, lower);
		r = tree_link(m->t, p->lower, d->name, d->len, upper);
		return r < 0 ? no_memory(m) : push(m, upper, upper, p, d->name);
	}
	if (!(upper->flags & INODE_IMPLICIT))
		take_attributes(lower, upper);
	return push(m, lower, upper, p, d->name);
}

static int merge_name(struct merge *m, struct pair *p, struct dentry *d)
{
	struct inode *i = d->inode;
	struct dentry *l;

	if (i->flags & INODE_WHITEOUT) {
		l = tree_find(m->t, p->lower, d->name, d->len);
		if (l)
			l->inode = NULL;
		return 0;
	}
	if (inode_is_dir(i))
		return p->lower == p->upper ? push(m, i, i, p, d->name) : merge_directory(m, p, d);
	if (p->lower == p->upper)
		return 0;
	return tree_link(m->t, p->lower, d->name, d->len, i) < 0 ? no_memory(m) : 0;
}

int merge_layer(struct tree *t, struct inode *upper, const char *name, struct err *e)
{
	struct merge m = {.t = t, .layer = name, .e = e};
	struct pair *p;
	int r = resolve_links(&m, upper);

	if (r == 0 && !(upper->flags & INODE_IMPLICIT))
		take_attributes(t->root, upper);
	if (r == 0 && upper->flags & INODE_OPAQUE)
		tree_clear(t->root);
	if (r == 0)
		r = push(&m, t->root, upper, NULL, "");
	while (r == 0 && (p = pop(&m))) {
		p->upper->flags = 0;
		dentry_for_each (d, p->upper) {
			r = merge_name(&m, p, d);
			if (r < 0)
				return r;
		}
	}
	return r;
}
