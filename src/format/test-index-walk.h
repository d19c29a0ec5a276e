/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can be done with an index that nobody vouches for, shared by the unit test and
 * the fuzz target: it must end, and touch nothing outside the index.
 */
#pragma once

#include "index.h"
#include "index-disk.h"
#include "util/test.h"

#include <endian.h>
#include <sys/mman.h>

/* A damaged index may have cycles, which only index_load looks for: the walk counts its steps. */
#define WALK_STEPS  4096
#define WALK_CHUNKS 64

static inline void walk_content(const struct index *x, const struct index_inode *i)
{
	uint64_t n = chunk_count(i->size, i->layout == INDEX_CHUNKS ? i->chunk_bits : 12);
	struct index_address a;
	_unused_ volatile uint8_t sum = 0;
	struct bytes b;

	for (uint64_t k = 0; i->layout == INDEX_CHUNKS && k < n; k += n / WALK_CHUNKS + 1)
		if (index_address(x, i, k, &a, NULL) == 0)
			CHECK(a.device >= 1 && a.device <= INDEX_DEVICES_MAX);
	if (i->layout == INDEX_CHUNKS || S_ISDIR(i->mode) || index_content(x, i, &b, NULL) < 0)
		return;
	CHECK(b.n == i->size && b.n < EROFS_BLOCK_SIZE);
	for (size_t k = 0; k < b.n; k++)
		sum ^= b.p[k];
}

static inline void walk_xattrs(const struct index *x, const struct index_inode *i)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	_unused_ volatile uint8_t sum = 0;
	struct bytes value;
	uint64_t pos = 0;

	for (unsigned int n = 0; n < WALK_STEPS; n++) {
		if (index_xattr(x, i, &pos, name, &value, NULL) != 1)
			return;
		CHECK(strlen(name) <= XATTR_NAME_LEN_MAX);
		for (size_t k = 0; k < value.n; k++)
			sum ^= value.p[k];
	}
}

static inline void walk_names(
	const struct index *x, const struct index_inode *dir, uint64_t *stack, size_t *n_stack)
{
	struct index_name n;
	uint64_t pos = 0, nid;

	for (unsigned int k = 0; k < WALK_STEPS; k++) {
		if (index_readdir(x, dir, &pos, &n, NULL) != 1)
			return;
		CHECK(n.len >= 1 && n.len <= NAME_LEN_MAX && !memchr(n.name, 0, n.len));
		CHECK(index_lookup(x, dir, n.name, n.len, &nid, NULL) <= 1);
		if (n.name[0] != '.' && *n_stack < WALK_STEPS) /* not "." and ".." */
			stack[(*n_stack)++] = n.nid;
	}
}

static inline void walk_index(const struct index *x)
{
	uint64_t stack[WALK_STEPS], nid;
	size_t n = 1;

	stack[0] = index_info(x)->root_nid;
	for (unsigned int steps = 0; n && steps < WALK_STEPS; steps++) {
		struct index_inode i;

		if (index_inode(x, stack[--n], &i, NULL) < 0)
			continue;
		walk_xattrs(x, &i);
		walk_content(x, &i);
		if (!S_ISDIR(i.mode))
			continue;
		CHECK(index_lookup(x, &i, "no such name", 12, &nid, NULL) <= 1);
		walk_names(x, &i, stack, &n);
	}
	for (uint64_t k = 0; k < index_info(x)->chunks && k < WALK_STEPS; k++) {
		struct chunk c;

		index_chunk(x, k, &c);
		CHECK(index_find_chunk(x, c.size, &nid) <= 1);
	}
}

static inline int test_memfd(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

/* What index_load accepts can be written, and is then accepted again. */
static inline void write_again(struct tree *t, bool layer)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t2 = tree_new();
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = test_memfd();
	struct err e = {0};
	struct inode *root;
	int r = index_plan_new(t, layer, &plan, &e);

	if (r < 0) {
		CHECK(r == -ERR_INPUT && e.code == r);
		return;
	}
	CHECK(index_plan_write(plan, fd, NULL, NULL, &e) == 0);
	CHECK(index_open(fd, &x, &e) == 0);
	if (index_load(x, t2, &root, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		CHECK(false);
	}
}

/* Opens, loads, walks. True if it was accepted whole. */
static inline bool walk_memory(const uint8_t *p, size_t n)
{
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_(index_closep) struct index *x = NULL;
	struct err e = {0};
	int r = index_open_memory(p, n, &x, &e);

	CHECK(t);
	if (r < 0) {
		CHECK(r == -ERR_INPUT && e.code == r);
		return false;
	}
	walk_index(x);
	r = index_load(x, t, &t->root, &e);
	if (r < 0) {
		CHECK((r == -ERR_INPUT || r == -ERR_UNSUPPORTED) && e.code == r);
		return false;
	}
	write_again(t, index_info(x)->layer);
	return true;
}

static inline void fix_checksum(uint8_t *p, size_t n)
{
	const size_t field = EROFS_SUPER_OFFSET + offsetof(struct erofs_super, checksum);
	uint32_t sum;

	if (n < EROFS_BLOCK_SIZE)
		return;
	sum = htole32(index_super_checksum(p));
	memcpy(p + field, &sum, sizeof(sum));
}
