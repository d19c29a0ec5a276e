/* SPDX-License-Identifier: Apache-2.0 */
#include "image-source.h"
#include "util/io.h"
#include "util/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <zlib.h>

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE    "application/vnd.oci.image.layer.v1.tar"
#define FOREIGN_TYPE  "application/vnd.oci.image.layer.nondistributable.v1.tar"
#define CONFIG \
	"{\"os\":\"linux\",\"architecture\":\"%s\",\"rootfs\":{\"type\":\"layers\"," \
	"\"diff_ids\":[\"%s\"]}}"

static char tmp[] = "/tmp/test-image-source-XXXXXX";
static int tmp_fd;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

/* An empty directory tmp/layout with blobs/ in it. */
static void layout_reset(void)
{
	char path[sizeof(tmp) + 16];

	snprintf(path, sizeof(path), "%s/layout", tmp);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	CHECK(mkdirat(tmp_fd, "layout", 0755) == 0);
	CHECK(mkdirat(tmp_fd, "layout/blobs", 0755) == 0);
	CHECK(mkdirat(tmp_fd, "layout/blobs/sha256", 0755) == 0);
}

static void write_file(const char *name, const void *p, size_t n)
{
	_cleanup_close_ int fd = openat(tmp_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0 && io_write_full(fd, p, n) == 0);
}

static void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

struct desc {
	char text[DIGEST_TEXT_MAX];
	char path[128]; /* below tmp */
	size_t size;
};

static void blob_path(const char *digest, char path[128])
{
	snprintf(path, 128, "layout/blobs/sha256/%.64s", digest + 7);
}

static struct desc put_blob(const char *text)
{
	struct desc d = {.size = strlen(text)};
	struct digest digest;

	digest_of(text, d.size, &digest);
	digest_text(&digest, d.text);
	blob_path(d.text, d.path);
	write_text(d.path, text);
	return d;
}

/* The JSON of a descriptor; `more` is further members, with a comma in front. */
static const char *desc_json(struct buf *b, const char *type, struct desc d, const char *more)
{
	CHECK(buf_addf(b, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu%s}", type, d.text,
		      d.size, more) == 0);
	return (char *)b->p;
}

static struct desc put_config(const char *architecture, const char *diff_id)
{
	_cleanup_buf_ struct buf b = {0};

	CHECK(buf_addf(&b, CONFIG, architecture, diff_id) == 0);
	return put_blob((char *)b.p);
}

static struct desc put_manifest(struct desc config, struct desc layer, const char *layer_type)
{
	_cleanup_buf_ struct buf b = {0};

	CHECK(buf_addf(&b, "{\"schemaVersion\":2,\"config\":") == 0);
	desc_json(&b, CONFIG_TYPE, config, "");
	CHECK(buf_addf(&b, ",\"layers\":[") == 0);
	desc_json(&b, layer_type, layer, "");
	CHECK(buf_addf(&b, "]}") == 0);
	return put_blob((char *)b.p);
}

/* An image whose one layer is the text `layer`. */
static struct desc put_image(const char *architecture, const char *layer)
{
	struct desc l = put_blob(layer);

	return put_manifest(put_config(architecture, l.text), l, LAYER_TYPE);
}

static void index_text(struct buf *b, const char *manifests)
{
	CHECK(buf_addf(b, "{\"schemaVersion\":2,\"manifests\":[%s]}", manifests) == 0);
}

static void put_top(const char *manifests)
{
	_cleanup_buf_ struct buf b = {0};

	index_text(&b, manifests);
	write_text("layout/index.json", (char *)b.p);
	write_text("layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
}

static struct desc put_index(const char *manifests)
{
	_cleanup_buf_ struct buf b = {0};

	index_text(&b, manifests);
	return put_blob((char *)b.p);
}

static void put_simple_layout(struct desc *ret)
{
	_cleanup_buf_ struct buf b = {0};

	layout_reset();
	*ret = put_image("amd64", "the layer");
	put_top(desc_json(&b, MANIFEST_TYPE, *ret, ""));
}

#define REF(name) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name "\"}"
#define FOR(arch) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" arch "\"}"

static int try_open(enum transport t, const char *name, const char *tag, const char *platform,
	struct image_source **ret, struct err *e)
{
	char path[256];
	struct platform p;

	snprintf(path, sizeof(path), "%s/%s", tmp, name);
	CHECK(!platform || platform_parse(platform, &p, NULL) == 0);
	*e = (struct err){0};
	return image_source_open(t, path, tag, platform ? &p : NULL, tmp_fd, ret, e);
}

static void check_layer(struct image_source *s, size_t n, const char *expected)
{
	_cleanup_(blob_close) struct blob b = {.fd = -1};
	char text[256] = "";
	struct err e = {0};

	CHECK(n < s->n_layers);
	CHECK(image_source_layer_blob(s, n, &b, &e) == 0);
	CHECK(b.size == strlen(expected) && b.size < sizeof(text));
	CHECK(io_pread_full(b.fd, text, b.size, b.offset) == 0);
	CHECK(strcmp(text, expected) == 0);
}

static void check_opens(enum transport t, const char *name, const char *tag, const char *platform,
	const char *layer)
{
	_cleanup_(image_source_freep) struct image_source *s = NULL;
	struct err e;
	int r = try_open(t, name, tag, platform, &s, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
	CHECK(s->n_layers == 1);
	CHECK(s->config.n > 0);
	CHECK((s->manifest.n > 0) == (t != TRANSPORT_DOCKER_ARCHIVE));
	check_layer(s, 0, layer);
}

static void check_refused(enum transport t, const char *name, const char *tag, const char *platform,
	int code, const char *reason)
{
	_cleanup_(image_source_freep) struct image_source *s = NULL;
	struct err e;
	int r = try_open(t, name, tag, platform, &s, &e);

	if (r != code || !strstr(e.text, reason))
		fprintf(stderr, "%d '%s', not '%s'\n", r, e.text, reason);
	CHECK(r == code);
	CHECK(strstr(e.text, reason));
	CHECK(!s);
}

static void layout_opens(const char *tag, const char *platform, const char *layer)
{
	check_opens(TRANSPORT_OCI, "layout", tag, platform, layer);
}

static void layout_refused(const char *tag, const char *platform, int code, const char *reason)
{
	check_refused(TRANSPORT_OCI, "layout", tag, platform, code, reason);
}

static void test_simple(void)
{
	_cleanup_(image_source_freep) struct image_source *s = NULL;
	char text[DIGEST_TEXT_MAX], tag[DIGEST_TEXT_MAX + 1];
	struct desc image;
	struct err e;

	put_simple_layout(&image);
	CHECK(try_open(TRANSPORT_OCI, "layout", NULL, NULL, &s, &e) == 0);
	CHECK(strcmp(digest_text(&s->manifest_digest, text), image.text) == 0);
	CHECK(s->layers[0].has_digest && s->layers[0].size == strlen("the layer"));
	CHECK(digest_equal(&s->layers[0].digest, &s->layers[0].diff_id));
	snprintf(tag, sizeof(tag), "@%s", image.text);
	layout_opens(tag, NULL, "the layer");
	layout_refused("v1", NULL, -ERR_ABSENT, "no image is tagged 'v1'; there are: @sha256:");
	layout_refused("@sha256:00", NULL, -ERR_INPUT, "is not a sha256 digest");
	tag[20] = tag[20] == '0' ? '1' : '0';
	layout_refused(tag, NULL, -ERR_ABSENT, "no image has the digest");
	layout_refused(NULL, "linux/s390x", -ERR_ABSENT, "is for linux/amd64, not for linux/s390x");
	check_refused(TRANSPORT_OCI, "absent", NULL, NULL, -ERR_ABSENT, "not found");
}

static void test_tags(void)
{
	_cleanup_buf_ struct buf b = {0};

	layout_reset();
	desc_json(&b, MANIFEST_TYPE, put_image("amd64", "one"), REF("v1"));
	CHECK(buf_addf(&b, ",") == 0);
	desc_json(&b, MANIFEST_TYPE, put_image("amd64", "two"), REF("v2"));
	CHECK(buf_addf(&b, ",") == 0);
	desc_json(&b, "application/x-other", put_blob("{}"), REF("v1"));
	put_top((char *)b.p);
	layout_opens("v1", NULL, "one");
	layout_opens("v2", NULL, "two");
	layout_refused(NULL, NULL, -ERR_ABSENT, "several images; choose one of: v1, v2");
	layout_refused("v3", NULL, -ERR_ABSENT, "no image is tagged 'v3'; there are: v1, v2");
	CHECK(buf_addf(&b, ",") == 0);
	desc_json(&b, MANIFEST_TYPE, put_image("amd64", "three"), REF("v2"));
	put_top((char *)b.p);
	layout_refused("v2", NULL, -ERR_INPUT, "the tag 'v2' to different images");
	layout_opens("v1", NULL, "one");
}

static void test_platforms(void)
{
	_cleanup_buf_ struct buf b = {0}, top = {0};

	layout_reset();
	desc_json(&b, MANIFEST_TYPE, put_image("arm64", "arm"), FOR("arm64"));
	CHECK(buf_addf(&b, ",") == 0);
	desc_json(&b, MANIFEST_TYPE, put_image("s390x", "z"), FOR("s390x"));
	put_top((char *)b.p); /* no nested index, no names */
	layout_opens(NULL, "linux/s390x", "z");
	put_top(desc_json(&top, INDEX_TYPE, put_index((char *)b.p), REF("v1")));
	layout_opens("v1", "linux/arm64", "arm");
	layout_opens(NULL, "linux/s390x", "z");
	layout_refused("v1", "linux/riscv64", -ERR_ABSENT,
		"no image for linux/riscv64, only for: linux/arm64, linux/s390x");
}

static void test_depth(void)
{
	struct desc d;

	for (int depth = 0; depth <= 5; depth++) {
		_cleanup_buf_ struct buf top = {0};

		layout_reset();
		d = put_image("amd64", "deep");
		for (int i = 0; i < depth; i++) {
			_cleanup_buf_ struct buf b = {0};

			d = put_index(desc_json(&b, i ? INDEX_TYPE : MANIFEST_TYPE, d, ""));
		}
		put_top(desc_json(&top, depth ? INDEX_TYPE : MANIFEST_TYPE, d, ""));
		if (depth <= 4)
			layout_opens(NULL, NULL, "deep");
		else
			layout_refused(NULL, NULL, -ERR_INPUT, "nested more than 4 deep");
	}
}

/* An index that lists one below it very often must not be read that often. */
static void test_wide(void)
{
	_cleanup_buf_ struct buf b = {0}, top = {0}, many = {0};
	char digest[DIGEST_TEXT_MAX + 1];
	struct desc image, index;

	layout_reset();
	image = put_image("amd64", "wide");
	index = put_index(desc_json(&b, MANIFEST_TYPE, image, ""));
	for (int i = 0; i < 100; i++) {
		CHECK(i == 0 || buf_addf(&many, ",") == 0);
		desc_json(&many, INDEX_TYPE, index, "");
	}
	put_top(desc_json(&top, INDEX_TYPE, put_index((char *)many.p), ""));
	snprintf(digest, sizeof(digest), "@%s", image.text);
	layout_opens(digest, NULL, "wide");
	digest[20] = digest[20] == '0' ? '1' : '0';
	layout_refused(digest, NULL, -ERR_INPUT, "more than 64 indexes");
}

static void test_confusion(void)
{
	_cleanup_buf_ struct buf b = {0}, c = {0};
	struct desc image;

	put_simple_layout(&image);
	put_top(desc_json(&b, INDEX_TYPE, image, ""));
	layout_refused(NULL, NULL, -ERR_INPUT, "belongs to another kind of document");
	put_top(desc_json(&c, MANIFEST_TYPE, put_index(""), ""));
	layout_refused(NULL, NULL, -ERR_INPUT, "belongs to another kind of document");
}

static void test_damaged_documents(void)
{
	struct desc image;

	put_simple_layout(&image);
	write_text("layout/index.json", "{}");
	layout_refused(NULL, NULL, -ERR_INPUT, "index.json: schemaVersion is missing");
	CHECK(unlinkat(tmp_fd, "layout/index.json", 0) == 0);
	layout_refused(NULL, NULL, -ERR_ABSENT, "'index.json' is not there");
	CHECK(unlinkat(tmp_fd, "layout/oci-layout", 0) == 0);
	layout_refused(NULL, NULL, -ERR_ABSENT, "not an OCI layout");
	put_top("");
	layout_refused(NULL, NULL, -ERR_ABSENT, "names no image");
	put_simple_layout(&image);
	CHECK(unlinkat(tmp_fd, image.path, 0) == 0);
	layout_refused(NULL, NULL, -ERR_ABSENT, "is not there");
}

static void test_damaged_manifest(void)
{
	static char blank[4096];
	struct desc image;

	memset(blank, ' ', sizeof(blank));
	put_simple_layout(&image);
	write_file(image.path, blank, image.size);
	layout_refused(NULL, NULL, -ERR_DIGEST, "content does not match its digest");
	write_file(image.path, blank, image.size + 1);
	layout_refused(NULL, NULL, -ERR_INPUT, "bytes instead of");
}

static void test_too_large(void)
{
	_cleanup_close_ int fd = -1;
	struct desc image;

	put_simple_layout(&image);
	fd = openat(tmp_fd, "layout/index.json", O_WRONLY);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)IMAGE_DOC_MAX + 1) == 0);
	layout_refused(NULL, NULL, -ERR_INPUT, "more than the 4194304 allowed");
}

static void test_not_regular(void)
{
	struct desc image;

	put_simple_layout(&image);
	CHECK(renameat(tmp_fd, image.path, tmp_fd, "elsewhere") == 0);
	CHECK(symlinkat("../../../elsewhere", tmp_fd, image.path) == 0);
	layout_refused(NULL, NULL, -ERR_INPUT, "is a symlink");
	CHECK(unlinkat(tmp_fd, image.path, 0) == 0);
	CHECK(mkfifoat(tmp_fd, image.path, 0644) == 0);
	layout_refused(NULL, NULL, -ERR_INPUT, "is not a regular file");
}

static void test_layers(void)
{
	_cleanup_buf_ struct buf b = {0}, c = {0};
	_cleanup_(image_source_freep) struct image_source *s = NULL;
	_cleanup_(image_source_freep) struct image_source *f = NULL;
	_cleanup_(blob_close) struct blob blob = {.fd = -1};
	struct desc layer, config;
	struct err e;

	layout_reset();
	layer = put_blob("the layer");
	config = put_config("amd64", layer.text);
	put_top(desc_json(&b, MANIFEST_TYPE, put_manifest(config, layer, LAYER_TYPE), ""));
	CHECK(try_open(TRANSPORT_OCI, "layout", NULL, NULL, &s, &e) == 0);
	write_text(layer.path, "longer than it was");
	CHECK(image_source_layer_blob(s, 0, &blob, &e) == -ERR_INPUT);
	CHECK(strstr(e.text, "bytes instead of 9"));
	CHECK(unlinkat(tmp_fd, layer.path, 0) == 0);
	e = (struct err){0};
	CHECK(image_source_layer_blob(s, 0, &blob, &e) == -ERR_ABSENT);
	put_top(desc_json(&c, MANIFEST_TYPE, put_manifest(config, layer, FOREIGN_TYPE), ""));
	CHECK(try_open(TRANSPORT_OCI, "layout", NULL, NULL, &f, &e) == 0);
	CHECK(image_source_layer_blob(f, 0, &blob, &e) == -ERR_UNSUPPORTED);
	CHECK(strstr(e.text, "foreign layer"));
	write_text(layer.path, "the layer");
	check_layer(f, 0, "the layer");
}

static void test_layer_count(void)
{
	_cleanup_buf_ struct buf b = {0};
	struct desc layer, config;

	layout_reset();
	layer = put_blob("the layer");
	config = put_blob("{\"os\":\"linux\",\"architecture\":\"amd64\","
			  "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}");
	put_top(desc_json(&b, MANIFEST_TYPE, put_manifest(config, layer, LAYER_TYPE), ""));
	layout_refused(NULL, NULL, -ERR_INPUT, "0 diff_ids, but the image has 1 layers");
}

/* A tar entry, ustar; `type` as in the header. */
static void tar_add(
	struct buf *b, char type, const char *name, const char *link, const void *p, size_t n)
{
	char h[512] = {0};
	unsigned sum = 0;

	snprintf(h, 100, "%s", name);
	snprintf(h + 100, 25, "0000644%c0000000%c0000000", 0, 0);
	memcpy(h + 100, "0000644\0000000000\0000000000", 24);
	snprintf(h + 124, 12, "%011zo", n);
	memcpy(h + 136, "00000000000", 12);
	memset(h + 148, ' ', 8);
	h[156] = type;
	snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	CHECK(buf_add(b, h, sizeof(h)) == 0);
	CHECK(buf_add(b, p, n) == 0);
	CHECK(buf_add_zero(b, (512 - n % 512) % 512) == 0);
}

static void tar_add_text(struct buf *b, const char *name, const char *text)
{
	tar_add(b, '0', name, "", text, strlen(text));
}

static void tar_add_file(struct buf *b, const char *name, const char *path)
{
	_cleanup_close_ int fd = openat(tmp_fd, path, O_RDONLY);
	_cleanup_buf_ struct buf data = {0};

	CHECK(fd >= 0 && io_slurp(fd, 1 << 20, &data) == 0);
	tar_add(b, '0', name, "", data.p, data.n);
}

static void oci_tar(struct buf *b)
{
	struct desc layer, config, manifest;
	_cleanup_buf_ struct buf top = {0};

	layout_reset();
	layer = put_blob("the layer");
	config = put_config("amd64", layer.text);
	manifest = put_manifest(config, layer, LAYER_TYPE);
	put_top(desc_json(&top, MANIFEST_TYPE, manifest, REF("v1")));
	tar_add(b, '5', "./", "", "", 0);
	tar_add(b, '5', "./blobs/", "", "", 0);
	tar_add_file(b, "./blobs/sha256/unused", layer.path);
	tar_add_file(b, layer.path + strlen("layout/"), layer.path);
	tar_add_file(b, config.path + strlen("layout/"), config.path);
	tar_add_file(b, manifest.path + strlen("layout/"), manifest.path);
	tar_add_file(b, "./index.json", "layout/index.json");
	tar_add_file(b, "oci-layout", "layout/oci-layout");
	CHECK(buf_add_zero(b, 1024) == 0);
}

static void test_oci_archive(void)
{
	_cleanup_buf_ struct buf b = {0};
	size_t whole;

	oci_tar(&b);
	write_file("a.tar", b.p, b.n);
	check_opens(TRANSPORT_OCI_ARCHIVE, "a.tar", NULL, NULL, "the layer");
	check_opens(TRANSPORT_OCI_ARCHIVE, "a.tar", "v1", NULL, "the layer");
	check_refused(TRANSPORT_DOCKER_ARCHIVE, "a.tar", NULL, NULL, -ERR_ABSENT, "manifest.json");
	check_refused(TRANSPORT_OCI_ARCHIVE, "layout", NULL, NULL, -EISDIR, "directory");
	check_refused(TRANSPORT_OCI, "a.tar", NULL, NULL, -ENOTDIR, "a.tar");
	whole = b.n - 1024;
	for (size_t n = 0; n < whole - 512; n += 100) {
		_cleanup_(image_source_freep) struct image_source *s = NULL;
		struct err e;

		write_file("cut.tar", b.p, n);
		CHECK(try_open(TRANSPORT_OCI_ARCHIVE, "cut.tar", NULL, NULL, &s, &e) < 0);
	}
	write_file("cut.tar", b.p, whole);
	check_opens(TRANSPORT_OCI_ARCHIVE, "cut.tar", NULL, NULL, "the layer");
	b.p[600] ^= 1;
	write_file("cut.tar", b.p, b.n);
	check_refused(TRANSPORT_OCI_ARCHIVE, "cut.tar", NULL, NULL, -ERR_INPUT, "checksum");
}

static void test_compressed_archive(void)
{
	_cleanup_buf_ struct buf b = {0};
	char path[256];
	gzFile gz;

	oci_tar(&b);
	snprintf(path, sizeof(path), "%s/a.tar.gz", tmp);
	gz = gzopen(path, "wb");
	CHECK(gz && gzwrite(gz, b.p, (unsigned)b.n) == (int)b.n && gzclose(gz) == Z_OK);
	check_opens(TRANSPORT_OCI_ARCHIVE, "a.tar.gz", "v1", NULL, "the layer");
	CHECK(truncate(path, 200) == 0);
	check_refused(TRANSPORT_OCI_ARCHIVE, "a.tar.gz", "v1", NULL, -ERR_INPUT, "ends early");
}

static void *feed(void *p)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/pipe", tmp);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && io_write_full(fd, ((struct buf *)p)->p, ((struct buf *)p)->n) == 0);
	close(fd);
	return NULL;
}

static void test_pipe(void)
{
	_cleanup_buf_ struct buf b = {0};
	pthread_t t;

	oci_tar(&b);
	CHECK(mkfifoat(tmp_fd, "pipe", 0600) == 0);
	CHECK(pthread_create(&t, NULL, feed, &b) == 0);
	check_opens(TRANSPORT_OCI_ARCHIVE, "pipe", NULL, NULL, "the layer");
	CHECK(pthread_join(t, NULL) == 0);
}

#define DIFF_ID "sha256:1111111111111111111111111111111111111111111111111111111111111111"

static void docker_tar(struct buf *b, const char *manifest)
{
	_cleanup_buf_ struct buf config = {0};
	char name[DIGEST_HEX_SIZE + 8], hex[DIGEST_HEX_SIZE + 1];
	struct digest d;

	CHECK(buf_addf(&config, CONFIG, "amd64", DIFF_ID) == 0);
	digest_of(config.p, config.n, &d);
	snprintf(name, sizeof(name), "%s.json", digest_hex(&d, hex));
	tar_add_text(b, "one.json", (char *)config.p);
	tar_add_text(b, name, (char *)config.p);
	tar_add_text(b, "0000000000000000000000000000000000000000000000000000000000000000.json",
		(char *)config.p);
	tar_add_text(b, "a/layer.tar", "layer a");
	tar_add(b, '2', "b/layer.tar", "../a/layer.tar", "", 0);
	tar_add(b, '1', "c/layer.tar", "a/layer.tar", "", 0);
	tar_add(b, '2', "out/layer.tar", "../../../etc/passwd", "", 0);
	tar_add(b, '2', "chain/layer.tar", "../b/layer.tar", "", 0);
	tar_add_text(b, "twice", "1");
	tar_add_text(b, "./twice", "2");
	tar_add_text(b, "manifest.json", manifest);
	CHECK(buf_add_zero(b, 1024) == 0);
}

/* Writes d.tar with such a manifest.json. */
static void put_docker(const char *manifest)
{
	_cleanup_buf_ struct buf b = {0};

	docker_tar(&b, manifest);
	write_file("d.tar", b.p, b.n);
}

static void put_docker_image(const char *config, const char *layer)
{
	_cleanup_buf_ struct buf b = {0};

	CHECK(buf_addf(&b, "[{\"Config\":\"%s\",\"Layers\":[\"%s\"]}]", config, layer) == 0);
	put_docker((char *)b.p);
}

static void docker_opens(const char *tag, const char *layer)
{
	check_opens(TRANSPORT_DOCKER_ARCHIVE, "d.tar", tag, NULL, layer);
}

static void docker_refused(const char *tag, int code, const char *reason)
{
	check_refused(TRANSPORT_DOCKER_ARCHIVE, "d.tar", tag, NULL, code, reason);
}

static void test_docker_files(void)
{
	static const char *const good[] = {
		"a/layer.tar", "./a//layer.tar", "b/layer.tar", "c/layer.tar"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		put_docker_image("one.json", good[i]);
		docker_opens(NULL, "layer a");
	}
	put_docker_image("one.json", "out/layer.tar");
	docker_refused(NULL, -ERR_INPUT, "links to '../../../etc/passwd'");
	put_docker_image("one.json", "chain/layer.tar");
	docker_refused(NULL, -ERR_INPUT, "which is no file in it");
	put_docker_image("one.json", "/etc/passwd");
	docker_refused(NULL, -ERR_ABSENT, "'/etc/passwd' is not there");
	put_docker_image("one.json", "twice");
	docker_refused(NULL, -ERR_INPUT, "'twice' is there twice");
	put_docker_image("../one.json", "a/layer.tar");
	docker_refused(NULL, -ERR_ABSENT, "'../one.json' is not there");
	put_docker_image("0000000000000000000000000000000000000000000000000000000000000000.json",
		"a/layer.tar");
	docker_refused(NULL, -ERR_DIGEST, "content does not match its digest");
}

static void test_docker_tags(void)
{
	put_docker("[{\"Config\":\"one.json\",\"RepoTags\":[\"debian:latest\",\"x/y:1\"],"
		   "\"Layers\":[\"a/layer.tar\"]},"
		   "{\"Config\":\"manifest.json\",\"RepoTags\":null,\"Layers\":[]}]");
	docker_opens("debian", "layer a");
	docker_opens("docker.io/library/debian", "layer a");
	docker_opens("docker.io/x/y:1", "layer a");
	docker_opens("@0", "layer a");
	docker_refused("@1", -ERR_INPUT, "manifest.json: the document is not an object");
	docker_refused("@2", -ERR_ABSENT, "there is no image @2");
	docker_refused("@x", -ERR_INPUT, "is not @ and a number");
	docker_refused("x/y", -ERR_ABSENT, "no image is tagged 'x/y'; there are: debian:latest");
	docker_refused(NULL, -ERR_ABSENT, "choose one of: debian:latest, x/y:1, @1");
	put_docker("[]");
	docker_refused(NULL, -ERR_ABSENT, "names no image");
}

static void test_long_names(void)
{
	static const char record[] = "25 path=p/q/manifest.json\n";
	_cleanup_buf_ struct buf b = {0};

	/* Names that other headers give: the checks on manifest.json show that they were read. */
	tar_add(&b, 'x', "PaxHeaders", "", "22 path=manifest.json\n", 22);
	tar_add_text(&b, "short", "[1]");
	write_file("d.tar", b.p, b.n);
	docker_refused(NULL, -ERR_INPUT, "manifest.json: [0] is not an object");
	b.n = 0;
	tar_add(&b, 'L', "././@LongLink", "", "manifest.json", 14);
	tar_add_text(&b, "short", "[2,3]");
	write_file("d.tar", b.p, b.n);
	docker_refused(NULL, -ERR_INPUT, "manifest.json: [0] is not an object");
	b.n = 0;
	tar_add(&b, 'x', "PaxHeaders", "", record, strlen(record));
	write_file("d.tar", b.p, b.n);
	docker_refused(NULL, -ERR_INPUT, "a pax record is not KEY=VALUE");
}

static void test_strange_tars(void)
{
	static const struct {
		char type;
		const char *record, *reason;
	} cases[] = {
		{'S', "", "entry type 'S'"},
		{'3', "", "entry type '3'"},
		{'2', "content", "a link with content"},
		{'5', "content", "a directory with content"},
		{'x', "22 GNU.sparse.major=1\n", "sparse"},
		{'x', "20 size=99999999999\n", NULL},
		{'x', "10 size=-1\n", NULL},
		{'x', "11 size=-1\n", "pax size is not a number"},
		{'x', "nonsense", "no length"},
		{'x', "99999999999999999999999 a=b\n", "length is wrong"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		tar_add(&b, cases[i].type, "x", "y", cases[i].record, strlen(cases[i].record));
		tar_add_text(&b, "manifest.json", "[]");
		write_file("d.tar", b.p, b.n);
		docker_refused(NULL, -ERR_INPUT, cases[i].reason ? cases[i].reason : "tar archive");
	}
	write_text("d.tar", "");
	docker_refused(NULL, -ERR_ABSENT, "manifest.json");
}

int main(void)
{
	CHECK(mkdtemp(tmp));
	tmp_fd = open(tmp, O_RDONLY | O_DIRECTORY);
	CHECK(tmp_fd >= 0);
	CHECK(mkdirat(tmp_fd, "layout", 0755) == 0);
	test_simple();
	test_tags();
	test_platforms();
	test_depth();
	test_wide();
	test_confusion();
	test_damaged_documents();
	test_damaged_manifest();
	test_too_large();
	test_not_regular();
	test_layers();
	test_layer_count();
	test_oci_archive();
	test_compressed_archive();
	test_pipe();
	test_docker_files();
	test_docker_tags();
	test_long_names();
	test_strange_tars();
	nftw(tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
