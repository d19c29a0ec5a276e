// SPDX-License-Identifier: Apache-2.0
/* Opens that go straight to a file (passthrough), and files that hold still (for a commit). */
#include "union-data.h"
#include "util/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

/* ---- passthrough ---------------------------------------------------------------------------- */

/* A file that is to be written to can become whole at once, where that is a reflink. */
static int make_whole(struct union_fs *u, struct node *n)
{
	if (!u->upper || n->has_upper || !data_may_clone(u, n))
		return 0;
	return copy_up(u, n, true, UINT64_MAX);
}

static int upper_descriptor(struct union_fs *u, struct node *n, int *ret_fd)
{
	int fd, r = node_fd(u, n, &fd);

	if (r < 0)
		return r;
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = *ret_fd < 0 ? -errno : 0;
	node_fd_put(u, n);
	return r;
}

/*
 * Who writes past us writes as us, and drops nobody's setuid or capabilities: files that have any
 * are written through us.
 */
static bool has_privileges(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_mode & (S_ISUID | S_ISGID) ||
	       fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

static int passable_descriptor(struct union_fs *u, struct node *n, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int r = upper_descriptor(u, n, &fd);

	if (r < 0)
		return r;
	/* all opens agree: what was opened past us before it got privileges stays so */
	if (!n->rec->passthrough_opens && has_privileges(fd))
		return 1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* 1 = there is none that all opens can go to. With node.lock. */
static int descriptor(struct union_fs *u, struct node *n, int *ret_fd)
{
	struct lower *l;

	if (n->has_upper)
		return n->rec->flags & NODE_HALF ? 1 : passable_descriptor(u, n, ret_fd);
	/* Of a writable mount it may be copied up while it is open, and be another file then. */
	l = node_lower(u, n);
	return u->upper || !l->ops->open ? 1 : l->ops->open(l, n->lowers[0].key, ret_fd);
}

/* All opens of a file agree, says the kernel, for as long as there is one. With node.lock. */
static int open_locked(struct union_fs *u, struct node *n, bool write, int *ret_fd)
{
	int fd = -1, r = 0;

	if (write && !n->rec->cached_opens)
		r = make_whole(u, n);
	if (r == 0) /* the lock was let go */
		r = n->rec->cached_opens ? 1 : descriptor(u, n, &fd);
	if (r < 0)
		return r;
	if (r == 0)
		n->rec->passthrough_opens++;
	else
		n->rec->cached_opens++;
	*ret_fd = r == 0 ? fd : -1;
	return 0;
}

int union_passthrough(struct union_fs *u, const struct union_op *op _unused_, uint64_t node,
	bool write, int *ret_fd)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	int r = data_node(u, node, &ref.n);

	if (r < 0)
		return r;
	if (write && !u->upper)
		return -EROFS;
	pthread_rwlock_rdlock(&u->tree);
	pthread_mutex_lock(&ref.n->lock);
	r = open_locked(u, ref.n, write, ret_fd);
	pthread_mutex_unlock(&ref.n->lock);
	pthread_rwlock_unlock(&u->tree);
	return r;
}

void union_release(struct union_fs *u, uint64_t node, bool passthrough)
{
	struct node_record *rec = session_node(u->session, node);
	_Atomic uint32_t *count;
	uint32_t n;

	if (!rec)
		return;
	count = passthrough ? &rec->passthrough_opens : &rec->cached_opens;
	n = *count;
	while (n && !atomic_compare_exchange_weak(count, &n, n - 1))
		;
}

/* ---- holds ---------------------------------------------------------------------------------- */

static struct data_hold **find_hold(struct union_data *d, uint64_t id)
{
	struct data_hold **p = &d->holds;

	while (*p && (*p)->node->id != id)
		p = &(*p)->next;
	return p;
}

static bool is_held(struct union_data *d, uint64_t id)
{
	bool held;

	if (!d->n_holds)
		return false;
	pthread_mutex_lock(&d->hold_lock);
	held = *find_hold(d, id);
	pthread_mutex_unlock(&d->hold_lock);
	return held;
}

bool data_is_held(struct union_fs *u, const struct node *n)
{
	return is_held(u->data, n->id);
}

bool union_is_held(struct union_fs *u, uint64_t node)
{
	return is_held(u->data, node);
}

void data_wait_unheld(struct union_fs *u, const struct node *n)
{
	struct union_data *d = u->data;

	pthread_mutex_lock(&d->hold_lock);
	while (*find_hold(d, n->id))
		pthread_cond_wait(&d->unheld, &d->hold_lock);
	pthread_mutex_unlock(&d->hold_lock);
}

/* Takes over the reference on success. */
static int add_hold(struct union_fs *u, struct node *n)
{
	struct data_hold *h = calloc(1, sizeof(*h)), **p;

	if (!h)
		return -ENOMEM;
	pthread_mutex_lock(&u->data->hold_lock);
	p = find_hold(u->data, n->id);
	if (*p) {
		(*p)->n++;
		free(h);
		node_put(u, n);
	} else {
		*h = (struct data_hold){n, 1, NULL};
		*p = h;
		u->data->n_holds++;
	}
	pthread_mutex_unlock(&u->data->hold_lock);
	return 0;
}

/* The node at a path from the root, "usr/lib/x"; slashes in front are skipped. */
static int find_path(struct union_fs *u, const char *path, struct node **ret)
{
	struct node *n, *next = NULL;
	char name[256];
	int r = node_get(u, UNION_ROOT, &n);

	while (r == 0 && *(path += strspn(path, "/"))) {
		const size_t len = strcspn(path, "/");

		r = len < sizeof(name) ? 0 : -ENAMETOOLONG;
		if (r == 0) {
			memcpy(name, path, len);
			name[len] = 0;
			pthread_mutex_lock(&n->lock);
			r = node_lookup(u, n, name, &next);
			pthread_mutex_unlock(&n->lock);
		}
		node_put(u, n);
		n = next;
		path += len;
	}
	if (r == 0)
		*ret = n;
	return r == 1 ? -ENOENT : r;
}

int union_hold(struct union_fs *u, const char *path, uint64_t *ret_node)
{
	_cleanup_node_ struct node_ref ref = {u, NULL};
	uint64_t id;
	int r;

	pthread_rwlock_rdlock(&u->tree);
	r = find_path(u, path, &ref.n);
	pthread_rwlock_unlock(&u->tree);
	if (r < 0)
		return r;
	id = ref.n->id;
	r = add_hold(u, ref.n);
	if (r < 0)
		return r;
	/* Who changes it now has begun before: the hold keeps the node. */
	data_state_alone(u, ref.n);
	data_state_leave(u, ref.n);
	ref.n = NULL;
	*ret_node = id;
	return 0;
}

void union_unhold(struct union_fs *u, uint64_t node)
{
	struct union_data *d = u->data;
	struct data_hold **p, *h;

	pthread_mutex_lock(&d->hold_lock);
	p = find_hold(d, node);
	h = *p;
	if (!h || --h->n) {
		pthread_mutex_unlock(&d->hold_lock);
		return;
	}
	*p = h->next;
	d->n_holds--;
	pthread_cond_broadcast(&d->unheld);
	pthread_mutex_unlock(&d->hold_lock);
	node_put(u, h->node);
	free(h);
}
