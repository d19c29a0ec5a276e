/* SPDX-License-Identifier: Apache-2.0 */
#include "name.h"
#include "util/test.h"

#include <ftw.h>

static void test_parse(void)
{
	static const char *const good[][2] = {
		{"debian", "debian:latest"},
		{"debian:12", "debian:12"},
		{"a/b/c:x", "a/b/c:x"},
		{"localhost/a", "localhost/a:latest"},
		{"localhost:5000/a:t", "localhost:5000/a:t"},
		{"docker.io/library/debian:12", "docker.io/library/debian:12"},
		{"a-b.c--d/e", "a-b.c--d/e:latest"},
		{"Example.COM/a", "Example.COM/a:latest"},
		{"h:1/a", "h:1/a:latest"},
		{"a.b", "a.b:latest"},
		{"a_b", "a_b:latest"},
		{"a__b", "a__b:latest"},
		{"a---b", "a---b:latest"},
		{"1", "1:latest"},
		{"a:_", "a:_"},
		{"a:A.b-c_d", "a:A.b-c_d"},
	};
	static const char *const bad[] = {
		"",
		":",
		"a:",
		":a",
		"A",
		"a/B",
		"/a",
		"a/",
		"a//b",
		"-a",
		"a-",
		".a",
		"a.",
		"a..b",
		"a___b",
		"a_",
		"a b",
		"a\n",
		"a:b:c",
		"a:-b",
		"a:.b",
		"a:b/c",
		"a:b c",
		"a@b",
		"../a",
		"a..b/c",
		"-a.b/c",
		"a.-b/c",
		"a.b-/c",
		"a.b./c",
		"localhost:/a",
		"localhost:x/a",
		"a:b@sha256:00",
		"\xc3\xa9",
		"a/..",
		"a%2f",
	};
	char kept[IMAGE_NAME_MAX], again[IMAGE_NAME_MAX];

	for (size_t k = 0; k < sizeof(good) / sizeof(*good); k++) {
		if (image_name_parse(good[k][0], kept, NULL) != 0)
			fprintf(stderr, "%s\n", good[k][0]);
		CHECK(image_name_parse(good[k][0], kept, NULL) == 0 &&
			strcmp(kept, good[k][1]) == 0);
		CHECK(image_name_parse(kept, again, NULL) == 0 && strcmp(kept, again) == 0);
	}
	for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
		struct err e = {0};

		if (image_name_parse(bad[k], kept, &e) != -ERR_INPUT)
			fprintf(stderr, "'%s' is taken\n", bad[k]);
		CHECK(e.code == -ERR_INPUT);
	}
}

static void test_lengths(void)
{
	char text[700], kept[IMAGE_NAME_MAX];

	memset(text, 'a', sizeof(text));
	text[255] = 0;
	CHECK(image_name_parse(text, kept, NULL) == 0);
	text[255] = ':';
	text[255 + 1 + 128] = 0;
	CHECK(image_name_parse(text, kept, NULL) == 0 && strlen(kept) == 255 + 1 + 128);
	text[255 + 1 + 128] = 'a';
	text[255 + 1 + 129] = 0;
	CHECK(image_name_parse(text, kept, NULL) == -ERR_INPUT);
	text[255] = 'a';
	text[256] = 0;
	CHECK(image_name_parse(text, kept, NULL) == -ERR_INPUT);
}

/* --- image_find ---------------------------------------------------------------------------- */

static char root[32];

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

/* Three images with digests 11aa00..., 11ab00..., 22cc00...; the first is called one:latest. */
static struct store *example(void)
{
	static const uint8_t begin[3][2] = {{0x11, 0xaa}, {0x11, 0xab}, {0x22, 0xcc}};
	MDB_txn *txn;
	struct store *s;

	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root) && store_open(root, true, &s, NULL) == 0);
	CHECK(txn_begin(s, true, &txn, NULL) == 0);
	for (size_t k = 0; k < 3; k++) {
		struct image_record rec = {
			.manifest.b = {begin[k][0], begin[k][1]}, .config.b = {1}};
		struct digest none[1] = {0};

		rec.diff_ids = none;
		CHECK(record_put_image(s, txn, &rec) == 0);
		CHECK(k || record_put_name(s, txn, "one:latest", &rec.manifest) == 0);
		CHECK(k != 1 || record_put_name(s, txn, "22cc:latest", &rec.manifest) == 0);
	}
	CHECK(txn_commit(&txn, NULL) == 0);
	return s;
}

static void test_find(void)
{
#define ZEROS "000000000000000000000000000000000000000000000000000000000000"
	static const struct {
		const char *text;
		int code;
		uint8_t second;
	} cases[] = {
		{"one", 0, 0xaa},
		{"one:latest", 0, 0xaa},
		{"one:other", -ERR_ABSENT, 0},
		{"two", -ERR_ABSENT, 0},
		{"11aa", 0, 0xaa},
		{"sha256:11ab", 0, 0xab},
		{"11a", -ERR_ABSENT, 0},
		{"11", -ERR_ABSENT, 0},
		{"33dd", -ERR_ABSENT, 0},
		{"22cc", 0, 0xab}, /* a name goes before a digest */
		{"sha256:22cc", 0, 0xcc},
		{"22cc0", 0, 0xcc},
		{"22cc" ZEROS, 0, 0xcc},
		{"sha256:22cc" ZEROS, 0, 0xcc},
		{"sha256:22cc" ZEROS "0", -ERR_ABSENT, 0},
		{"any@sha256:22cc" ZEROS, 0, 0xcc},
		{"any@sha256:22cd" ZEROS, -ERR_ABSENT, 0},
		{"any@22cc", -ERR_ABSENT, 0},
		{"", -ERR_ABSENT, 0},
		{"sha256:", -ERR_ABSENT, 0},
		{"22CC0", -ERR_ABSENT, 0},
		{"../x", -ERR_ABSENT, 0},
	};
	struct store *s = example();

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		_cleanup_image_record_ struct image_record rec = {0};
		struct err e = {0};
		int r = image_find(s, cases[k].text, &rec, &e);

		if (r != cases[k].code || (r == 0 && rec.manifest.b[1] != cases[k].second))
			fprintf(stderr, "'%s': %d %s\n", cases[k].text, r, e.text);
		CHECK(r == cases[k].code && (r < 0 || rec.manifest.b[1] == cases[k].second));
	}
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

/* The beginning of several digests names none of them. */
static void test_find_several(void)
{
	struct store *s = example();
	struct image_record rec = {.manifest.b = {0x11, 0xaa, 0x01}, .config.b = {1}};
	_cleanup_image_record_ struct image_record got = {0};
	struct digest none[1] = {0};
	struct err e = {0};
	MDB_txn *txn;

	rec.diff_ids = none;
	CHECK(txn_begin(s, true, &txn, NULL) == 0 && record_put_image(s, txn, &rec) == 0);
	CHECK(txn_commit(&txn, NULL) == 0);
	CHECK(image_find(s, "11aa", &got, &e) == -ERR_INPUT && strstr(e.text, "several"));
	CHECK(image_find(s, "11aa01", &got, NULL) == 0);
	store_close(s);
	CHECK(nftw(root, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0);
}

int main(void)
{
	test_parse();
	test_lengths();
	test_find();
	test_find_several();
	return 0;
}
