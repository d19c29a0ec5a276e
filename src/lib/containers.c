/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "mount/overlay.h"
#include "upper/container.h"
#include "util/array.h"

#include <fts.h>

/* Whether nobody has it mounted or is at work on it: 0, and then it is ours; 1 = somebody is. */
int lib_container_take(struct store *s, const struct container *c, struct lock *ret, struct err *e)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	int r = container_paths(s, c, &upper, &work, e);

	if (r < 0)
		return r;
	r = container_lock(s, c, ret, NULL);
	if (r == -ERR_CONFLICT)
		return 1;
	if (r < 0)
		return err_sys(e, r, "cannot lock container '%s'", c->id);
	r = overlay_in_use(upper, e);
	if (r)
		lock_release(ret);
	return r;
}

/* The same question, asked without keeping others from it. */
static int in_use(struct store *s, const struct container *c, struct err *e)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	struct digest d;
	int r;

	digest_of(c->id, strlen(c->id), &d);
	r = lock_test(s, LOCK_CONTAINER, lock_number(&d), e);
	if (r == 0)
		r = container_paths(s, c, &upper, &work, e);
	return r == 0 ? overlay_in_use(upper, e) : r;
}

/* Where the container is mounted; the strings stay those of `l`. */
static int dirs_of(const struct lib_mount_list *l, const char *id, const char ***ret, size_t *ret_n)
{
	const char **v = calloc(l->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].container && strcmp(l->v[i].container, id) == 0)
			v[n++] = l->v[i].dir;
	*ret = v;
	*ret_n = n;
	return 0;
}

/* As du(1): what cannot be read, or goes away meanwhile, is left out. */
static uint64_t disk_bytes(const char *path)
{
	char *paths[] = {(char *)path, NULL};
	FTS *t = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	uint64_t blocks = 0;
	FTSENT *x;

	while (t && (x = fts_read(t)))
		if (x->fts_info != FTS_D && x->fts_info != FTS_NS && x->fts_info != FTS_ERR)
			blocks += (uint64_t)x->fts_statp->st_blocks / x->fts_statp->st_nlink;
	if (t)
		fts_close(t);
	return blocks * 512;
}

struct giving {
	struct store *s;
	struct lib_mount_list mounts;
	int (*each)(void *ctx, const struct plyfs_container *container);
	void *ctx;
};

static int give(const struct giving *g, const struct container *c, struct err *e)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	_cleanup_free_ const char **dirs = NULL;
	char digest[DIGEST_TEXT_MAX];
	struct plyfs_container p = {
		.id = c->id, .digest = digest_text(&c->image, digest), .created = c->created};
	int r = container_paths(g->s, c, &upper, &work, e);

	if (r == 0)
		r = dirs_of(&g->mounts, c->id, &dirs, &p.n_dirs);
	if (r < 0)
		return err_sys(e, r, "cannot list the containers");
	p.dirs = dirs;
	r = p.n_dirs ? 1 : in_use(g->s, c, e);
	if (r < 0)
		return r;
	p.in_use = r;
	p.bytes = disk_bytes(upper);
	return g->each(g->ctx, &p);
}

PUBLIC int plyfs_containers(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_container *container), void *ctx,
	struct plyfs_error *error)
{
	struct giving g = {.s = store->s, .each = each, .ctx = ctx};
	_cleanup_free_ struct container *all = NULL;
	struct err e = {0};
	size_t n = 0;
	int r = container_list(store->s, &all, &n, &e);

	if (r == 0)
		r = lib_mounts(store->s, &g.mounts, &e);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = give(&g, &all[i], &e);
	lib_mount_list_done(&g.mounts);
	return lib_error(r, &e, error);
}

static int remove_container(struct store *s, const char *id, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	struct container c;
	int r = container_find(s, id, &c, e);

	if (r == 0)
		r = lib_container_take(s, &c, &lock, e);
	if (r == 1)
		return lib_container_busy(s, &c, e);
	return r == 0 ? container_remove(s, &c, e) : r;
}

PUBLIC int plyfs_container_remove(
	struct plyfs_store *store, const char *id, struct plyfs_error *error)
{
	struct err e = {0};
	int r = remove_container(store->s, id, &e);

	return lib_error(r, &e, error);
}

int lib_container_busy(struct store *s, const struct container *c, struct err *e)
{
	_cleanup_(lib_mount_list_done) struct lib_mount_list l = {0};
	int r = lib_mounts(s, &l, e);

	for (size_t i = 0; r == 0 && i < l.n; i++)
		if (l.v[i].container && strcmp(l.v[i].container, c->id) == 0)
			return err_set(e, -ERR_CONFLICT, "container '%s' is mounted on %s", c->id,
				l.v[i].dir);
	return r < 0 ? r
		     : err_set(e, -ERR_CONFLICT,
			       "container '%s' is in use: mounted where this process cannot see "
			       "it, or being committed",
			       c->id);
}
