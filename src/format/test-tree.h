/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees for tests: made by a few calls, and described as text, which is easy to compare. Two trees
 * are the same if their descriptions are.
 */
#pragma once

#include "tree.h"
#include "util/test.h"

#include <inttypes.h>

/* Adds an inode of this type and mode, with attributes that depend on its name. */
static inline struct inode *put(struct tree *t, struct inode *dir, const char *name, uint32_t mode)
{
	struct inode *i = tree_inode_new(t, mode);

	CHECK(i && tree_link(t, dir, name, strlen(name), i) == 0);
	i->uid = (uint32_t)strlen(name);
	i->mtime = (uint8_t)*name;
	return i;
}

static inline struct inode *put_dir(struct tree *t, struct inode *dir, const char *name)
{
	return put(t, dir, name, S_IFDIR | 0755);
}

static inline struct inode *put_symlink(
	struct tree *t, struct inode *dir, const char *name, const char *target)
{
	struct inode *i = put(t, dir, name, S_IFLNK | 0777);

	i->size = strlen(target);
	i->target = arena_copy(&t->arena, target, i->size + 1);
	CHECK(i->target);
	return i;
}

/* A file that is kept inline: `size` bytes that depend on the name. */
static inline struct inode *put_inline(
	struct tree *t, struct inode *dir, const char *name, size_t size)
{
	struct inode *i = put(t, dir, name, S_IFREG | 0644);
	uint8_t *data = arena_alloc(&t->arena, size);

	CHECK(data);
	for (size_t k = 0; k < size; k++)
		data[k] = (uint8_t)(k * 7 + (uint8_t)*name);
	i->size = size;
	i->data = data;
	return i;
}

/* A chunk of this size; its digest is that of the number `id`. */
static inline uint32_t put_chunk(struct tree *t, uint64_t id, uint32_t size)
{
	uint64_t key[2] = {htole64(id), htole64(size)};
	struct digest d;
	uint32_t n;

	digest_of(key, sizeof(key), &d);
	CHECK(tree_chunk(t, &d, size, &n) >= 0);
	return n;
}

/* A chunked file; every `hole`th chunk is a hole (0: none). Ids count from `first`. */
static inline struct inode *put_chunked(struct tree *t, struct inode *dir, const char *name,
	uint64_t size, unsigned int bits, uint64_t hole, uint64_t first)
{
	struct inode *i = put(t, dir, name, S_IFREG | 0644);
	uint64_t n = chunk_count(size, bits);

	i->size = size;
	i->chunk_bits = (uint8_t)bits;
	i->chunks = arena_alloc(&t->arena, n * sizeof(uint32_t));
	CHECK(i->chunks);
	for (uint64_t k = 0; k < n; k++)
		i->chunks[k] = hole && k % hole == 0
				       ? CHUNK_HOLE
				       : put_chunk(t, first + k, chunk_size_at(size, bits, k));
	return i;
}

static inline void put_xattrs(struct tree *t, struct inode *i, const struct xattr *v, size_t n)
{
	CHECK(tree_xattrs(t, v, n, &i->xattrs) == 0);
}

/* --- description --------------------------------------------------------------------------- */

struct describing {
	const struct tree *t;
	struct buf *out;
	const struct inode **seen; /* in the order of their first names */
	size_t n_seen, room;
};

/* The number of an inode; its first name if it is new. A test's trees have few files with links. */
static inline size_t inode_number(struct describing *d, const struct inode *i)
{
	for (size_t k = 0; k < d->n_seen; k++)
		if (d->seen[k] == i)
			return k;
	if (d->n_seen == d->room) {
		d->room = d->room * 2 + 64;
		d->seen = reallocarray(d->seen, d->room, sizeof(*d->seen));
		CHECK(d->seen);
	}
	d->seen[d->n_seen] = i;
	return d->n_seen++;
}

static inline void describe_bytes(struct buf *out, const void *p, size_t n)
{
	char hex[DIGEST_HEX_SIZE + 1];
	struct digest d;

	digest_of(p, n, &d);
	digest_hex(&d, hex);
	CHECK(buf_addf(out, "%zu:%.8s", n, hex) == 0);
}

static inline void describe_content(const struct describing *d, const struct inode *i, bool full)
{
	uint64_t n = i->chunk_bits ? chunk_count(i->size, i->chunk_bits) : 0;

	if (S_ISLNK(i->mode)) {
		CHECK(buf_addf(d->out, i->size < 80 ? " -> %s" : " -> %.20s...", i->target) == 0);
		CHECK(strlen(i->target) == i->size);
	}
	if (!S_ISREG(i->mode) || !i->size)
		return;
	CHECK(buf_addf(d->out, i->chunk_bits ? " bits %u" : " ", i->chunk_bits) == 0);
	if (!i->chunk_bits && !full)
		CHECK(buf_addf(d->out, "%.*s", (int)i->size, i->data) == 0);
	else if (!i->chunk_bits)
		describe_bytes(d->out, i->data, i->size);
	for (uint64_t k = 0; k < n; k++) {
		if (i->chunks[k] == CHUNK_HOLE) {
			CHECK(buf_addf(d->out, " hole") == 0);
			continue;
		}
		CHECK(buf_addf(d->out, " %02x%02x/%u", d->t->chunks[i->chunks[k]].digest.b[0],
			      d->t->chunks[i->chunks[k]].digest.b[1],
			      d->t->chunks[i->chunks[k]].size) == 0);
	}
}

static inline void describe_inode(const struct describing *d, const struct inode *i)
{
	CHECK(buf_addf(d->out, " %o %u:%u %" PRId64 ".%09u %" PRIu64, i->mode, i->uid, i->gid,
		      i->mtime, i->mtime_nsec, inode_is_dir(i) ? 0 : i->size) == 0);
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		CHECK(buf_addf(d->out, " dev %u:%u", i->dev_major, i->dev_minor) == 0);
	if (i->flags)
		CHECK(buf_addf(d->out, " flags %u", i->flags) == 0);
	for (uint32_t k = 0; i->xattrs && k < i->xattrs->n; k++) {
		CHECK(buf_addf(d->out, " [%s=", i->xattrs->v[k].name) == 0);
		describe_bytes(d->out, i->xattrs->v[k].value, i->xattrs->v[k].value_size);
		CHECK(buf_addf(d->out, "]") == 0);
	}
	describe_content(d, i, true);
}

static inline void describe_dir(
	struct describing *d, struct inode *dir, const char *path, bool full)
{
	struct name *names;
	size_t n;

	CHECK(tree_sorted_names(dir, dir, &names, &n) == 0);
	for (size_t k = 0; k < n; k++) {
		struct inode *i = names[k].inode;
		size_t before = d->n_seen, number;
		char *sub;

		if (i == dir) /* "." and ".." */
			continue;
		CHECK(asprintf(&sub, "%s/%.*s", path, (int)names[k].len, names[k].name) >= 0);
		number = inode_is_dir(i) ? before : inode_number(d, i);
		CHECK(buf_addf(d->out, "%s", sub + 1) == 0);
		if (number < before)
			CHECK(buf_addf(d->out, " =%zu", number) == 0);
		else if (full)
			describe_inode(d, i);
		else
			describe_content(d, i, false);
		CHECK(buf_addf(d->out, inode_is_dir(i) && !full ? "/\n" : "\n") == 0);
		if (inode_is_dir(i))
			describe_dir(d, i, sub, full);
		free(sub);
	}
	free(names);
}

/* `full`: with all attributes; else names, types of directories, links and content. */
static inline char *describe(const struct tree *t, struct inode *root, bool full)
{
	struct buf out = {0};
	struct describing d = {.t = t, .out = &out};

	CHECK(buf_add(&out, "", 0) == 0);
	if (full) {
		CHECK(buf_addf(&out, "root") == 0);
		describe_inode(&d, root);
		CHECK(buf_addf(&out, "\n") == 0);
	}
	describe_dir(&d, root, "", full);
	free(d.seen);
	return (char *)out.p;
}
