/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"
#include "fs/view.h"

#include <string.h>

/* What the union refers to. */
static struct {
	struct store *store; /* NULL: it is made of directories */
	struct id_map uids, gids;
} served;

static void served_done(void)
{
	store_close(TAKE_PTR(served.store));
	id_map_done(&served.uids);
	id_map_done(&served.gids);
}

/* A union in the making. */
struct opening {
	const struct serve_config *c;
	struct lower **lowers;
	size_t n_lowers;
	struct upper *upper;
};

static void opening_done(struct opening *o)
{
	for (size_t i = 0; i < o->n_lowers; i++)
		lower_close(o->lowers[i]);
	free(o->lowers);
	if (o->upper)
		upper_close(o->upper);
}

/* The image was found by who starts the mount, and is kept by the starter's open index meanwhile,
 * and by a container's record or our own open index afterwards. */
static int open_image(struct opening *o, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_(view_closep) struct view *v = NULL;
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct digest image;
	int r = store_open(o->c->store, false, &served.store, e);

	if (r == 0 && digest_parse_hex(o->c->image, &image) < 0)
		r = err_set(e, -EINVAL, "'%s' is no digest", o->c->image);
	if (r == 0)
		r = txn_begin(served.store, false, &txn, e);
	if (r < 0)
		return r;
	r = record_image(served.store, txn, &image, &rec);
	if (r)
		return err_sys(e, r < 0 ? r : -ERR_ABSENT, "image %.12s", o->c->image);
	mdb_txn_abort(TAKE_PTR(txn));
	r = view_open(served.store, &rec, &v, e);
	if (r == 0)
		r = lower_index_open(v, &o->lowers[0], e);
	if (r < 0)
		return r;
	v = NULL; /* the layer's now */
	o->n_lowers = 1;
	return 0;
}

static int open_lowers(struct opening *o, struct err *e)
{
	int r = 0;

	o->lowers = calloc(o->c->n_lowers + 1, sizeof(struct lower *));
	if (!o->lowers)
		return err_sys(e, -ENOMEM, "cannot open the layers");
	if (o->c->image)
		return open_image(o, e);
	while (r == 0 && o->n_lowers < o->c->n_lowers) {
		r = lower_dir_open(
			o->c->lowers[o->n_lowers], o->c->user_xattrs, &o->lowers[o->n_lowers], e);
		o->n_lowers += r == 0;
	}
	return r;
}

static int open_upper(struct opening *o, struct session *s, struct err *e)
{
	unsigned int flags = 0;

	if (!o->c->upper)
		return 0;
	if (session_is_attached(s))
		flags |= UPPER_RESUME;
	if (o->c->user_xattrs)
		flags |= UPPER_USER_XATTR;
	if (o->c->sync)
		flags |= UPPER_FSYNC;
	return upper_open(o->c->upper, o->c->work, flags, &o->upper, e);
}

static int open_maps(const struct serve_config *c, struct err *e)
{
	int r = c->uids ? id_map_parse(c->uids, &served.uids, e) : 0;

	return r == 0 && c->gids ? id_map_parse(c->gids, &served.gids, e) : r;
}

static int open_parts(struct opening *o, struct session *s, struct union_fs **ret, struct err *e)
{
	struct union_config u = {
		.block_copy = o->c->block_copy,
		.redirect = o->c->redirect,
		.sync = o->c->sync,
		.squash_uid = o->c->squash_uid,
		.squash_gid = o->c->squash_gid,
		.uid = o->c->uid,
		.gid = o->c->gid,
	};
	int r = open_maps(o->c, e);

	if (r == 0)
		r = open_lowers(o, e);
	if (r == 0)
		r = open_upper(o, s, e);
	u.lowers = o->lowers;
	u.n_lowers = o->n_lowers;
	u.upper = o->upper;
	u.uids = served.uids.n ? &served.uids : NULL;
	u.gids = served.gids.n ? &served.gids : NULL;
	return r == 0 ? union_open(&u, s, ret, e) : r;
}

static int open_union(
	const struct serve_config *c, struct session *s, struct union_fs **ret, struct err *e)
{
	struct opening o = {.c = c};
	int r = open_parts(&o, s, ret, e);

	if (r == 0) { /* they are the union's now */
		o.n_lowers = 0;
		o.upper = NULL;
	}
	opening_done(&o);
	if (r < 0)
		served_done();
	return r;
}

static void close_union(struct union_fs *u)
{
	union_close(u);
	served_done();
}

const struct serve_ops serve_union = {.open = open_union, .close = close_union};
