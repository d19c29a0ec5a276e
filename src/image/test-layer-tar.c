/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's tar goes in and comes out again. Files that are named as arguments are tried too. */
#include "layer-tar.h"
#include "assemble.h"
#include "format/tar.h"
#include "util/io.h"
#include "util/test.h"

#include <fcntl.h>
#include <ftw.h>

static char root[32];

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static struct store *new_store(void)
{
	struct store *s;

	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root) && store_open(root, true, &s, NULL) == 0);
	return s;
}

static void drop_store(struct store *s)
{
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

static int produce(void *ctx, struct sink *out, struct err *e _unused_)
{
	const struct buf *tar = ctx;

	return sink_write(out, tar->p, tar->n);
}

/* The tar as a layer of an image; *ret_layer is its diff_id. */
static void put_in(
	struct store *s, const struct buf *tar, unsigned int chunk_bits, struct digest *ret_diff_id)
{
	static const char text[] = "{}";
	_cleanup_layer_ struct layer layer = LAYER_NONE;
	struct buf config = {.p = (uint8_t *)(uintptr_t)text, .n = 2};
	struct oci_descriptor desc = {0};
	struct assembly *a;
	struct digest image;
	struct err e = {0};

	CHECK(assembly_begin(s, &a, NULL) == 0);
	if (layer_read(assembly_ingest(a), produce, (void *)(uintptr_t)tar, chunk_bits, &layer,
		    &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	CHECK(assembly_add_layer(a, &layer, NULL) == 0);
	*ret_diff_id = desc.digest = layer.diff_id;
	desc.size = layer.size;
	CHECK(assembly_commit_new(a, &config, &desc, 1, "x:latest", &image, NULL) >= 0);
	assembly_free(a);
}

static int split_is_sound(struct store *s, const struct digest *diff_id)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int layer = -1, split = -1;

	CHECK(store_file_open(s, STORE_LAYER, diff_id, &layer, NULL) == 0);
	CHECK(store_file_open(s, STORE_SPLIT, diff_id, &split, NULL) == 0);
	CHECK(index_open(layer, &x, NULL) == 0);
	return split_check(split, x, NULL);
}

static void check_same(const struct buf *tar, unsigned int chunk_bits)
{
	struct test_sink out = test_sink_new();
	struct store *s = new_store();
	struct digest diff_id;
	struct err e = {0};
	uint64_t size;

	put_in(s, tar, chunk_bits, &diff_id);
	CHECK(layer_tar_size(s, &diff_id, &size, NULL) == 0 && size == tar->n);
	if (layer_tar_write(s, &diff_id, &out.s, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(out.b.n == tar->n && memcmp(out.b.p, tar->p, tar->n) == 0);
	CHECK(split_is_sound(s, &diff_id) == 0);
	test_sink_done(&out);
	drop_store(s);
}

/* --- a tar with everything ---------------------------------------------------------------- */

static void put_data(struct sink *out, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		CHECK(sink_write(out, &(uint8_t){(uint8_t)(seed >> 24)}, 1) == 0);
	}
}

static void put_file(struct sink *out, const char *path, size_t size, unsigned int seed)
{
	struct tar_entry x = {.mode = S_IFREG | 0644, .path = path, .size = size};

	CHECK(tar_write_entry(out, &x, NULL) == 0);
	if (seed)
		put_data(out, size, seed);
	for (size_t i = 0; !seed && i < size; i++)
		CHECK(sink_write(out, "", 1) == 0);
	CHECK(tar_write_padding(out, &x) == 0);
}

static void put_sparse(struct sink *out)
{
	static const struct tar_extent extents[] = {{512, 1024}, {4096, 512}, {8192, 4096},
		{20480, 512}, {1 << 20, 12288}, {(1 << 20) + 65536, 100}};
	struct tar_entry x = {.mode = S_IFREG | 0600,
		.path = "sparse",
		.size = (1 << 20) + 65636,
		.extents = extents,
		.n_extents = 6,
		.sparse = true};

	CHECK(tar_write_entry(out, &x, NULL) == 0);
	for (unsigned int i = 0; i < 6; i++)
		put_data(out, extents[i].size, i + 1);
	CHECK(tar_write_padding(out, &x) == 0);
}

static struct test_sink make_tar(void)
{
	struct test_sink out = test_sink_new();
	struct tar_entry link = {
		.mode = S_IFREG | 0644, .hardlink = true, .path = "link", .link = "big"};

	put_file(&out.s, "replaced", 300000, 7); /* its chunks are extras */
	put_file(&out.s, "inline", 200, 1);
	put_file(&out.s, "big", 3 * (1 << 17) + 77, 2);
	put_file(&out.s, "again", 3 * (1 << 17) + 77, 2);
	CHECK(tar_write_entry(&out.s, &link, NULL) == 0);
	put_file(&out.s, "zeros", 1 << 18, 0);
	put_file(&out.s, "empty", 0, 1);
	put_sparse(&out.s);
	put_file(&out.s, "replaced", 5000, 9);
	put_file(&out.s, ".wh.hidden", 70000, 3); /* content that nobody reads */
	CHECK(tar_write_end(&out.s) == 0);
	put_data(&out.s, 12345, 8);
	return out;
}

static void everything(void)
{
	struct test_sink tar = make_tar();

	check_same(&tar.b, CHUNK_BITS_MIN);
	check_same(&tar.b, CHUNK_BITS_DEFAULT);
	test_sink_done(&tar);
}

/* --- damage ------------------------------------------------------------------------------- */

static int split_file(struct store *s, const struct digest *diff_id)
{
	char name[STORE_NAME_MAX];
	int fd = openat(s->dirfd, store_file_name(STORE_SPLIT, diff_id, name), O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static void flip(int fd, uint64_t at)
{
	uint8_t b;

	CHECK(io_pread_full(fd, &b, 1, at) == 0);
	b ^= 0x10;
	CHECK(io_pwrite_full(fd, &b, 1, at) == 0);
}

/* Whatever byte is wrong: the check finds it, and no wrong tar comes out as right. */
static void damage(void)
{
	struct test_sink tar = make_tar();
	struct store *s = new_store();
	struct digest diff_id;
	off_t size;
	int fd;

	put_in(s, &tar.b, CHUNK_BITS_MIN, &diff_id);
	fd = split_file(s, &diff_id);
	size = lseek(fd, 0, SEEK_END);
	CHECK(size > 72);
	for (off_t at = 0; at < size; at += at < 200 ? 1 : 331) {
		struct test_sink out = test_sink_new();

		flip(fd, (uint64_t)at);
		CHECK(split_is_sound(s, &diff_id) == -ERR_STORE);
		if (layer_tar_write(s, &diff_id, &out.s, NULL) == 0)
			CHECK(out.b.n == tar.b.n && memcmp(out.b.p, tar.b.p, tar.b.n) == 0);
		flip(fd, (uint64_t)at);
		test_sink_done(&out);
	}
	CHECK(ftruncate(fd, size - 1) == 0 && split_is_sound(s, &diff_id) == -ERR_STORE);
	CHECK(ftruncate(fd, 10) == 0 && split_is_sound(s, &diff_id) == -ERR_STORE);
	close(fd);
	test_sink_done(&tar);
	drop_store(s);
}

int main(int argc, char **argv)
{
	everything();
	damage();
	for (int i = 1; i < argc; i++) {
		_cleanup_close_ int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		_cleanup_buf_ struct buf tar = {0};

		CHECK(fd >= 0 && io_slurp(fd, (size_t)1 << 32, &tar) == 0);
		check_same(&tar, CHUNK_BITS_DEFAULT);
	}
	return 0;
}
