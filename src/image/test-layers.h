/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers for tests, written as text: a line for each tar entry,
 *
 *   d PATH   f PATH CONTENT   s PATH TARGET   h PATH TARGET   c PATH   D PATH (0700, 7:7)
 */
#pragma once

#include "layer.h"
#include "merge.h"
#include "format/index.h"
#include "format/tar.h"
#include "format/test-tree.h"

#include <sys/mman.h>

static inline void layer_entry(struct sink *out, char *line)
{
	char *path = line + 2, *arg = strchr(path, ' ');
	struct tar_entry x = {.path = path, .mode = S_IFREG | 0644};

	if (arg)
		*arg++ = 0;
	x.hardlink = *line == 'h';
	if (*line == 'd' || *line == 'D')
		x.mode = S_IFDIR | (*line == 'D' ? 0700 : 0755);
	if (*line == 'D')
		x.uid = x.gid = 7;
	if (*line == 'c') {
		x.mode = S_IFCHR | 0600;
		x.dev_major = 1;
	}
	if (*line == 's')
		x.mode = S_IFLNK | 0777;
	if (*line == 's' || *line == 'h')
		x.link = arg;
	if (*line == 'f')
		x.size = arg ? strlen(arg) : 0;
	if (tar_write_entry(out, &x, NULL) < 0) {
		fprintf(stderr, "no tar can hold: %s\n", line);
		exit(1);
	}
	if (x.size)
		CHECK(sink_write(out, arg, x.size) == 0);
	CHECK(tar_write_padding(out, &x) == 0);
}

/* The tar of a layer. */
static inline struct test_sink layer_tar(const char *text)
{
	struct test_sink out = test_sink_new();
	_cleanup_free_ char *copy = strdup(text);
	char *save, *line;

	CHECK(copy);
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		layer_entry(&out.s, line);
	CHECK(tar_write_end(&out.s) == 0);
	return out;
}

static inline int no_chunk(void *ctx _unused_, const struct digest *d _unused_,
	const void *p _unused_, uint32_t size _unused_, struct err *e _unused_)
{
	return 0;
}

static inline int layer_tree(const char *text, struct tree **ret, struct err *e)
{
	struct test_sink tar = layer_tar(text);
	struct test_source in = test_source_of(tar.b.p, tar.b.n, 4096);
	int r = layer_tree_from_tar(&in.s, CHUNK_BITS_MIN, no_chunk, NULL, NULL, ret, e);

	test_source_done(&in);
	test_sink_done(&tar);
	return r;
}

/* The layer as it is kept: an index of its own. */
static inline int layer_index(const char *text, struct index **ret, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = NULL;
	int r = layer_tree(text, &t, e);
	int fd;

	if (r < 0)
		return r;
	fd = memfd_create("layer", MFD_CLOEXEC);
	CHECK(fd >= 0 && index_plan_new(t, true, &plan, e) == 0);
	CHECK(index_plan_write(plan, fd, NULL, NULL, e) == 0);
	CHECK(index_open(fd, ret, e) == 0);
	close(fd);
	return 0;
}

/* Lays a layer over the tree. The index is returned: content is a view of it. */
static inline int lay_over(struct tree *t, const char *text, struct index **ret, struct err *e)
{
	struct inode *root;
	int r = layer_index(text, ret, e);

	if (r < 0)
		return r;
	CHECK(index_load(*ret, t, &root, e) == 0);
	return merge_layer(t, root, "layer", e);
}
