/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"

#define HOLDS_MAX 16

struct fuse_hold {
	uint64_t node; /* 0: free */
	bool flushed;
};

struct parked {
	struct parked *next;
	size_t n;
	uint64_t request[]; /* aligned as it was read */
};

struct fuse_holds {
	pthread_mutex_t lock;
	_Atomic unsigned int n;
	struct fuse_hold v[HOLDS_MAX];
	struct parked *first, **last;
	pthread_mutex_t answering; /* the spare worker's buffer */
};

int fuse_holds_new(struct fuse_server *f)
{
	f->holds = calloc(1, sizeof(*f->holds));
	if (!f->holds)
		return -ENOMEM;
	pthread_mutex_init(&f->holds->lock, NULL);
	pthread_mutex_init(&f->holds->answering, NULL);
	f->holds->last = &f->holds->first;
	return 0;
}

void fuse_holds_free(struct fuse_server *f)
{
	if (!f->holds)
		return;
	pthread_mutex_destroy(&f->holds->lock);
	pthread_mutex_destroy(&f->holds->answering);
	free(f->holds);
}

bool fuse_holds_any(struct fuse_server *f)
{
	return f->holds->n != 0;
}

static bool waits_for(
	const struct fuse_request *q, const struct fuse_op *op, const struct fuse_hold *h)
{
	uint64_t node = q->h->nodeid;

	if (q->h->opcode == FUSE_COPY_FILE_RANGE)
		node = ((const struct fuse_copy_file_range_in *)q->arg)->nodeid_out;
	if (h->flushed && (op->flags & FUSE_OP_NAMES))
		return true;
	if (node != h->node)
		return false;
	return (op->flags & FUSE_OP_LOOKS) || (h->flushed && (op->flags & FUSE_OP_CONTENT));
}

static int park(struct fuse_holds *hs, const struct fuse_request *q)
{
	struct parked *p = malloc(sizeof(*p) + q->h->len);

	if (!p)
		return -ENOMEM;
	p->next = NULL;
	p->n = q->h->len;
	memcpy(p->request, q->h, p->n);
	*hs->last = p;
	hs->last = &p->next;
	return 1;
}

int fuse_hold_check(struct fuse_request *q, const struct fuse_op *op)
{
	struct fuse_holds *hs = q->f->holds;
	int r = 0;

	pthread_mutex_lock(&hs->lock);
	for (int i = 0; i < HOLDS_MAX && r == 0; i++)
		if (hs->v[i].node && waits_for(q, op, &hs->v[i]))
			r = park(hs, q);
	pthread_mutex_unlock(&hs->lock);
	return r;
}

/* Until every request that began before now has been answered. */
static void wait_for_workers(struct fuse_server *f)
{
	for (unsigned int i = 0; i <= f->n_workers; i++) {
		uint32_t seen = f->workers[i].busy;

		while ((seen & 1) && f->workers[i].busy == seen)
			usleep(100);
	}
}

static void answer_parked(struct fuse_server *f)
{
	struct fuse_holds *hs = f->holds;
	struct parked *p, *next;

	pthread_mutex_lock(&hs->lock);
	p = hs->first;
	hs->first = NULL;
	hs->last = &hs->first;
	pthread_mutex_unlock(&hs->lock);
	pthread_mutex_lock(&hs->answering);
	for (; p; p = next) {
		next = p->next;
		fuse_serve(&f->workers[f->n_workers], p->request, p->n);
		free(p);
	}
	pthread_mutex_unlock(&hs->answering);
}

/* The place of `node`, or with 0 a free one; -1. */
static int find(const struct fuse_holds *hs, uint64_t node)
{
	for (int i = 0; i < HOLDS_MAX; i++)
		if (hs->v[i].node == node)
			return i;
	return -1;
}

static int add(struct fuse_holds *hs, uint64_t node)
{
	int i, r = 0;

	pthread_mutex_lock(&hs->lock);
	i = find(hs, 0);
	if (find(hs, node) >= 0 || i < 0)
		r = -EBUSY;
	else
		hs->v[i] = (struct fuse_hold){.node = node};
	if (r == 0)
		hs->n++;
	pthread_mutex_unlock(&hs->lock);
	return r;
}

int fuse_server_hold(struct fuse_server *f, const char *path, uint64_t *ret_node)
{
	struct fuse_notify_inval_inode_out inval = {.off = -1};
	const struct node_record *rec;
	uint64_t node;
	int r;

	if (f->stop)
		return -EAGAIN;
	r = union_hold(f->u, path, &node);
	if (r < 0)
		return r;
	union_unhold(f->u, node); /* who it is, is all that is wanted yet */
	rec = session_node(f->session, node);
	if (rec && rec->passthrough_opens)
		return -EBUSY;
	r = add(f->holds, node);
	if (r < 0)
		return r;
	inval.ino = node;
	r = fuse_notify(f, FUSE_NOTIFY_INVAL_INODE, &inval, sizeof(inval));
	if (r < 0 && r != -ENOENT) { /* ENOENT: the kernel does not know it, nothing is cached */
		fuse_server_unhold(f, node);
		return r;
	}
	*ret_node = node;
	return 0;
}

static int mark_flushed(struct fuse_holds *hs, uint64_t node, bool flushed)
{
	int i;

	pthread_mutex_lock(&hs->lock);
	i = find(hs, node);
	if (i >= 0)
		hs->v[i].flushed = flushed;
	pthread_mutex_unlock(&hs->lock);
	return i < 0 ? -ESTALE : 0;
}

int fuse_server_hold_flushed(struct fuse_server *f, const char *path, uint64_t node)
{
	uint64_t now;
	int r = mark_flushed(f->holds, node, true);

	if (r < 0)
		return r;
	wait_for_workers(f);
	r = union_hold(f->u, path, &now);
	if (r == 0 && now != node) {
		union_unhold(f->u, now);
		r = -ESTALE;
	}
	if (r < 0) {
		(void)!mark_flushed(f->holds, node, false);
		answer_parked(f);
	}
	return r;
}

void fuse_server_unhold(struct fuse_server *f, uint64_t node)
{
	struct fuse_holds *hs = f->holds;
	bool flushed = false;
	int i;

	pthread_mutex_lock(&hs->lock);
	i = find(hs, node);
	if (i >= 0) {
		flushed = hs->v[i].flushed;
		hs->v[i] = (struct fuse_hold){0};
		hs->n--;
	}
	pthread_mutex_unlock(&hs->lock);
	if (flushed)
		union_unhold(f->u, node);
	if (i >= 0)
		answer_parked(f);
}

void fuse_holds_drop(struct fuse_server *f)
{
	for (int i = 0; i < HOLDS_MAX; i++)
		if (f->holds->v[i].node)
			fuse_server_unhold(f, f->holds->v[i].node);
	answer_parked(f);
}
