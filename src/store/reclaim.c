/* SPDX-License-Identifier: Apache-2.0 */
#include "reclaim.h"
#include "lock.h"
#include "util/array.h"

/* One transaction takes so many extents out of `held`, and frees so many that they are as joined.
 */
#define HELD_MAX 32768
#define FREE_MAX 4096

struct held {
	uint64_t session;
	struct extent x;
};

struct work {
	struct store *s;
	const struct reclaim *q;
	struct held *v; /* by pack and block */
	size_t n, room;
	uint64_t judged; /* the session that `doomed` is about */
	bool doomed;
	uint64_t bytes, done, total; /* done, total: blocks */
};

static void work_done(struct work *w)
{
	free(w->v);
}

/* ---- what there is to do ------------------------------------------------------------------ */

static int judge(struct work *w, uint64_t session)
{
	const struct reclaim *q = w->q;
	int r;

	w->judged = session;
	w->doomed =
		q->session && session / LOCK_SESSION_NUMBERS == q->session / LOCK_SESSION_NUMBERS;
	if (w->doomed || !q->dead)
		return 0;
	r = lock_test(w->s, LOCK_SESSION, session, NULL);
	w->doomed = r == 0;
	return r < 0 ? r : 0;
}

static int gather(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct work *w = ctx;
	uint64_t session;
	struct extent x;
	int r = space_read_held(key, value, &session, &x);

	if (r == 0 && (session != w->judged || !session))
		r = judge(w, session);
	if (r < 0 || !w->doomed)
		return r;
	if (array_room(&w->v, w->n, &w->room, sizeof(*w->v)) < 0)
		return -ENOMEM;
	w->v[w->n++] = (struct held){session, x};
	w->total += x.blocks;
	return 0;
}

static int order_of_places(const void *pa, const void *pb)
{
	return extent_order(&((const struct held *)pa)->x, &((const struct held *)pb)->x);
}

static int find_work(struct work *w, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(w->s, false, &txn, e);

	if (r == 0)
		r = record_for_each(w->s, txn, w->s->held, gather, w);
	if (w->n)
		qsort(w->v, w->n, sizeof(*w->v), order_of_places);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 0;
}

/* ---- doing it ----------------------------------------------------------------------------- */

/* Joins what begins at `at` into one extent, up to `end`, and returns where the next one begins. */
static size_t take_run(const struct work *w, size_t at, size_t end, struct extent *ret)
{
	*ret = w->v[at++].x;
	while (at < end && extent_join(ret, &w->v[at].x))
		at++;
	return at;
}

static int punch(struct work *w, const struct extent *x, struct err *e)
{
	uint64_t bytes = 0;
	int r = pack_data_bytes(w->s, x, &bytes, e);

	if (r == 0 && !w->q->dry_run)
		r = pack_punch(w->s, x, e);
	if (r == 0)
		w->bytes += bytes;
	return r;
}

/* Takes `n_held` extents from `at` out of the records, and frees them as joined in `v`. */
static int make_free(
	struct work *w, size_t at, size_t n_held, const struct extent *v, size_t n, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	bool touched[PACKS_MAX] = {false};
	int r = 0;

	for (size_t i = 0; i < n; i++)
		touched[v[i].pack] = true;
	for (uint16_t pack = 0; r == 0 && pack < PACKS_MAX; pack++)
		r = touched[pack] ? pack_sync(w->s, pack, e) : 0;
	if (r == 0)
		r = txn_begin(w->s, true, &txn, e);
	for (size_t i = at; r == 0 && i < at + n_held; i++)
		r = space_forget(w->s, txn, w->v[i].session, &w->v[i].x);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = space_free(w->s, txn, &v[i]);
	if (r < 0)
		return err_sys(e, r, "cannot write the records of the store");
	return txn_commit(&txn, e);
}

/* The next extents, from *at on. */
static int free_batch(struct work *w, size_t *at, struct extent *v, struct err *e)
{
	size_t n = 0, next = *at, end = w->n - *at < HELD_MAX ? w->n : *at + HELD_MAX;
	int r = 0;

	for (; r == 0 && next < end && n < FREE_MAX; n++) {
		next = take_run(w, next, end, &v[n]);
		r = punch(w, &v[n], e);
		w->done += v[n].blocks;
	}
	if (r == 0 && !w->q->dry_run)
		r = make_free(w, *at, next - *at, v, n, e);
	*at = next;
	return r;
}

int reclaim_held(struct store *s, const struct reclaim *q, uint64_t *ret_bytes, struct err *e)
{
	_cleanup_(work_done) struct work w = {.s = s, .q = q};
	_cleanup_free_ struct extent *v = calloc(FREE_MAX, sizeof(*v));
	int r = v ? find_work(&w, e) : err_sys(e, -ENOMEM, "cannot free space in the packs");

	for (size_t at = 0; r == 0 && at < w.n;) {
		if (q->progress)
			q->progress(q->progress_ctx, w.done, w.total);
		r = free_batch(&w, &at, v, e);
	}
	if (r == 0 && ret_bytes)
		*ret_bytes = w.bytes;
	return r;
}
