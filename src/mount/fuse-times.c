/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of files that the kernel caches.
 *
 * With the writeback cache it is the kernel that knows when a file was changed. It tells us by
 * SETATTR, not waiting for the WRITEs that it has sent, and not at all if the time is still what we
 * told it (a file that is made and written within one tick of its clock). So WRITEs from its cache
 * must leave the time as it is: what was told last, by either side, is remembered and set again
 * after each. One that comes before a SETATTR sets an old time, which the SETATTR puts right.
 *
 * The table has room for a few thousand files, the latest ones; of another file it is the time that
 * it has before the WRITE.
 */
#include "fuse-internal.h"

#define TIMES      4096
#define TIME_LOCKS 16

struct fuse_times {
	pthread_mutex_t locks[TIME_LOCKS];
	struct {
		uint64_t node; /* 0: none */
		struct timespec mtime;
	} v[TIMES];
};

int fuse_times_new(struct fuse_times **ret)
{
	struct fuse_times *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (int i = 0; i < TIME_LOCKS; i++)
		pthread_mutex_init(&t->locks[i], NULL);
	*ret = t;
	return 0;
}

void fuse_times_free(struct fuse_times *t)
{
	for (int i = 0; t && i < TIME_LOCKS; i++)
		pthread_mutex_destroy(&t->locks[i]);
	free(t);
}

int fuse_times_set(
	struct fuse_request *q, const struct stat *st, unsigned int what, struct stat *ret)
{
	struct fuse_times *t = q->f->times;
	uint64_t node = q->h->nodeid;
	int r;

	if (!(what & (UNION_SET_MTIME | UNION_SET_MTIME_NOW)))
		return union_setattr(q->f->u, &q->op, node, st, what, ret);
	pthread_mutex_lock(&t->locks[node % TIME_LOCKS]);
	r = union_setattr(q->f->u, &q->op, node, st, what, ret);
	if (r == 0) {
		t->v[node % TIMES].node = node;
		t->v[node % TIMES].mtime = ret->st_mtim;
	}
	pthread_mutex_unlock(&t->locks[node % TIME_LOCKS]);
	return r;
}

int fuse_times_keep(struct fuse_request *q)
{
	struct fuse_times *t = q->f->times;
	uint64_t node = q->h->nodeid;
	struct stat st;
	int r = 0;

	pthread_mutex_lock(&t->locks[node % TIME_LOCKS]);
	if (t->v[node % TIMES].node != node) {
		r = union_getattr(q->f->u, node, &st);
		if (r == 0) {
			t->v[node % TIMES].node = node;
			t->v[node % TIMES].mtime = st.st_mtim;
		}
	}
	pthread_mutex_unlock(&t->locks[node % TIME_LOCKS]);
	return r;
}

int fuse_times_restore(struct fuse_request *q)
{
	struct fuse_times *t = q->f->times;
	uint64_t node = q->h->nodeid;
	struct stat st = {0}, got;
	int r = 0;

	pthread_mutex_lock(&t->locks[node % TIME_LOCKS]);
	if (t->v[node % TIMES].node == node) {
		st.st_mtim = t->v[node % TIMES].mtime;
		r = union_setattr(q->f->u, &q->op, node, &st, UNION_SET_MTIME, &got);
	}
	pthread_mutex_unlock(&t->locks[node % TIME_LOCKS]);
	return r;
}

void fuse_times_forget(struct fuse_server *f, uint64_t node)
{
	struct fuse_times *t = f->times;

	pthread_mutex_lock(&t->locks[node % TIME_LOCKS]);
	if (t->v[node % TIMES].node == node)
		t->v[node % TIMES].node = 0;
	pthread_mutex_unlock(&t->locks[node % TIME_LOCKS]);
}
