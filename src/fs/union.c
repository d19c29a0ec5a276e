/* SPDX-License-Identifier: Apache-2.0 */
#include "union.h"
#include "node-table.h"

#include <assert.h>
#include <string.h>

/*
 * Inode numbers, all below one st_dev: those of indexes one after the other, then, 2^56 apart,
 * those of each file system that directories lie on, in the order in which the layers name them.
 * A union of an index and an upper directory has the upper's right behind the index's. What stays
 * the same: the layers' order, so the same layers give the same numbers.
 */
#define DEV_SHIFT 56

static size_t find_dev(const struct union_config *c, dev_t dev, size_t *ret_n)
{
	size_t n = 0, found = SIZE_MAX;

	for (size_t i = 0; i < c->n_lowers; i++) {
		bool seen = !c->lowers[i]->dev;

		for (size_t k = 0; k < i; k++)
			seen |= c->lowers[k]->dev == c->lowers[i]->dev;
		if (c->lowers[i]->dev == dev && found == SIZE_MAX && !seen)
			found = n;
		n += !seen;
	}
	*ret_n = n;
	return found == SIZE_MAX ? n : found;
}

static void number_layers(struct union_fs *u)
{
	const struct union_config *c = &u->config;
	uint64_t end = 0, first;
	size_t n_devs, dev;

	for (size_t i = 0; i < c->n_lowers; i++) {
		if (c->lowers[i]->dev)
			continue;
		u->ino_base[i] = end;
		end += c->lowers[i]->ino_end;
	}
	first = end ? 1 : 0;
	for (size_t i = 0; i < c->n_lowers; i++)
		if (c->lowers[i]->dev)
			u->ino_base[i] = (first + find_dev(c, c->lowers[i]->dev, &n_devs))
					 << DEV_SHIFT;
	if (!u->upper)
		return;
	dev = find_dev(c, u->upper->dev, &n_devs);
	u->upper_ino_base = n_devs ? (first + dev) << DEV_SHIFT : end;
}

/* The root merges the roots of all layers, down to an opaque one. As with overlayfs its inode
 * number is the upper directory's. */
static int fill_root(struct union_fs *u)
{
	const struct union_config *c = &u->config;
	struct node *n = u->root;
	char *redirect = NULL;
	bool opaque = false;
	struct stat st;
	int r = 0;

	n->lowers = calloc(c->n_lowers, sizeof(*n->lowers));
	if (!n->lowers)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && !opaque && i < c->n_lowers; i++) {
		n->lowers[n->n_lowers++] = (struct lower_place){(uint16_t)i, c->lowers[i]->root};
		r = c->lowers[i]->ops->dir_marks(
			c->lowers[i], c->lowers[i]->root, &opaque, &redirect);
		free(redirect);
		redirect = NULL;
	}
	if (r < 0)
		return r;
	if (u->upper)
		r = fstat(u->upper->fd, &st) < 0 ? -errno : 0;
	else
		r = c->lowers[0]->ops->stat(c->lowers[0], c->lowers[0]->root, &st);
	if (r == 0)
		n->ino = n->rec->ino = (u->upper ? u->upper_ino_base : u->ino_base[0]) + st.st_ino;
	return r;
}

/*
 * Nodes whose being copied up or removed was under way when the process was killed: before anybody
 * looks their files up, they must be what these will be found as.
 */
static void settle_doubts(struct union_fs *u)
{
	for (uint32_t id = UNION_ROOT + 1; id < session_nodes_end(u->session); id++) {
		const struct node_record *r = session_node(u->session, id);
		struct session_name m;
		uint64_t at = 0;
		unsigned int names = 0;
		struct node *n;

		if (!r || ((r->flags & NODE_UPPER) && !(r->flags & NODE_ORPHAN)))
			continue;
		while (S_ISDIR(r->mode) && session_name_next(u->session, id, &at, &m) == 1)
			names++;
		if ((r->upper_ino || names > 1 || (r->flags & NODE_ORPHAN)) &&
			node_get(u, id, &n) == 0)
			node_put(u, n);
	}
}

static int init(struct union_fs *u)
{
	pthread_rwlockattr_t a;
	int r;

	/* Moving a directory must not wait for ever for those who look. */
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&u->tree, &a);
	pthread_rwlockattr_destroy(&a);
	u->ino_base = calloc(u->config.n_lowers, sizeof(*u->ino_base));
	if (!u->ino_base)
		return -ENOMEM;
	number_layers(u);
	r = nodes_new(u);
	if (r == 0)
		r = nodes_root(u);
	if (r == 0)
		r = fill_root(u);
	if (r == 0)
		r = data_new(u);
	if (r == 0 && session_is_attached(u->session))
		settle_doubts(u);
	return r;
}

/* All but the layers. */
static void done(struct union_fs *u)
{
	nodes_free(u);
	data_free(u);
	pthread_rwlock_destroy(&u->tree);
	free(u->ino_base);
	free(u->config.lowers);
	free(u);
}

int union_open(
	const struct union_config *c, struct session *s, struct union_fs **ret, struct err *e)
{
	struct union_fs *u = calloc(1, sizeof(*u));
	int r;

	assert(c->n_lowers >= 1);
	if (!u || c->n_lowers > UINT16_MAX - 1) {
		free(u);
		return err_sys(e, u ? -E2BIG : -ENOMEM, "cannot open the union");
	}
	u->config = *c;
	u->config.lowers = calloc(c->n_lowers, sizeof(struct lower *));
	u->upper = c->upper;
	u->session = s;
	if (u->config.lowers)
		memcpy(u->config.lowers, c->lowers, c->n_lowers * sizeof(struct lower *));
	r = u->config.lowers ? init(u) : -ENOMEM;
	if (r < 0) {
		if (u->config.lowers)
			done(u);
		else
			free(u);
		return err_sys(e, r, "cannot open the union");
	}
	*ret = u;
	return 0;
}

void union_close(struct union_fs *u)
{
	struct upper *up;
	struct lower **lowers;
	size_t n;

	if (!u)
		return;
	up = u->upper;
	lowers = TAKE_PTR(u->config.lowers);
	n = u->config.n_lowers;
	done(u);
	if (up)
		upper_close(up);
	for (size_t i = 0; i < n; i++)
		lower_close(lowers[i]);
	free(lowers);
}

int union_statfs(struct union_fs *u, struct statvfs *ret)
{
	*ret = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
	if (u->upper && fstatvfs(u->upper->fd, ret) < 0)
		return -errno;
	return 0;
}
