/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a layer's tar, with right checksums: read into a tree, written as an index, read
 * again, and laid over itself, so that its whiteouts and hard links meet something. What is read
 * must come out of the split again byte for byte.
 */
#include "format/tar-header.h"
#include "format/test-index-walk.h"
#include "image/layer.h"
#include "image/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The chunks' content, in the order of their ids. */
struct kept {
	struct buf data;
	struct buf ends; /* uint64_t: where in it each ends */
};

static int keep_chunk(void *ctx, const struct digest *d _unused_, const void *p, uint32_t size,
	struct err *e _unused_)
{
	struct kept *k = ctx;
	uint64_t end;

	CHECK(size > 0 && buf_add(&k->data, p, size) == 0);
	end = k->data.n;
	CHECK(buf_add(&k->ends, &end, sizeof(end)) == 0);
	return 0;
}

static void kept_done(struct kept *k)
{
	buf_done(&k->data);
	buf_done(&k->ends);
}

/* Compares `n` bytes of chunk `id` (0: all) with what the tar has there. */
static size_t compare_chunk(
	const struct kept *k, uint32_t id, size_t offset, size_t n, const uint8_t *p, size_t left)
{
	const uint64_t *ends = (const uint64_t *)k->ends.p;
	size_t from = id ? (size_t)ends[id - 1] : 0, size = (size_t)ends[id] - from;

	n = n ? n : size;
	CHECK(offset <= size && n <= size - offset && n <= left);
	CHECK(memcmp(k->data.p + from + offset, p, n) == 0);
	return n;
}

static void compare_tar(int fd, const struct kept *k, const uint8_t *p, size_t n)
{
	_cleanup_(split_closep) struct split *s = NULL;
	struct split_op op;
	size_t at = 0;
	int r;

	CHECK(split_open(fd, &s, NULL) == 0 && split_tar_size(s) == n);
	while ((r = split_next(s, &op, NULL)) == 1) {
		if (op.kind == SPLIT_LITERAL) {
			CHECK(op.n <= n - at && memcmp(op.p, p + at, op.n) == 0);
			at += op.n;
		} else if (op.kind == SPLIT_ZEROS) {
			for (uint64_t i = 0; i < op.n; i++)
				CHECK(at < n && p[at++] == 0);
		} else if (op.kind == SPLIT_PART) {
			at += compare_chunk(k, op.id, op.offset, op.n, p + at, n - at);
		} else {
			for (uint64_t i = 0; i < op.n; i++)
				at += compare_chunk(k, op.id + (uint32_t)i, 0, 0, p + at, n - at);
		}
	}
	CHECK(r == 0 && at == n);
}

static void repair_checksums(uint8_t *p, size_t n)
{
	for (; n >= TAR_BLOCK; p += TAR_BLOCK, n -= TAR_BLOCK) {
		struct tar_header *h = (struct tar_header *)p;

		if (memcmp(h->magic, "ustar", 5) == 0)
			tar_checksum_put(h);
	}
}

/* `split` may be NULL. */
static bool write_index(struct tree *t, bool layer, struct split_writer *split, struct index **ret)
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
	CHECK(!split || split_writer_finish(split, plan, &e) == 0);
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
			CHECK(false);
		}
		r = merge_layer(t, root, "layer", &e);
		CHECK(r == 0 || (r == -ERR_INPUT && e.code == r));
		if (r < 0)
			return;
	}
	if (write_index(t, false, NULL, &merged))
		walk_index(merged);
}

static void run(const uint8_t *p, size_t n)
{
	_cleanup_(split_writer_freep) struct split_writer *split = NULL;
	_cleanup_(kept_done) struct kept kept = {0};
	struct test_source in = test_source_of(p, n, 65536);
	_cleanup_close_ int fd = test_memfd();
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_(tree_freep) struct tree *t = NULL;
	struct err e = {0};
	int r;

	CHECK(split_writer_new(fd, &split, NULL) == 0);
	r = layer_tree_from_tar(&in.s, CHUNK_BITS_MIN, keep_chunk, &kept, split, &t, &e);
	test_source_done(&in);
	if (r < 0) {
		CHECK(r == -ERR_INPUT && e.code == r && *e.text);
		return;
	}
	if (!write_index(t, true, split, &x))
		return;
	CHECK(split_check(fd, x, &e) == 0);
	compare_tar(fd, &kept, p, n);
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
