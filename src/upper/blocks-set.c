// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"
#include "blocks-set.h"

#include "util/array.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/xattr.h>

static size_t slot_of(const struct blocks_set *s, uint64_t ino)
{
	size_t i = (size_t)((ino * 0x9e3779b97f4a7c15u) >> 20) & (s->room - 1);

	while (s->slots[i] && s->slots[i] != ino)
		i = (i + 1) & (s->room - 1);
	return i;
}

static int grow(struct blocks_set *s)
{
	struct blocks_set old = {.slots = s->slots, .room = s->room};
	uint64_t *v = calloc(old.room * 2, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->slots = v;
	s->room = old.room * 2;
	for (size_t i = 0; i < old.room; i++) {
		if (old.slots[i])
			s->slots[slot_of(s, old.slots[i])] = old.slots[i];
	}
	free(old.slots);
	return 0;
}

static int add(struct blocks_set *s, uint64_t ino)
{
	size_t i = slot_of(s, ino);

	if (s->slots[i])
		return 0;
	if (s->n * 2 >= s->room) {
		int r = grow(s);

		if (r < 0)
			return r;
		i = slot_of(s, ino);
	}
	s->slots[i] = ino;
	s->n++;
	return 0;
}

bool blocks_set_has(struct blocks_set *s, uint64_t ino)
{
	bool has;

	if (s->n == 0)
		return false;
	pthread_mutex_lock(&s->lock);
	has = s->slots[slot_of(s, ino)] != 0;
	pthread_mutex_unlock(&s->lock);
	return has;
}

void blocks_set_remove(struct blocks_set *s, uint64_t ino)
{
	size_t i;

	if (s->n == 0)
		return;
	pthread_mutex_lock(&s->lock);
	i = slot_of(s, ino);
	if (s->slots[i]) {
		s->slots[i] = 0;
		s->n--;
		/* What had to go further because of it is put again. */
		for (i = (i + 1) & (s->room - 1); s->slots[i]; i = (i + 1) & (s->room - 1)) {
			const uint64_t other = s->slots[i];

			s->slots[i] = 0;
			s->slots[slot_of(s, other)] = other;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- root and WORK/blocks belong together ---- */

struct place {
	char path[32];
};

/* The root is open with O_PATH only, which fgetxattr(2) refuses. */
static struct place place_of(int fd)
{
	struct place p;

	snprintf(p.path, sizeof(p.path), "/proc/self/fd/%d", fd);
	return p;
}

/* 1 = it has none. */
static int id_get(const struct upper *up, int fd, uint8_t id[BLOCKS_ID_SIZE])
{
	const ssize_t n = getxattr(place_of(fd).path, overlay_xattr_name(OVERLAY_BLOCKS, up->user),
		id, BLOCKS_ID_SIZE);

	if (n == BLOCKS_ID_SIZE)
		return 0;
	if (n >= 0)
		return 1;
	return errno == ENODATA || errno == ENOTSUP || errno == ERANGE ? 1 : -errno;
}

static int id_set(const struct upper *up, int fd, const uint8_t id[BLOCKS_ID_SIZE])
{
	const char *name = overlay_xattr_name(OVERLAY_BLOCKS, up->user);

	return setxattr(place_of(fd).path, name, id, BLOCKS_ID_SIZE, 0) < 0 ? -errno : 0;
}

/* Whether the root's ID, if it has one, is that of WORK/blocks. */
static int look_at_ids(const struct upper *up, struct blocks_set *s)
{
	uint8_t root[BLOCKS_ID_SIZE], work[BLOCKS_ID_SIZE];
	int r = id_get(up, up->fd, root), k = id_get(up, up->blocks_fd, work);

	if (r < 0 || k < 0)
		return r < 0 ? r : k;
	s->paired = r == 0 && k == 0 && memcmp(root, work, sizeof(root)) == 0;
	s->suspect = r == 0 && !s->paired;
	return 0;
}

/* WORK/blocks first: a kill in between leaves a root without an ID, and no bitmap. A root of which
 * another WORK was lost stays suspect. */
static int pair(struct upper *up)
{
	struct blocks_set *s = up->blocks;
	uint8_t id[BLOCKS_ID_SIZE];
	int r = 0;

	if (s->paired || s->suspect)
		return 0;
	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	r = id_set(up, up->blocks_fd, id);
	if (r == 0)
		r = id_set(up, up->fd, id);
	s->paired = r == 0;
	return r;
}

int blocks_set_add(struct upper *up, uint64_t ino)
{
	int r;

	pthread_mutex_lock(&up->blocks->lock);
	r = pair(up);
	if (r == 0)
		r = add(up->blocks, ino);
	pthread_mutex_unlock(&up->blocks->lock);
	return r;
}

/* ---- opening and closing ---- */

/* 1 = it is no name that a bitmap has. */
static int parse_name(const char *name, uint64_t *ret)
{
	char again[20], *end;
	uint64_t v;

	errno = 0;
	v = strtoull(name, &end, 16);
	if (errno || *end || end == name || v == 0)
		return 1;
	snprintf(again, sizeof(again), "%llx", (unsigned long long)v);
	if (strcmp(again, name) != 0)
		return 1;
	*ret = v;
	return 0;
}

static int read_names(const struct upper *up, struct blocks_set *s)
{
	_cleanup_close_ int fd = openat(up->blocks_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *e;
	uint64_t ino;
	int r = 0;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	TAKE_FD(fd);
	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (parse_name(e->d_name, &ino) == 0)
			r = add(s, ino);
	}
	return r == 0 ? -errno : r;
}

static void set_free(struct blocks_set *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s->slots);
	free(s);
}
DEFINE_CLEANUP(struct blocks_set *, set_free);

int blocks_load(struct upper *up, struct err *e)
{
	_cleanup_(set_freep) struct blocks_set *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_sys(e, -ENOMEM, "upper directory");
	pthread_mutex_init(&s->lock, NULL);
	s->room = 64;
	s->slots = calloc(s->room, sizeof(*s->slots));
	if (!s->slots)
		return err_sys(e, -ENOMEM, "upper directory");
	r = read_names(up, s);
	if (r == 0)
		r = look_at_ids(up, s);
	if (r < 0)
		return err_sys(e, r, "work directory: which files are half copied");
	up->blocks = TAKE_PTR(s);
	return 0;
}

void blocks_unload(struct upper *up)
{
	if (!up->blocks)
		return;
	/* With no half-copied file left, WORK may be thrown away, as overlayfs's users do. */
	if (up->blocks->paired && up->blocks->n == 0)
		(void)!removexattr(
			place_of(up->fd).path, overlay_xattr_name(OVERLAY_BLOCKS, up->user));
	set_free(up->blocks);
	up->blocks = NULL;
}
