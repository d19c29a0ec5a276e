/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a layer's tar, with right checksums: read into a tree, written as an index, read
 * again, and laid over itself, so that its whiteouts and hard links meet something.
 */
#include "format/tar-header.h"
#include "format/test-index-walk.h"
#include "image/layer.h"
#include "image/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int drop_chunk(void *ctx _unused_, const struct digest *d _unused_, const void *p _unused_,
	uint32_t size, struct err *e _unused_)
{
	CHECK(size > 0);
	return 0;
}

static void repair_checksums(uint8_t *p, size_t n)
{
	for (; n >= TAR_BLOCK; p += TAR_BLOCK, n -= TAR_BLOCK) {
		struct tar_header *h = (struct tar_header *)p;

		if (memcmp(h->magic, "ustar", 5) == 0)
			tar_checksum_put(h);
	}
}

static bool write_index(struct tree *t, bool layer, struct index **ret)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_close_ int fd = test_memfd();
	struct err e = {0};
	int r = index_plan_new(t, layer, &plan, &e);

	if (r < 0) {
		CHECK(r == -ERR_INPUT && e.code == r);
		return false;
	}
	CHECK(index_plan_write(plan, fd, NULL, NULL, &e) == 0);
	CHECK(index_open(fd, ret, &e) == 0);
	return true;
}

/* Twice the same layer: the second time over the first. */
static void merge_twice(const struct index *x)
{
	_cleanup_(index_closep) struct index *merged = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	struct err e = {0};

	CHECK(t);
	for (int n = 0; n < 2; n++) {
		struct inode *root;
		int r;

		if (index_load(x, t, &root, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			CHECK(!"the layer's index");
		}
		r = merge_layer(t, root, "layer", &e);
		CHECK(r == 0 || (r == -ERR_INPUT && e.code == r));
		if (r < 0)
			return;
	}
	if (write_index(t, false, &merged))
		walk_index(merged);
}

static void run(const uint8_t *p, size_t n)
{
	struct test_source in = test_source_of(p, n, 65536);
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_(tree_freep) struct tree *t = NULL;
	struct err e = {0};
	int r = layer_tree_from_tar(&in.s, CHUNK_BITS_MIN, drop_chunk, NULL, &t, &e);

	test_source_done(&in);
	if (r < 0) {
		CHECK(r == -ERR_INPUT && e.code == r && *e.text);
		return;
	}
	if (write_index(t, true, &x))
		merge_twice(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = malloc(size + 1);

	CHECK(copy);
	memcpy(copy, data, size);
	repair_checksums(copy, size);
	run(copy, size);
	return 0;
}
