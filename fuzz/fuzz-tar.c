/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a tar archive: as they are, and once more with right checksums, which no fuzzer
 * finds. Of an input that is not whole blocks the first byte chooses the size of the pieces it is
 * read in, so that headers and records lie across them. What is read is written again, and must
 * be read again as the same.
 */
#include "format/tar-header.h"
#include "format/tar.h"
#include "util/test.h"

#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct tar_entry *x)
{
	uint64_t end = 0;

	CHECK(x->path && *x->path && x->mode & S_IFMT);
	CHECK(x->mtime_nsec < 1000000000 && x->uid != UINT32_MAX && x->gid != UINT32_MAX);
	CHECK(x->size <= INT64_MAX && (x->size == 0 || (S_ISREG(x->mode) && !x->hardlink)));
	CHECK(!x->link == !(x->hardlink || S_ISLNK(x->mode)));
	for (size_t i = 0; i < x->n_xattrs; i++)
		CHECK(*x->xattrs[i].name &&
			(i == 0 || strcmp(x->xattrs[i - 1].name, x->xattrs[i].name) < 0));
	for (size_t i = 0; x->sparse && i < x->n_extents; i++) {
		CHECK(x->extents[i].size && x->extents[i].offset >= end);
		end = x->extents[i].offset + x->extents[i].size;
		CHECK(end <= x->size);
	}
}

static bool same_name(const char *a, const char *b, bool dir)
{
	size_t n = strlen(a);

	return strncmp(a, b, n) == 0 && (!b[n] || (dir && strcmp(b + n, "/") == 0));
}

static void check_same(const struct tar_entry *a, const struct tar_entry *b)
{
	CHECK(same_name(a->path, b->path, S_ISDIR(a->mode)));
	CHECK(a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size);
	CHECK(a->mtime == b->mtime && a->mtime_nsec == b->mtime_nsec);
	CHECK(!a->link == !b->link && (!a->link || strcmp(a->link, b->link) == 0));
	CHECK(a->dev_major == b->dev_major && a->dev_minor == b->dev_minor);
	CHECK(a->sparse == b->sparse && a->n_extents == b->n_extents);
	CHECK(a->n_xattrs == b->n_xattrs);
	for (size_t i = 0; i < a->n_xattrs; i++)
		CHECK(a->xattrs[i].value_size == b->xattrs[i].value_size &&
			memcmp(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].value_size) ==
				0);
}

/* An entry with neither content nor holes is read back from its own bytes alone. */
static void check_writer(const struct tar_entry *x)
{
	struct test_sink out = test_sink_new();
	const struct tar_entry *again;
	struct test_source in;
	struct tar_reader *t;

	if (tar_write_entry(&out.s, x, NULL) == 0 && out.b.n % 512 == 0) {
		in = test_source_of(out.b.p, out.b.n, 4096);
		t = tar_reader_new(&in.s);
		CHECK(t && tar_next(t, &again, NULL) == 1);
		check_same(x, again);
		tar_reader_free(t);
		test_source_done(&in);
	}
	test_sink_done(&out);
}

static int read_data(struct tar_reader *t, const struct tar_entry *x)
{
	uint64_t offset, at = 0;
	const uint8_t *p;
	size_t n;
	int r;

	while ((r = tar_data(t, &p, &n, &offset, NULL)) > 0) {
		CHECK(n && offset >= at && offset + n <= x->size);
		at = offset + n;
	}
	return r;
}

static void read_archive(const uint8_t *p, size_t n, size_t piece, bool skip)
{
	struct test_source in = test_source_of(p, n, piece);
	struct tar_reader *t = tar_reader_new(&in.s);
	const struct tar_entry *x;
	struct err e = {0};
	int r;

	CHECK(t);
	while ((r = tar_next(t, &x, &e)) > 0) {
		check_entry(x);
		check_writer(x);
		if (!skip && read_data(t, x) < 0)
			break;
	}
	CHECK(r >= 0 || (r == -ERR_INPUT && e.code == r && *e.text));
	tar_reader_free(t);
	test_source_done(&in);
}

static void repair_checksums(uint8_t *p, size_t n)
{
	for (; n >= TAR_BLOCK; p += TAR_BLOCK, n -= TAR_BLOCK) {
		struct tar_header *h = (struct tar_header *)p;

		if (memcmp(h->magic, "ustar", 5) == 0)
			tar_checksum_put(h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t choice = size % TAR_BLOCK ? data[0] : 0;
	const size_t skipped = size % TAR_BLOCK ? 1 : 0, n = size - skipped;
	const size_t piece = choice % 16 ? (size_t)(choice % 16) * 97 : 65536;
	uint8_t *copy = malloc(n + 1);

	CHECK(copy);
	memcpy(copy, data + skipped, n);
	read_archive(copy, n, piece, choice & 0x80);
	repair_checksums(copy, n);
	read_archive(copy, n, piece, choice & 0x80);
	free(copy);
	return 0;
}
