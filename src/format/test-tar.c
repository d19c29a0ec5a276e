/* SPDX-License-Identifier: Apache-2.0 */
#include "tar-header.h"
#include "tar-pax.h"
#include "tar.h"
#include "util/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const size_t pieces[] = {1 << 20, 512, 511, 7};

/* --- reading into a description, which is easy to compare ---------------------------------- */

static void describe(struct buf *b, const struct tar_entry *x)
{
	CHECK(buf_addf(b, "%s %o %u:%u %jd.%09u %ju", x->path, x->mode, x->uid, x->gid,
		      (intmax_t)x->mtime, x->mtime_nsec, (uintmax_t)x->size) == 0);
	if (x->hardlink)
		CHECK(buf_addf(b, " hard") == 0);
	if (x->link)
		CHECK(buf_addf(b, " -> %s", x->link) == 0);
	if (S_ISCHR(x->mode) || S_ISBLK(x->mode))
		CHECK(buf_addf(b, " dev %u:%u", x->dev_major, x->dev_minor) == 0);
	for (size_t i = 0; i < x->n_xattrs; i++)
		CHECK(buf_addf(b, " [%s=%.*s/%zu]", x->xattrs[i].name,
			      (int)(x->xattrs[i].value_size < 40 ? x->xattrs[i].value_size : 40),
			      (const char *)x->xattrs[i].value, x->xattrs[i].value_size) == 0);
	for (size_t i = 0; x->sparse && i < x->n_extents; i++)
		CHECK(buf_addf(b, " {%ju+%ju}", (uintmax_t)x->extents[i].offset,
			      (uintmax_t)x->extents[i].size) == 0);
	CHECK(buf_addf(b, "\n") == 0);
}

/* The content, with holes as zeros; only its bytes in the archive count for the sum. */
static int read_content(struct tar_reader *t, struct buf *out, uint64_t *sum, struct err *e)
{
	const uint8_t *p;
	size_t n;
	uint64_t offset, at = 0;
	int r;

	while ((r = tar_data(t, &p, &n, &offset, e)) > 0) {
		CHECK(n > 0 && offset >= at);
		at = offset + n;
		*sum += n;
		if (out && at < 1 << 20) {
			if (offset > out->n)
				CHECK(buf_add_zero(out, (size_t)offset - out->n) == 0);
			CHECK(buf_add(out, p, n) == 0);
		}
	}
	return r;
}

struct reading {
	struct buf text;
	int r;
	size_t n;
	uint64_t bytes;
	struct err e;
};

static struct reading read_all(const void *p, size_t n, size_t piece, bool skip)
{
	struct test_source s = test_source_of(p, n, piece);
	struct tar_reader *t = tar_reader_new(&s.s);
	const struct tar_entry *x;
	struct reading a = {0};

	CHECK(t);
	while ((a.r = tar_next(t, &x, &a.e)) > 0) {
		a.n++;
		describe(&a.text, x);
		if (!skip && read_content(t, NULL, &a.bytes, &a.e) < 0)
			break;
	}
	if (a.e.code) {
		CHECK(tar_next(t, &x, NULL) < 0); /* failures stay */
		CHECK(*a.e.text);
		a.r = a.e.code;
	} else {
		CHECK(tar_next(t, &x, NULL) == 0); /* so does the end */
	}
	tar_reader_free(t);
	test_source_done(&s);
	return a;
}

/* Reads in all ways, which must agree. Returns the description ("!message" after a failure). */
static char *read_text(const void *p, size_t n)
{
	struct reading first = read_all(p, n, pieces[0], false);
	char *text;

	for (size_t i = 0; i < 2 * sizeof(pieces) / sizeof(pieces[0]) && n < 1 << 20; i++) {
		struct reading a = read_all(p, n, pieces[i / 2], i % 2);

		CHECK(a.r == first.r && a.n == first.n);
		CHECK(!a.text.n || strcmp((char *)a.text.p, (char *)first.text.p) == 0);
		buf_done(&a.text);
	}
	if (first.r < 0)
		CHECK(buf_addf(&first.text, "!%s", first.e.text) == 0);
	text = strdup(first.text.p ? (char *)first.text.p : "");
	buf_done(&first.text);
	return text;
}

static void expect(const struct buf *b, const char *want, int line)
{
	char *text = read_text(b->p, b->n);

	if (!strstr(text, want)) {
		fprintf(stderr, "%s:%d: got:\n%s\nwant:\n%s\n", __FILE__, line, text, want);
		exit(1);
	}
	free(text);
}
#define EXPECT(b, want) expect(b, want, __LINE__)

/* --- making archives by hand --------------------------------------------------------------- */

static struct tar_header header_of(char type, const char *name, uint64_t size)
{
	struct tar_header h = {.type = type};

	memcpy(h.name, name, strlen(name));
	tar_number_put(h.mode, 8, 0644);
	tar_number_put(h.uid, 8, 1);
	tar_number_put(h.gid, 8, 2);
	tar_number_put(h.size, 12, (int64_t)size);
	tar_number_put(h.mtime, 12, 1000);
	tar_number_put(h.dev_major, 8, 0);
	tar_number_put(h.dev_minor, 8, 0);
	memcpy(h.magic, "ustar\00000", 8);
	return h;
}

static void add_header(struct buf *b, struct tar_header h)
{
	tar_checksum_put(&h);
	CHECK(buf_add(b, &h, sizeof(h)) == 0);
}

static void add_data(struct buf *b, const char *text, size_t n)
{
	CHECK(buf_add(b, text, n) == 0);
	CHECK(buf_add_zero(b, tar_padding(n)) == 0);
}

static void add_file(struct buf *b, char type, const char *name, const char *text)
{
	add_header(b, header_of(type, name, strlen(text)));
	add_data(b, text, strlen(text));
}

static void add_extension(struct buf *b, char type, const void *text, size_t n)
{
	add_header(b, header_of(type, "././@PaxHeader", n));
	add_data(b, text, n);
}

static void add_record(struct buf *b, const char *key, const void *value, size_t n)
{
	size_t size = strlen(key) + n + 3, total = size + 1;

	for (size_t limit = 10; total >= limit; limit *= 10)
		total = size + (size_t)snprintf(NULL, 0, "%zu", total);
	CHECK(buf_addf(b, "%zu %s=", total, key) == 0);
	CHECK(buf_add(b, value, n) == 0);
	CHECK(buf_add(b, "\n", 1) == 0);
}

/* One extended header from key, value, ..., NULL. */
static void add_pax(struct buf *b, char type, const char *const *pairs)
{
	_cleanup_buf_ struct buf text = {0};

	for (; *pairs; pairs += 2)
		add_record(&text, pairs[0], pairs[1], strlen(pairs[1]));
	add_extension(b, type, text.p, text.n);
}
#define PAX(b, type, ...) add_pax(b, type, (const char *const[]){__VA_ARGS__, NULL})

static void add_end(struct buf *b)
{
	CHECK(buf_add_zero(b, 1024) == 0);
}

/* --- numbers ------------------------------------------------------------------------------ */

static void check_number(const char *field, size_t n, int r, int64_t v)
{
	int64_t got = 0;

	CHECK(tar_number(field, n, &got) == r);
	CHECK(r < 0 || got == v);
}

static void test_numbers(void)
{
	static const int64_t values[] = {0, 1, 07777777, 010000000, 077777777777, 0100000000000,
		INT64_MAX, -1, -2, INT64_MIN, 1 << 30, -(1 << 30)};
	char field[12];

	check_number("0000644\0", 8, 0, 0644);
	check_number("   644 \0", 8, 0, 0644);
	check_number("        ", 8, 0, 0);
	check_number("\0\0\0\0\0\0\0\0", 8, 0, 0);
	check_number("77777777", 8, 0, 077777777);
	check_number("12\0junk.", 8, 0, 012);
	check_number("12 34\0\0\0", 8, -ERR_INPUT, 0);
	check_number("\0\0001234\0", 8, -ERR_INPUT, 0);
	check_number("8       ", 8, -ERR_INPUT, 0);
	check_number("-1      ", 8, -ERR_INPUT, 0);
	check_number("\x80\0\0\0\0\0\x01\0", 8, 0, 256);
	check_number("\xff\xff\xff\xff\xff\xff\xff\xff", 8, 0, -1);
	check_number("\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12, -ERR_INPUT, 0);
	check_number("\xc0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12, -ERR_INPUT, 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		tar_number_put(field, 12, values[i]);
		check_number(field, 12, 0, values[i]);
	}
}

static void check_time(const char *s, int64_t sec, uint32_t nsec)
{
	int64_t got;
	uint32_t got_nsec;

	CHECK(tar_pax_time(s, strlen(s), &got, &got_nsec) == 0);
	CHECK(got == sec && got_nsec == nsec);
}

static void test_times(void)
{
	static const char *const wrong[] = {
		"", "-", ".5", "1.x", "1e3", "+1", "--1", "1.-2", "9223372036854775808", " 1"};
	int64_t sec;
	uint32_t nsec;

	check_time("0", 0, 0);
	check_time("1.", 1, 0);
	check_time("1700000000.5", 1700000000, 500000000);
	check_time("-1.25", -2, 750000000);
	check_time("-0.000000001", -1, 999999999);
	check_time("-3", -3, 0);
	check_time("1.1234567899", 1, 123456789);
	check_time("-9223372036854775807.5", INT64_MIN, 500000000);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(tar_pax_time(wrong[i], strlen(wrong[i]), &sec, &nsec) == -ERR_INPUT);
}

/* --- round trips -------------------------------------------------------------------------- */

static void write_one(struct test_sink *s, const struct tar_entry *x)
{
	struct err e = {0};
	uint64_t n = x->size;
	char c = 'x';

	if (tar_write_entry(&s->s, x, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	if (x->hardlink || !S_ISREG(x->mode))
		return;
	for (size_t i = n = x->sparse ? 0 : n; x->sparse && i < x->n_extents; i++)
		n += x->extents[i].size;
	while (n--)
		CHECK(sink_write(&s->s, &c, 1) == 0);
	CHECK(tar_write_padding(&s->s, x) == 0);
	CHECK(s->b.n % TAR_BLOCK == 0);
}

static void round_trip(const struct tar_entry *x)
{
	struct test_sink s = test_sink_new(), again = test_sink_new();
	struct buf want = {0};
	char *got;

	describe(&want, x);
	write_one(&s, x);
	CHECK(tar_write_end(&s.s) == 0);
	got = read_text(s.b.p, s.b.n);
	if (strcmp(got, (char *)want.p) != 0) {
		fprintf(stderr, "wrote:\n%sread:\n%s", (char *)want.p, got);
		exit(1);
	}
	write_one(&again, x);
	CHECK(memcmp(again.b.p, s.b.p, again.b.n) == 0);
	free(got);
	buf_done(&want);
	test_sink_done(&s);
	test_sink_done(&again);
}

static void test_round_trip_names(void)
{
	static const size_t sizes[] = {
		1, 99, 100, 101, 155, 156, 254, 255, 256, 257, 4095, 5000, 70000};
	char *path = malloc(80000);

	CHECK(path);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t step = 1; step < 256; step = step * 3 + 1) {
			struct tar_entry x = {.path = path, .mode = S_IFREG | 0600};

			for (size_t k = 0; k < sizes[i]; k++)
				path[k] = k % (step + 1) == step ? '/' : (char)('a' + k % 26);
			path[sizes[i]] = 0;
			if (path[sizes[i] - 1] == '/')
				path[sizes[i] - 1] = 'z';
			round_trip(&x);
			x.hardlink = true;
			x.link = path;
			round_trip(&x);
			x = (struct tar_entry){.path = path, .mode = S_IFDIR | 0700};
			path[sizes[i] - 1] = '/';
			round_trip(&x);
		}
	free(path);
	round_trip(&(struct tar_entry){.path = "\xc3\xa4\xe2\x82\xac", .mode = S_IFREG});
	round_trip(&(struct tar_entry){.path = "a\xff\xfe z", .mode = S_IFREG});
	round_trip(&(struct tar_entry){.path = "\xed\xa0\x80\n=", .mode = S_IFREG});
	round_trip(&(struct tar_entry){.path = "l", .link = "\xff", .mode = S_IFLNK | 0777});
	round_trip(&(struct tar_entry){.path = "./", .mode = S_IFDIR | 0755});
	round_trip(&(struct tar_entry){.path = "/abs//x/../y", .mode = S_IFREG});
}

static void test_round_trip_fields(void)
{
	static const int64_t times[] = {
		0, 1, -1, -2, 077777777777, 0100000000000, INT64_MAX, -INT64_MAX, -62135596800};
	static const uint32_t nsecs[] = {0, 1, 100000000, 999999999};
	static const uint32_t ids[] = {0, 07777777, 010000000, 65534, UINT32_MAX - 1};
	static const uint32_t types[] = {S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFREG};
	char target[4096] = "";

	for (size_t i = 0; i < 9; i++)
		for (size_t k = 0; k < 4; k++)
			round_trip(&(struct tar_entry){.path = "t",
				.mode = S_IFREG | 07777,
				.mtime = times[i],
				.mtime_nsec = nsecs[k]});
	for (size_t i = 0; i < 5; i++)
		round_trip(&(struct tar_entry){
			.path = "u", .mode = S_IFREG, .uid = ids[i], .gid = ids[4 - i]});
	for (size_t i = 0; i < 6; i++)
		round_trip(&(struct tar_entry){.path = types[i] == S_IFDIR ? "d/" : "d",
			.mode = types[i] | 01234,
			.dev_major = 4095,
			.dev_minor = 1048575});
	round_trip(&(struct tar_entry){
		.path = "d", .mode = S_IFCHR, .dev_major = UINT32_MAX, .dev_minor = 010000000});
	for (uint64_t n = 510; n < 515; n++)
		round_trip(&(struct tar_entry){.path = "n", .mode = S_IFREG, .size = n});
	memset(target, 't', 4095);
	round_trip(&(struct tar_entry){.path = "l", .link = target, .mode = S_IFLNK | 0777});
	round_trip(&(struct tar_entry){.path = "l", .link = "..", .mode = S_IFLNK | 0777});
}

static void test_round_trip_xattrs(void)
{
	static char big[65536], name[256] = "user.";
	struct tar_xattr v[] = {
		{"security.capability", "\x01\0\0\x02\n=\0", 20},
		{"user.%3D=%25%", "", 0},
		{"user.a", "1", 1},
		{name, big, sizeof(big)},
	};

	for (size_t i = 5; i < 255; i++)
		name[i] = 'n';
	v[0].value = "\x01\0\0\x02\n=\0=============";
	memset(big, '\n', sizeof(big));
	round_trip(&(struct tar_entry){
		.path = "x", .mode = S_IFREG | 0644, .xattrs = v, .n_xattrs = 4});
	round_trip(&(struct tar_entry){
		.path = "x/", .mode = S_IFDIR | 0644, .xattrs = v, .n_xattrs = 4});
}

static void test_round_trip_sparse(void)
{
	static const struct tar_extent v[] = {
		{0, 5}, {4096, 4096}, {UINT64_C(1) << 40, 3}, {INT64_MAX - 10, 10}};
	struct tar_entry x = {.path = "dir/sparse",
		.mode = S_IFREG | 0644,
		.size = INT64_MAX,
		.extents = v,
		.n_extents = 4,
		.sparse = true};
	struct tar_extent *many = calloc(65536, sizeof(*many));

	CHECK(many);
	round_trip(&x);
	x.n_extents = 3;
	round_trip(&x);
	x.n_extents = 0;
	round_trip(&x);
	x.path = "dir/\xff\xfe";
	x.size = 0;
	round_trip(&x);
	for (size_t i = 0; i < 65536; i++)
		many[i] = (struct tar_extent){INT64_MAX / 2 + i * 3, 1};
	x.extents = many;
	x.n_extents = 65536;
	x.size = INT64_MAX;
	round_trip(&x);
	free(many);
}

static void refuse_writing(struct tar_entry x, const char *why)
{
	struct test_sink s = test_sink_new();
	struct err e = {0};

	CHECK(tar_write_entry(&s.s, &x, &e) == -ERR_INPUT);
	CHECK(strstr(e.text, why));
	CHECK(s.b.n == 0);
	test_sink_done(&s);
}

static void test_write_refuses(void)
{
	static char long_name[300];
	struct tar_xattr bad_name = {long_name, "", 0}, no_name = {"", "", 0};
	struct tar_extent v[] = {{4, 4}, {6, 1}};

	memset(long_name, 'n', 256);
	refuse_writing((struct tar_entry){.path = "", .mode = S_IFREG}, "empty path");
	refuse_writing((struct tar_entry){.path = "f/", .mode = S_IFREG}, "ends in '/'");
	refuse_writing((struct tar_entry){.path = "t"}, "unknown type");
	refuse_writing((struct tar_entry){.path = "l", .mode = S_IFLNK}, "empty link");
	refuse_writing((struct tar_entry){.path = "l", .mode = S_IFLNK, .link = ""}, "empty link");
	refuse_writing(
		(struct tar_entry){.path = "u", .mode = S_IFREG, .uid = UINT32_MAX}, "owner");
	refuse_writing(
		(struct tar_entry){
			.path = "x", .mode = S_IFREG, .xattrs = &bad_name, .n_xattrs = 1},
		"bad name");
	refuse_writing(
		(struct tar_entry){.path = "x", .mode = S_IFREG, .xattrs = &no_name, .n_xattrs = 1},
		"bad name");
	refuse_writing((struct tar_entry){.path = "s",
			       .mode = S_IFREG,
			       .sparse = true,
			       .size = 99,
			       .extents = v,
			       .n_extents = 2},
		"sparse map");
}

/* --- reading what others write, and what nobody should ------------------------------------ */

static void test_dialects(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h = header_of(0, "v7", 0);

	memset(h.magic, 0, 8);
	add_header(&b, h);
	h = header_of(0, "v7dir/", 0);
	memset(h.magic, 0, 8);
	add_header(&b, h);
	h = header_of('0', "name", 0);
	memcpy(h.prefix, "pre/fix", 7);
	add_header(&b, h);
	memcpy(h.magic, "ustar  ", 8); /* GNU: times there, no prefix */
	add_header(&b, h);
	memcpy(h.magic, "ustar\00000", 8);
	memset(h.prefix + 131, '7', 24);
	memcpy(h.pad + 8, "tar", 4);
	add_header(&b, h); /* star: a prefix of 131 bytes */
	add_file(&b, '7', "contiguous", "abc");
	add_file(&b, 'V', "volume label", "");
	add_file(&b, 'D', "dumpdir", "Yfile\0");
	add_header(&b, header_of('0', "file", 0));
	EXPECT(&b, "v7 100644 1:2 1000.000000000 0\n"
		   "v7dir/ 40644 1:2 1000.000000000 0\n"
		   "pre/fix/name 100644 1:2 1000.000000000 0\n"
		   "name 100644 1:2 1000.000000000 0\n"
		   "pre/fix/name 100644 1:2 1000.000000000 0\n"
		   "contiguous 100644 1:2 1000.000000000 3\n"
		   "dumpdir 40644 1:2 1000.000000000 0\n"
		   "file 100644 1:2 1000.000000000 0\n");
}

static void test_gnu_names(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h = header_of('2', "short", 0);

	add_extension(&b, 'L', "long name", 10);
	add_extension(&b, 'K', "long link", 10);
	add_header(&b, h);
	add_extension(&b, 'L', "x", 1); /* no NUL */
	add_file(&b, '0', "y", "data");
	add_extension(&b, 'L', "same", 5);
	PAX(&b, 'x', "path", "same");
	add_file(&b, '0', "y", "");
	EXPECT(&b, "long name 120644 1:2 1000.000000000 0 -> long link\n"
		   "x 100644 1:2 1000.000000000 4\n"
		   "same 100644 1:2 1000.000000000 0\n");
}

static void test_pax(void)
{
	_cleanup_buf_ struct buf b = {0};

	PAX(&b, 'g', "comment", "x", "mtime", "5.5", "uid", "7", "SCHILY.xattr.user.g", "G");
	add_file(&b, '0', "a", "");
	PAX(&b, 'x', "uid", "8", "mtime", "", "gid", "4294967294", "path", "pax", "atime", "junk");
	add_file(&b, '0', "b", "");
	PAX(&b, 'x', "uid", "", "SCHILY.xattr.user.g", "", "path", "no", "path", "");
	add_file(&b, '0', "c", "");
	PAX(&b, 'g', "mtime", "");
	PAX(&b, 'x', "LIBARCHIVE.xattr.user.b%20c", "aGk", "LIBARCHIVE.xattr.user.z", "aGkh",
		"SCHILY.xattr.user.z", "one", "SCHILY.xattr.user.z", "two",
		"LIBARCHIVE.xattr.user.z", "aGkh", "size", "3");
	add_header(&b, header_of('0', "d", 77777));
	add_data(&b, "abc", 3);
	add_header(&b, header_of('0', "e", 0));
	add_end(&b);
	EXPECT(&b, "a 100644 7:2 5.500000000 0 [user.g=G/1]\n"
		   "pax 100644 8:4294967294 1000.000000000 0 [user.g=G/1]\n"
		   "c 100644 1:2 5.500000000 0 [user.g=/0]\n"
		   "d 100644 7:2 1000.000000000 3 [user.b c=hi/2] [user.g=G/1] [user.z=two/3]\n"
		   "e 100644 7:2 1000.000000000 0 [user.g=G/1]\n");
}

static void test_sparse_forms(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h = header_of('S', "old", 1024);
	struct tar_gnu_sparse g = {.is_extended = 1};
	struct tar_gnu_sparse_more more = {0};

	memcpy(h.magic, "ustar  ", 8);
	for (size_t i = 0; i < 4; i++) {
		tar_number_put(g.map[i].offset, 12, (int64_t)i * 1000);
		tar_number_put(g.map[i].size, 12, 200);
	}
	tar_number_put(more.map[0].offset, 12, INT64_C(1) << 40);
	tar_number_put(more.map[0].size, 12, 224);
	tar_number_put(more.map[1].offset, 12, INT64_C(1) << 41);
	tar_number_put(more.map[1].size, 12, 0);
	tar_number_put(g.real_size, 12, INT64_C(1) << 41);
	memcpy(h.prefix, &g, sizeof(g));
	add_header(&b, h);
	CHECK(buf_add(&b, &more, sizeof(more)) == 0);
	CHECK(buf_add_zero(&b, 1024) == 0);
	PAX(&b, 'x', "GNU.sparse.size", "100", "GNU.sparse.numblocks", "2", "GNU.sparse.offset",
		"0", "GNU.sparse.numbytes", "1", "GNU.sparse.offset", "50", "GNU.sparse.numbytes",
		"2");
	add_file(&b, '0', "v0.0", "abc");
	PAX(&b, 'x', "GNU.sparse.size", "100", "GNU.sparse.numblocks", "3", "GNU.sparse.name",
		"v0.1", "GNU.sparse.map", "0,1,50,2,100,0");
	add_file(&b, '0', "GNUSparseFile.1/v", "abc");
	PAX(&b, 'x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "v1.0",
		"GNU.sparse.realsize", "60");
	add_header(&b, header_of('0', "GNUSparseFile.1/v", 512 + 3));
	add_data(&b, "3\n0\n1\n50\n2\n60\n0\n", 17);
	add_data(&b, "abc", 3);
	add_file(&b, '0', "last", "");
	EXPECT(&b, "old 100644 1:2 1000.000000000 2199023255552 {0+200} {1000+200} {2000+200} "
		   "{3000+200} {1099511627776+224}\n"
		   "v0.0 100644 1:2 1000.000000000 100 {0+1} {50+2}\n"
		   "v0.1 100644 1:2 1000.000000000 100 {0+1} {50+2}\n"
		   "v1.0 100644 1:2 1000.000000000 60 {0+1} {50+2}\n"
		   "last 100644 1:2 1000.000000000 0\n");
}

/* Type 1 to 6: a size in the header is no content. */
static void test_header_only(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h;

	for (char type = '1'; type <= '6'; type++) {
		h = header_of(type, "x", 123456);
		h.link[0] = 'l';
		add_header(&b, h);
	}
	EXPECT(&b, "x 100644 1:2 1000.000000000 0 hard -> l\n"
		   "x 120644 1:2 1000.000000000 0 -> l\n"
		   "x 20644 1:2 1000.000000000 0 dev 0:0\n"
		   "x 60644 1:2 1000.000000000 0 dev 0:0\n"
		   "x 40644 1:2 1000.000000000 0\n"
		   "x 10644 1:2 1000.000000000 0\n");
}

static void expect_refused(struct buf *b, const char *why, int line)
{
	char *text = read_text(b->p, b->n);
	const char *message = strchr(text, '!');

	if (!message || !strstr(message, why)) {
		fprintf(stderr, "%s:%d: got:\n%s\nwant: %s\n", __FILE__, line, text, why);
		exit(1);
	}
	free(text);
	b->n = 0;
}
#define REFUSED(b, why) expect_refused(b, why, __LINE__)

static void test_refused_pax(void)
{
	static const char *const raw[] = {"5 a=b\n", "6 a=b", "6 =bc\n", "0 a=b\n",
		"99999999999999999999999 a=b\n", "-6 a=b\n", "6a=b\n", "a=b\n", "7 a=b\n\0",
		" 6 a=b\n", "6 a=b\n\n", "6 abc\n"};
	static const struct {
		const char *key, *value, *why;
	} cases[] = {
		{"uid", "4294967295", "uid"},
		{"gid", "-1", "gid"},
		{"uid", "1x", "uid"},
		{"size", "9223372036854775808", "size"},
		{"size", "-1", "size"},
		{"size", "1", "ends inside its content"},
		{"mtime", "x", "mtime"},
		{"SCHILY.xattr.", "v", "bad value"},
		{"LIBARCHIVE.xattr.user.%zz", "", "bad value"},
		{"LIBARCHIVE.xattr.user.%00", "", "bad value"},
		{"LIBARCHIVE.xattr.user.a", "a", "bad value"},
		{"LIBARCHIVE.xattr.user.a", "a?==", "bad value"},
		{"PLYFS.type", "door", "bad value"},
		{"GNU.sparse.major", "1", "incomplete"},
		{"GNU.sparse.map", "1", "bad value"},
		{"GNU.sparse.map", "1,2,", "bad value"},
		{"GNU.sparse.map", ",", "bad value"},
		{"GNU.sparse.map", "5,5,7,1", "bad value"},
		{"GNU.sparse.map", "9223372036854775807,1", "bad value"},
		{"GNU.sparse.numbytes", "1", "bad value"},
		{"GNU.sparse.offset", "1", "incomplete"},
		{"GNU.sparse.what", "1", "bad value"},
		{"GNU.volume.offset", "1", "bad value"},
	};
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
		add_extension(&b, 'x', raw[i], i == 8 ? 7 : strlen(raw[i]));
		add_file(&b, '0', "f", "");
		REFUSED(&b, "malformed pax record");
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PAX(&b, 'x', cases[i].key, cases[i].value);
		add_file(&b, '0', "f", "");
		REFUSED(&b, cases[i].why);
	}
}

static void test_refused_records(void)
{
	static char big[70000];
	_cleanup_buf_ struct buf b = {0}, text = {0};

	memset(big, 'x', sizeof(big));
	add_record(&text, "path", "a\0b", 3);
	add_extension(&b, 'x', text.p, text.n);
	add_file(&b, '0', "f", "");
	REFUSED(&b, "'path' has a bad value");
	text.n = 0;
	add_record(&text, "SCHILY.xattr.user.a", big, 65537);
	add_extension(&b, 'x', text.p, text.n);
	add_file(&b, '0', "f", "");
	REFUSED(&b, "bad value");
	text.n = 0;
	add_record(&text, "mtime", "1", 1);
	for (size_t i = 0; i < 300; i++) {
		char key[40];

		snprintf(key, sizeof(key), "SCHILY.xattr.user.%zu", i);
		add_record(&text, key, "1", 1);
	}
	add_extension(&b, 'g', text.p, text.n);
	REFUSED(&b, "too many global pax records");
	PAX(&b, 'g', "GNU.sparse.major", "1");
	REFUSED(&b, "in a global header");
	add_header(&b, header_of('x', "p", TAR_EXT_MAX + 1));
	REFUSED(&b, "larger than 4 MiB");
	add_header(&b, header_of('L', "p", UINT64_C(1) << 60));
	REFUSED(&b, "larger than 4 MiB");
	add_header(&b, header_of('x', "p", TAR_EXT_MAX));
	REFUSED(&b, "ends in its extension header");
}

static void test_refused_headers(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h = header_of('0', "f", 0);

	add_header(&b, h);
	b.p[0] = 'g';
	REFUSED(&b, "wrong checksum");
	add_header(&b, h);
	b.n = 300;
	REFUSED(&b, "ends inside the block");
	add_header(&b, header_of('0', "", 0));
	REFUSED(&b, "empty path");
	add_header(&b, header_of('0', "bomb", UINT64_C(1) << 60));
	REFUSED(&b, "ends inside its content");
	add_header(&b, header_of('0', "neg", UINT64_MAX));
	REFUSED(&b, "malformed size");
	add_header(&b, header_of('Z', "f", 0));
	REFUSED(&b, "unknown type 'Z'");
	add_header(&b, header_of('\n', "f", 0));
	REFUSED(&b, "unknown type 10");
	add_header(&b, header_of('S', "not GNU", 0));
	REFUSED(&b, "unknown type 'S'");
	add_header(&b, header_of('M', "f", 0));
	REFUSED(&b, "multi-volume");
	add_header(&b, header_of('2', "l", 0));
	REFUSED(&b, "empty link target");
	add_header(&b, header_of('1', "l", 0));
	REFUSED(&b, "empty link target");
	add_header(&b, header_of(0, "dir/", 5));
	REFUSED(&b, "a directory with content");
	tar_number_put(h.uid, 8, -1);
	add_header(&b, h);
	REFUSED(&b, "user id");
	h = header_of('0', "f", 0);
	tar_number_put(h.gid, 8, UINT32_MAX);
	add_header(&b, h);
	REFUSED(&b, "group id");
	h = header_of('0', "f", 0);
	memcpy(h.size, "9", 1);
	add_header(&b, h);
	REFUSED(&b, "malformed size");
	h = header_of('3', "f", 0);
	tar_number_put(h.dev_major, 8, INT64_C(1) << 32);
	add_header(&b, h);
	REFUSED(&b, "bad device number");
}

/* Ways to make two readers see two archives. */
static void test_refused_mixtures(void)
{
	static char target[4100];
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h = header_of('2', "l", 0);

	PAX(&b, 'x', "path", "a");
	REFUSED(&b, "without an entry");
	PAX(&b, 'x', "path", "a");
	add_end(&b);
	REFUSED(&b, "without an entry");
	PAX(&b, 'x', "path", "a");
	PAX(&b, 'x', "path", "b");
	REFUSED(&b, "second extension header");
	PAX(&b, 'x', "path", "a");
	PAX(&b, 'g', "uid", "1");
	REFUSED(&b, "global header between");
	PAX(&b, 'x', "path", "a");
	add_extension(&b, 'L', "b", 2);
	add_file(&b, '0', "f", "");
	REFUSED(&b, "differ");
	PAX(&b, 'x', "size", "512");
	add_header(&b, header_of('5', "d/", 0));
	REFUSED(&b, "a pax size for what has no content");
	PAX(&b, 'x', "GNU.sparse.size", "9", "GNU.sparse.map", "0,3");
	add_file(&b, '0', "f", "abcd");
	REFUSED(&b, "does not fit its stored size");
	PAX(&b, 'x', "GNU.sparse.size", "2", "GNU.sparse.map", "0,3");
	add_file(&b, '0', "f", "abc");
	REFUSED(&b, "past its end");
	PAX(&b, 'x', "GNU.sparse.size", "2", "GNU.sparse.map", "0,3");
	add_header(&b, header_of('5', "d", 0));
	REFUSED(&b, "no file");
	PAX(&b, 'x', "PLYFS.type", "socket");
	add_file(&b, '0', "f", "abc");
	REFUSED(&b, "no empty file");
	memset(target, 't', 4096);
	PAX(&b, 'x', "linkpath", target);
	add_header(&b, h);
	REFUSED(&b, "longer than 4095");
	add_header(
		&b, header_of('0', "f", 5)); /* the payload must not be taken for the next header */
	add_header(&b, header_of('0', "g", 0));
	EXPECT(&b, "f 100644 1:2 1000.000000000 5\n");
}

static void test_sparse_map_bombs(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct tar_header h = header_of('S', "old", 0);
	struct tar_gnu_sparse g = {.is_extended = 1};
	struct tar_gnu_sparse_more more = {.is_extended = 1};

	PAX(&b, 'x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "60");
	add_header(&b, header_of('0', "f", 10 * TAR_EXT_MAX));
	CHECK(buf_addf(&b, "9223372036854775807\n") == 0);
	for (size_t i = 0; i < TAR_EXT_MAX; i++)
		CHECK(buf_add(&b, "0\n", 2) == 0);
	REFUSED(&b, "malformed sparse map");
	memcpy(h.magic, "ustar  ", 8);
	for (size_t i = 0; i < 25; i++) {
		struct tar_gnu_extent *x = i < 4 ? &g.map[i] : &more.map[i - 4];

		tar_number_put(x->offset, 12, 5);
		tar_number_put(x->size, 12, 0);
	}
	memcpy(h.prefix, &g, sizeof(g));
	add_header(&b, h);
	for (size_t i = 0; i < TAR_EXT_MAX / 512 + 1; i++)
		CHECK(buf_add(&b, &more, sizeof(more)) == 0);
	REFUSED(&b, "too long");
	g.map[2] = (struct tar_gnu_extent){0};
	memcpy(h.prefix, &g, sizeof(g));
	add_header(&b, h);
	CHECK(buf_add(&b, &more, sizeof(more)) == 0);
	REFUSED(&b, "malformed sparse map");
}

/* --- ends and truncations ------------------------------------------------------------------ */

static void make_sample(struct test_sink *s)
{
	static const struct tar_extent v[] = {{0, 5}, {8192, 600}};
	static const struct tar_xattr a = {"user.a", "value", 5};

	write_one(s, &(struct tar_entry){.path = "d/", .mode = S_IFDIR | 0755});
	write_one(s,
		&(struct tar_entry){
			.path = "d/f", .mode = S_IFREG, .size = 700, .xattrs = &a, .n_xattrs = 1});
	write_one(s, &(struct tar_entry){.path = "d/s",
			     .mode = S_IFREG,
			     .size = 9000,
			     .sparse = true,
			     .extents = v,
			     .n_extents = 2});
	write_one(s, &(struct tar_entry){.path = "l", .mode = S_IFLNK, .link = "d"});
}

static void test_ends(void)
{
	struct test_sink s = test_sink_new();
	char *whole;

	make_sample(&s);
	whole = read_text(s.b.p, s.b.n);
	CHECK(!strchr(whole, '!'));
	CHECK(buf_add_zero(&s.b, 512) == 0);
	EXPECT(&s.b, whole);
	CHECK(buf_addf(&s.b, "trailing garbage") == 0);
	EXPECT(&s.b, whole);
	free(whole);
	test_sink_done(&s);
	CHECK(read_all("", 0, 1, false).r == 0);
}

static int broken_next(struct source *s, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	struct test_source *t = (struct test_source *)s;

	if (t->n == 0)
		return err_set(e, -EIO, "the disk is on fire");
	return test_source_next(s, ret_p, ret_n, e);
}

/* A source's failure is no end, wherever it comes, and keeps its code and message. */
static void test_broken_source(void)
{
	struct test_sink s = test_sink_new();

	make_sample(&s);
	for (size_t n = 0; n < s.b.n; n += 100) {
		struct test_source in = test_source_of(s.b.p, n, 512);
		struct tar_reader *t = tar_reader_new(&in.s);
		const struct tar_entry *x;
		struct err e = {0};
		int r;

		CHECK(t);
		in.s.next = broken_next;
		while ((r = tar_next(t, &x, &e)) > 0)
			;
		CHECK(r == -EIO && strstr(e.text, "the disk is on fire"));
		CHECK(tar_next(t, &x, NULL) == -EIO);
		tar_reader_free(t);
		test_source_done(&in);
	}
	test_sink_done(&s);
}

/* Every prefix of an archive is refused, or ends at an entry. */
static void test_truncations(void)
{
	struct test_sink s = test_sink_new();
	size_t clean = 0;

	make_sample(&s);
	for (size_t n = 0; n < s.b.n; n++) {
		struct reading a = read_all(s.b.p, n, 1000, n % 2);

		CHECK(a.r == 0 || a.r == -ERR_INPUT);
		clean += a.r == 0;
		buf_done(&a.text);
	}
	/* Nothing, "d/", and what lacks padding only: of d/f (512 - 188) and of d/s (512 - 93). */
	CHECK(clean == 2 + (512 - 188 + 1) + (512 - 93 + 1) - 0);
	test_sink_done(&s);
}

/* Every byte of an archive changed in turn: an error or a reading, never more. */
static void test_mutations(void)
{
	static const uint8_t values[] = {0, 1, '0', '7', '9', '/', 0x80, 0xff};
	struct test_sink s = test_sink_new();

	make_sample(&s);
	for (size_t i = 0; i < s.b.n; i++)
		for (size_t k = 0; k < sizeof(values); k++) {
			struct tar_header *h = (struct tar_header *)(s.b.p + i / 512 * 512);
			uint8_t old[512];
			struct reading a;

			memcpy(old, h, 512);
			s.b.p[i] = values[k];
			if (memcmp(h->magic, "ustar", 5) == 0)
				tar_checksum_put(h);
			a = read_all(s.b.p, s.b.n, 4096, false);
			CHECK(a.r == 0 || a.r == -ERR_INPUT);
			buf_done(&a.text);
			memcpy(h, old, 512);
		}
	test_sink_done(&s);
}

/* --- other programs ------------------------------------------------------------------------ */

static int run(const char *script, const char *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("sh", "sh", "-c", script, "sh", arg, NULL);
		_exit(127);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void slurp(const char *dir, const char *name, struct buf *b)
{
	char path[4200];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	CHECK(f);
	do {
		CHECK(buf_reserve(b, 65536) == 0);
		n = fread(b->p + b->n, 1, 65536, f);
		b->n += n;
	} while (n);
	fclose(f);
}

static void test_gnu_tar_writes(const char *dir)
{
	static const char *const formats[] = {"v7", "ustar", "oldgnu", "gnu", "pax", "sparse-old",
		"sparse-0.0", "sparse-0.1", "sparse-1.0"};
	char *first = NULL;

	CHECK(run("cd \"$1\" && mkdir t && cd t && umask 022 &&"
		  "echo hello >a && ln a b && ln -s a c && mkdir d && mkfifo p &&"
		  "truncate -s 100K s && printf x | dd of=s bs=1 seek=50000 conv=notrunc "
		  "2>/dev/null &&"
		  "n=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee &&"
		  "touch -d @1234567890.5 a c d p s . &&"
		  "for f in v7 ustar oldgnu gnu pax; do tar --format=$f --sort=name -b 1 "
		  "  --mtime=@1234567890 -cf ../$f a b c d p s 2>/dev/null; done;"
		  "tar --format=gnu --sparse --sort=name --mtime=@1234567890 -cf ../sparse-old a b "
		  "c d p s &&"
		  "for v in 0.0 0.1 1.0; do tar --format=pax --sparse --sparse-version=$v "
		  "--sort=name "
		  "  --mtime=@1234567890 --pax-option=delete=atime,delete=ctime "
		  "  -cf ../sparse-$v a b c d p s; done &&"
		  "mkdir d/$n$n && touch d/$n$n/$n$n && ln -s $n$n$n d/l &&"
		  "tar --format=gnu -cf ../long-gnu d && tar --format=pax -cf ../long-pax d",
		      dir) == 0);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct buf b = {0};
		char *text;

		slurp(dir, formats[i], &b);
		text = read_text(b.p, b.n);
		if (strncmp(formats[i], "sparse", 6) == 0)
			CHECK(strstr(text, "s 100644") && strstr(text, " 102400 {49152+4096}\n"));
		else if (i > 0 && first)
			CHECK(strcmp(first, text) == 0);
		if (i == 1)
			first = strdup(text);
		CHECK(strstr(text, "hard -> a\n") && strstr(text, "-> a\n") && !strchr(text, '!'));
		free(text);
		buf_done(&b);
	}
	for (size_t i = 0; i < 2; i++) {
		struct buf b = {0};

		slurp(dir, i ? "long-pax" : "long-gnu", &b);
		EXPECT(&b, "/aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeaaaaaaaaaabbbbbbbbbb"
			   "ccccccccccddddddddddeeeeeeeeee 100");
		EXPECT(&b, "-> aaaaaaaaaabbbbbbbbbb");
		buf_done(&b);
	}
	free(first);
}

static void test_gnu_tar_reads(const char *dir)
{
	static const struct tar_extent v[] = {{8192, 512}, {1 << 20, 98}};
	struct test_sink s = test_sink_new();
	char path[4200], long_name[300];
	int fd;

	memset(long_name, 'n', 220);
	long_name[120] = '/';
	long_name[220] = 0;
	write_one(&s, &(struct tar_entry){.path = "./", .mode = S_IFDIR | 0755});
	write_one(&s, &(struct tar_entry){.path = "sparse",
			      .mode = S_IFREG | 0640,
			      .size = 2 << 20,
			      .sparse = true,
			      .extents = v,
			      .n_extents = 2,
			      .mtime = 1000000000,
			      .mtime_nsec = 500000000});
	write_one(&s, &(struct tar_entry){.path = long_name, .mode = S_IFREG | 0644, .size = 5});
	write_one(
		&s, &(struct tar_entry){
			    .path = "link", .mode = S_IFREG, .hardlink = true, .link = long_name});
	write_one(&s,
		&(struct tar_entry){.path = "\xc3\xa4", .mode = S_IFREG | 0644, .uid = 10000000});
	CHECK(tar_write_end(&s.s) == 0);
	snprintf(path, sizeof(path), "%s/ours", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, s.b.p, s.b.n) == (ssize_t)s.b.n);
	close(fd);
	CHECK(run("cd \"$1\" && mkdir o && cd o && tar --no-same-owner -xf ../ours && "
		  "test $(stat -c %s sparse) = 2097152 && test $(stat -c %a sparse) = 640 &&"
		  "test $(stat -c %.9Y sparse) = 1000000000.500000000 &&"
		  "test $(tr -d '\\0' <sparse) = $(printf %610s | tr ' ' x) &&"
		  "test $(stat -c %h link) = 2 && test $(cat link) = xxxxx &&"
		  "tar --numeric-owner -tvf ../ours | grep -q '10000000/0'",
		      dir) == 0);
	test_sink_done(&s);
}

static void test_others(void)
{
	char dir[] = "/tmp/plyfs-test-tar-XXXXXX";

	if (run("tar --version | grep -q GNU", "") != 0)
		return;
	CHECK(mkdtemp(dir));
	test_gnu_tar_writes(dir);
	test_gnu_tar_reads(dir);
	CHECK(run("rm -rf \"$1\"", dir) == 0);
}

int main(void)
{
	test_numbers();
	test_times();
	test_round_trip_names();
	test_round_trip_fields();
	test_round_trip_xattrs();
	test_round_trip_sparse();
	test_write_refuses();
	test_dialects();
	test_gnu_names();
	test_pax();
	test_sparse_forms();
	test_header_only();
	test_refused_pax();
	test_refused_records();
	test_refused_headers();
	test_refused_mixtures();
	test_sparse_map_bombs();
	test_ends();
	test_broken_source();
	test_truncations();
	test_mutations();
	test_others();
	return 0;
}
