/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"
#include "util/array.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/*
 * The file: the header, then the records, then the heap of names. Everything has its place for
 * ever, so that growing is nothing but touching a page.
 *
 * Which one store makes a change count (N1):
 *   a node comes        lookups = 1, or more; `nodes_end` was raised before, and means nothing
 * alone a node goes         lookups = 0; with it go its names, as nothing else leads to them a name
 * comes        the record's `names`, that is the head of its chain a name goes         the `next`
 * of what is in front of it in the chain, or `names` a note comes        its `unique`; `value` was
 * stored before. Again: its `value` a note goes         its `unique` = 0
 */
#define MAGIC   0x73657373796c7001ull
#define VERSION 1
#define NOTES   64

#if UINTPTR_MAX > UINT32_MAX
#define HEAP_SIZE ((uint64_t)1 << 36)
#define NODES_MAX SESSION_NODES_MAX
#else
#define HEAP_SIZE ((uint64_t)1 << 27)
#define NODES_MAX ((uint32_t)1 << 20)
#endif

struct note {
	_Atomic uint64_t unique, value;
};

struct header {
	uint64_t magic;
	uint32_t version, record_size;
	uint64_t size;
	_Atomic uint32_t nodes_end;
	uint8_t transport[SESSION_TRANSPORT_SIZE] __attribute__((aligned(64)));
	struct note notes[NOTES];
};

struct name {
	_Atomic uint64_t next; /* offset in the heap; 0: the last */
	uint32_t parent;
	uint16_t len;
	char name[];
};

#define HEADER_SIZE ((uint64_t)4096)
#define NODES_SIZE  ((uint64_t)NODES_MAX * sizeof(struct node_record))
#define FILE_SIZE   (HEADER_SIZE + NODES_SIZE + HEAP_SIZE)
_Static_assert(sizeof(struct header) <= HEADER_SIZE, "the header fits its page");
_Static_assert(sizeof(struct node_record) == 64, "a record is a cache line");

/* Names take multiples of 8 bytes; free ones of a size are chained by their first word. */
#define UNIT      8u
#define NAME_MIN  (offsetof(struct name, name) + 2)
#define UNITS_MAX ((offsetof(struct name, name) + 256 + UNIT - 1) / UNIT)

struct session {
	int fd;
	bool attached;
	struct header *h;
	struct node_record *nodes;
	uint8_t *heap;
	pthread_mutex_t lock; /* what follows, and who changes what */
	uint64_t heap_end;
	uint64_t free_names[UNITS_MAX + 1]; /* chains of offsets */
	uint32_t *free_nodes;
	size_t n_free_nodes, room_free_nodes;
};

static size_t name_units(size_t len)
{
	return (offsetof(struct name, name) + len + 1 + UNIT - 1) / UNIT;
}

static struct name *name_at(const struct session *s, uint64_t at)
{
	return (struct name *)(void *)(s->heap + at);
}

static void name_free(struct session *s, uint64_t at, size_t units)
{
	atomic_store_explicit(&name_at(s, at)->next, s->free_names[units], memory_order_relaxed);
	s->free_names[units] = at;
}

/* ---- making and attaching ---------------------------------------------------------------------
 */

static int map(int fd, struct session **ret)
{
	struct session *s = calloc(1, sizeof(*s));
	uint8_t *p;

	if (!s)
		return -ENOMEM;
	p = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED) {
		int r = -errno;

		free(s);
		return r;
	}
	madvise(p, FILE_SIZE, MADV_DONTDUMP);
	pthread_mutex_init(&s->lock, NULL);
	s->fd = fd;
	s->h = (struct header *)(void *)p;
	s->nodes = (struct node_record *)(void *)(p + HEADER_SIZE);
	s->heap = p + HEADER_SIZE + NODES_SIZE;
	s->heap_end = UNIT; /* 0 is no name */
	*ret = s;
	return 0;
}

int session_new(struct session **ret, struct err *e)
{
	_cleanup_close_ int fd = memfd_create("plyfs-session", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct session *s;
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)FILE_SIZE) < 0)
		return err_sys(e, -errno, "cannot make the session's memory");
	/* So that nobody's mistake makes the mapping fault. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		return err_sys(e, -errno, "cannot seal the session's memory");
	r = map(fd, &s);
	if (r < 0)
		return err_sys(e, r, "cannot map the session's memory");
	s->h->version = VERSION;
	s->h->record_size = sizeof(struct node_record);
	s->h->size = FILE_SIZE;
	s->h->nodes_end = 1;
	s->h->magic = MAGIC;
	fd = -1; /* the caller's, by session_fd */
	*ret = s;
	return 0;
}

/* A stretch of the heap that a name takes. */
struct taken {
	uint64_t at;
	size_t units;
};

static int compare_taken(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Whether there can be a name. */
static bool name_fits(const struct session *s, uint64_t at)
{
	return at >= UNIT && at % UNIT == 0 && at < HEAP_SIZE - UNITS_MAX * UNIT &&
	       name_at(s, at)->len && name_at(s, at)->len <= 255;
}

static int find_names(
	struct session *s, struct node_record *r, struct taken **v, size_t *n, size_t *room)
{
	for (uint64_t at = r->names; at; at = name_at(s, at)->next) {
		int k;

		if (!name_fits(s, at) || *n > HEAP_SIZE / UNIT)
			return -ERR_INPUT;
		k = array_room(v, *n, room, sizeof(**v));
		if (k < 0)
			return k;
		(*v)[(*n)++] = (struct taken){at, name_units(name_at(s, at)->len)};
	}
	return 0;
}

/* What lies between the names that are in use is free. */
static int free_gaps(struct session *s, struct taken *v, size_t n)
{
	uint64_t at = UNIT;

	if (n)
		qsort(v, n, sizeof(*v), compare_taken);
	for (size_t i = 0; i < n; i++) {
		if (v[i].at < at)
			return -ERR_INPUT;
		while (at < v[i].at) {
			size_t units = (v[i].at - at) / UNIT;

			if (units > UNITS_MAX)
				units = UNITS_MAX;
			name_free(s, at, units);
			at += units * UNIT;
		}
		at += v[i].units * UNIT;
	}
	s->heap_end = at;
	return 0;
}

static int find_free(struct session *s)
{
	_cleanup_free_ struct taken *v = NULL;
	size_t n = 0, room = 0;
	uint32_t end = s->h->nodes_end;
	int r = 0;

	/* Downwards, so that low ids are given first. */
	for (uint32_t id = end - 1; r == 0 && id > 0; id--) {
		if (s->nodes[id].lookups) {
			r = find_names(s, &s->nodes[id], &v, &n, &room);
			continue;
		}
		r = array_room(&s->free_nodes, s->n_free_nodes, &s->room_free_nodes,
			sizeof(*s->free_nodes));
		if (r == 0)
			s->free_nodes[s->n_free_nodes++] = id;
	}
	return r < 0 ? r : free_gaps(s, v, n);
}

int session_attach(int fd, struct session **ret, struct err *e)
{
	_cleanup_(session_closep) struct session *s = NULL;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "cannot look at the session's memory");
	if ((uint64_t)st.st_size != FILE_SIZE)
		return err_set(e, -ERR_UNSUPPORTED, "the session is of another version of plyfs");
	r = map(fd, &s);
	if (r < 0)
		return err_sys(e, r, "cannot map the session's memory");
	s->attached = true;
	if (s->h->magic != MAGIC || s->h->version != VERSION || s->h->size != FILE_SIZE ||
		s->h->record_size != sizeof(struct node_record))
		return err_set(e, -ERR_UNSUPPORTED, "the session is of another version of plyfs");
	if (s->h->nodes_end == 0 || s->h->nodes_end > NODES_MAX)
		return err_set(e, -ERR_INPUT, "the session is damaged");
	r = find_free(s);
	if (r < 0)
		return err_sys(e, r, "cannot go on with the session");
	*ret = TAKE_PTR(s);
	return 0;
}

void session_close(struct session *s)
{
	if (!s)
		return;
	munmap(s->h, FILE_SIZE);
	pthread_mutex_destroy(&s->lock);
	free(s->free_nodes);
	free(s);
}

int session_fd(const struct session *s)
{
	return s->fd;
}

bool session_is_attached(const struct session *s)
{
	return s->attached;
}

void *session_transport(struct session *s)
{
	return s->h->transport;
}

/* ---- records ----------------------------------------------------------------------------------
 */

static int take_node(struct session *s, uint32_t *ret)
{
	uint32_t end = s->h->nodes_end;

	if (s->n_free_nodes) {
		*ret = s->free_nodes[--s->n_free_nodes];
		return 0;
	}
	if (end == NODES_MAX)
		return -ENFILE;
	s->h->nodes_end = end + 1;
	*ret = end;
	return 0;
}

int session_node_new(struct session *s, const struct node_record *r, uint32_t *ret_id)
{
	struct node_record *n;
	uint32_t id = 0;
	int k;

	assert(r->lookups);
	pthread_mutex_lock(&s->lock);
	k = take_node(s, &id);
	pthread_mutex_unlock(&s->lock);
	if (k < 0)
		return k;
	n = &s->nodes[id];
	n->names = 0;
	n->upper_ino = r->upper_ino;
	n->lower_key = r->lower_key;
	n->ino = r->ino;
	n->cached_opens = r->cached_opens;
	n->passthrough_opens = r->passthrough_opens;
	n->backing = r->backing;
	n->flags = r->flags;
	n->mode = r->mode;
	n->lower = r->lower;
	atomic_store(&n->lookups, r->lookups);
	*ret_id = id;
	return 0;
}

void session_node_free(struct session *s, uint32_t id)
{
	struct node_record *n = &s->nodes[id];
	uint64_t names = n->names;

	atomic_store(&n->lookups, 0);
	pthread_mutex_lock(&s->lock);
	for (uint64_t at = names, next; at; at = next) {
		next = name_at(s, at)->next;
		name_free(s, at, name_units(name_at(s, at)->len));
	}
	/* Without memory for the list, the record is free again for the next process. */
	if (array_room(&s->free_nodes, s->n_free_nodes, &s->room_free_nodes,
		    sizeof(*s->free_nodes)) == 0)
		s->free_nodes[s->n_free_nodes++] = id;
	pthread_mutex_unlock(&s->lock);
}

struct node_record *session_node(struct session *s, uint64_t id)
{
	if (id == 0 || id >= s->h->nodes_end || !s->nodes[id].lookups)
		return NULL;
	return &s->nodes[id];
}

uint32_t session_nodes_end(const struct session *s)
{
	return s->h->nodes_end;
}

/* ---- names ------------------------------------------------------------------------------------
 */

static int take_name(struct session *s, size_t units, uint64_t *ret)
{
	uint64_t at = s->free_names[units];

	if (at) {
		s->free_names[units] = name_at(s, at)->next;
	} else {
		at = s->heap_end;
		if (at >= HEAP_SIZE - 2 * UNITS_MAX * UNIT)
			return -ENOMEM;
		s->heap_end += units * UNIT;
	}
	*ret = at;
	return 0;
}

int session_name_add(struct session *s, uint32_t id, uint32_t parent, const char *name, size_t len)
{
	struct node_record *r = &s->nodes[id];
	struct name *m;
	uint64_t at;
	int k;

	assert(len > 0 && len <= 255);
	pthread_mutex_lock(&s->lock);
	k = take_name(s, name_units(len), &at);
	pthread_mutex_unlock(&s->lock);
	if (k < 0)
		return k;
	m = name_at(s, at);
	m->next = r->names;
	m->parent = parent;
	m->len = (uint16_t)len;
	memcpy(m->name, name, len);
	m->name[len] = '\0';
	atomic_store(&r->names, at);
	return 0;
}

void session_name_remove(
	struct session *s, uint32_t id, uint32_t parent, const char *name, size_t len)
{
	_Atomic uint64_t *link = &s->nodes[id].names;

	for (uint64_t at; (at = *link); link = &name_at(s, at)->next) {
		struct name *m = name_at(s, at);

		if (m->parent != parent || m->len != len || memcmp(m->name, name, len) != 0)
			continue;
		atomic_store(link, m->next);
		pthread_mutex_lock(&s->lock);
		name_free(s, at, name_units(len));
		pthread_mutex_unlock(&s->lock);
		return;
	}
}

int session_name_next(struct session *s, uint32_t id, uint64_t *at, struct session_name *ret)
{
	uint64_t next = *at ? name_at(s, *at)->next : s->nodes[id].names;
	struct name *m;

	if (!next)
		return 0;
	m = name_at(s, next);
	*ret = (struct session_name){next, m->parent, m->len, m->name};
	*at = next;
	return 1;
}

/* ---- notes ------------------------------------------------------------------------------------
 */

/* The note of a request, or with 0 a free place. */
static struct note *find_note(struct session *s, uint64_t unique)
{
	for (size_t i = 0; i < NOTES; i++)
		if (s->h->notes[i].unique == unique)
			return &s->h->notes[i];
	return NULL;
}

/* All are taken: by requests that were answered just before a kill, as so many are never done at
 * once. The one with the lowest number is of the oldest. */
static struct note *oldest_note(struct session *s)
{
	struct note *n = &s->h->notes[0];

	for (size_t i = 1; i < NOTES; i++)
		if (s->h->notes[i].unique < n->unique)
			n = &s->h->notes[i];
	atomic_store(&n->unique, 0);
	return n;
}

void session_note(struct session *s, uint64_t unique, uint64_t value)
{
	struct note *n;

	assert(unique);
	pthread_mutex_lock(&s->lock);
	n = find_note(s, unique);
	if (!n)
		n = find_note(s, 0);
	if (!n)
		n = oldest_note(s);
	atomic_store(&n->value, value);
	atomic_store(&n->unique, unique);
	pthread_mutex_unlock(&s->lock);
}

int session_note_find(struct session *s, uint64_t unique, uint64_t *ret_value)
{
	struct note *n;

	pthread_mutex_lock(&s->lock);
	n = unique ? find_note(s, unique) : NULL;
	if (n)
		*ret_value = n->value;
	pthread_mutex_unlock(&s->lock);
	return n ? 0 : 1;
}

void session_note_remove(struct session *s, uint64_t unique)
{
	struct note *n;

	pthread_mutex_lock(&s->lock);
	n = unique ? find_note(s, unique) : NULL;
	if (n)
		atomic_store(&n->unique, 0);
	pthread_mutex_unlock(&s->lock);
}
