/* SPDX-License-Identifier: Apache-2.0 */
#include "file-data.h"
#include "format/tar-sparse.h"
#include "util/io.h"

#include <unistd.h>

#define HOLE_MIN    ((uint64_t)4096) /* bytes that a map must save */
#define EXTENTS_MAX ((size_t)65536)  /* the map's text then surely stays below TAR_EXT_MAX */

#define _cleanup_map_ _cleanup_(tar_map_done)

/* The extents that SEEK_DATA and SEEK_HOLE tell of; one for all where they are not supported. */
static int find_extents(int fd, uint64_t size, struct tar_map *m)
{
	uint64_t end = 0;

	while (end < size) {
		off_t data = lseek(fd, (off_t)end, SEEK_DATA);
		off_t hole;

		if (data < 0 && errno == ENXIO)
			return 0; /* the rest is a hole */
		hole = data < 0 ? data : lseek(fd, data, SEEK_HOLE);
		if (data < 0 || hole <= data)
			return tar_map_add(m, end, size - end);
		if ((uint64_t)data >= size)
			return 0;
		end = (uint64_t)hole < size ? (uint64_t)hole : size;
		if (tar_map_add(m, (uint64_t)data, end - (uint64_t)data) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Fills the smallest holes until the map is short enough: they are read as zeros then. */
static void shorten(struct tar_map *m)
{
	for (uint64_t gap = HOLE_MIN; m->n > EXTENTS_MAX; gap *= 2) {
		size_t k = 0;

		for (size_t i = 1; i < m->n; i++) {
			struct tar_extent *a = &m->v[k], *b = &m->v[i];

			if (b->offset - (a->offset + a->size) <= gap)
				a->size = b->offset + b->size - a->offset;
			else
				m->v[++k] = *b;
		}
		m->n = k + 1;
	}
}

static bool has_hole(int fd, uint64_t size)
{
	off_t hole;

	if (size < HOLE_MIN)
		return false;
	hole = lseek(fd, 0, SEEK_HOLE);
	return hole >= 0 && (uint64_t)hole < size;
}

/* Sets size and map of `x`; the extents stay in `m`. */
static int set_map(int fd, const struct stat *st, struct tar_entry *x, struct tar_map *m)
{
	int r;

	x->size = (uint64_t)st->st_size;
	if (!has_hole(fd, x->size))
		return 0;
	r = find_extents(fd, x->size, m);
	if (r < 0 || x->size - m->data < HOLE_MIN)
		return r;
	shorten(m);
	x->sparse = true;
	x->extents = m->v;
	x->n_extents = m->n;
	return 0;
}

static int changed(const char *path, struct err *e)
{
	return err_set(e, -ERR_INPUT, "'%.200s' changed while it was read", path);
}

static int copy_range(
	int fd, const char *path, struct tar_extent range, struct sink *out, struct err *e)
{
	while (range.size) {
		uint8_t *room;
		size_t n, got;
		int r = out->room(out, &room, &n);

		if (r < 0)
			return err_sys(e, r, "'%.200s'", path);
		n = n < range.size ? n : (size_t)range.size;
		r = io_pread(fd, room, n, range.offset, &got);
		if (r < 0)
			return err_sys(e, r, "cannot read '%.200s'", path);
		if (got < n)
			return changed(path, e);
		r = out->fill(out, n);
		if (r < 0)
			return err_sys(e, r, "'%.200s'", path);
		range.offset += n;
		range.size -= n;
	}
	return 0;
}

static int copy_content(int fd, const struct tar_entry *x, struct sink *out, struct err *e)
{
	const struct tar_extent whole = {.offset = 0, .size = x->size};
	const struct tar_extent *v = x->sparse ? x->extents : &whole;
	const size_t n = x->sparse ? x->n_extents : 1;

	for (size_t i = 0; i < n; i++) {
		int r = copy_range(fd, x->path, v[i], out, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_unchanged(int fd, const struct stat *old, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "cannot stat '%.200s'", path);
	if (st.st_size != old->st_size || st.st_mtim.tv_sec != old->st_mtim.tv_sec ||
		st.st_mtim.tv_nsec != old->st_mtim.tv_nsec)
		return changed(path, e);
	return 0;
}

int file_to_tar(int fd, const struct stat *st, const struct tar_entry *entry, struct sink *out,
	struct err *e)
{
	_cleanup_map_ struct tar_map m = {0};
	struct tar_entry x = *entry;
	int r = set_map(fd, st, &x, &m);

	if (r < 0)
		return err_sys(e, r, "cannot map '%.200s'", x.path);
	r = tar_write_entry(out, &x, e);
	if (r == 0)
		r = copy_content(fd, &x, out, e);
	if (r == 0)
		r = check_unchanged(fd, st, x.path, e);
	if (r < 0)
		return r;
	r = tar_write_padding(out, &x);
	return r < 0 ? err_sys(e, r, "'%.200s'", x.path) : 0;
}
