/* SPDX-License-Identifier: Apache-2.0 */
#include "oci-doc.h"
#include "util/test.h"

#define OCI_CONFIG      "application/vnd.oci.image.config.v1+json"
#define OCI_GZIP        "application/vnd.oci.image.layer.v1.tar+gzip"
#define OCI_ZSTD        "application/vnd.oci.image.layer.v1.tar+zstd"
#define OCI_TAR         "application/vnd.oci.image.layer.v1.tar"
#define OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG   "application/vnd.docker.container.image.v1+json"
#define DOCKER_FOREIGN  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
#define D1              "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2              "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define D3              "sha256:3333333333333333333333333333333333333333333333333333333333333333"

static struct digest digest(const char *text)
{
	struct digest d;

	CHECK(digest_parse(text, &d) == 0);
	return d;
}

/* --- manifests ---------------------------------------------------------------------------- */

static void check_manifest(
	const char *old, const struct oci_descriptor *layer, const char *expected)
{
	_cleanup_buf_ struct buf b = {0};
	struct err e = {0};

	CHECK(oci_manifest_set_layers("m", old, strlen(old), layer, 1, &b, &e) == 0);
	if (strcmp((char *)b.p, expected) != 0)
		fprintf(stderr, "got      %s\nexpected %s\n", (char *)b.p, expected);
	CHECK(strcmp((char *)b.p, expected) == 0);
}

/* Keys in an order of their own, blanks, fields that nobody knows. */
static const char odd_manifest[] =
	"{ \"schemaVersion\": 2, \"config\": {\"mediaType\": \"" OCI_CONFIG
	"\", \"size\": 3, \"digest\": \"" D1
	"\", \"annotations\": {\"a\": \"b\"}}, \"subject\": {\"x\": 1}, \"annotations\": {\"k\": "
	"\"v\"}, \"future\": [1.5, null], \"layers\": [{\"mediaType\": \"" OCI_GZIP
	"\", \"digest\": \"" D2
	"\", \"size\": 10, \"urls\": [\"http://x\"], \"data\": \"eA==\", \"later\": {}, "
	"\"annotations\": {\"containerd.io/snapshot/stargz/toc.digest\": \"t\", "
	"\"io.github.containers.zstd-chunked.manifest-checksum\": \"t\", \"mine\": \"stays\"}}]}";

static void test_manifest_stays(void)
{
	struct oci_descriptor layer = {.codec = CODEC_GZIP, .digest = digest(D2), .size = 10};

	check_manifest(odd_manifest, &layer, odd_manifest);
}

static void test_manifest_changes(void)
{
	struct oci_descriptor layer = {.codec = CODEC_ZSTD, .digest = digest(D3), .size = 7};

	check_manifest(odd_manifest, &layer,
		"{\"annotations\":{\"k\":\"v\"},\"config\":{\"annotations\":{\"a\":\"b\"},"
		"\"digest\":\"" D1 "\",\"mediaType\":\"" OCI_CONFIG
		"\",\"size\":3},\"future\":[1.5,null],\"layers\":[{\"annotations\":{\"mine\":"
		"\"stays\"},\"digest\":\"" D3 "\",\"later\":{},\"mediaType\":\"" OCI_ZSTD
		"\",\"size\":7}],\"mediaType\":\"" OCI_MANIFEST
		"\",\"schemaVersion\":2,\"subject\":{\"x\":1}}");
}

/* Docker's types become OCI's, foreign layers ordinary ones; no empty annotations stay behind. */
static void test_manifest_of_docker(void)
{
	static const char docker[] =
		"{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_MANIFEST
		"\",\"config\":{\"mediaType\":\"" DOCKER_CONFIG "\",\"size\":3,\"digest\":\"" D1
		"\"},\"layers\":[{\"mediaType\":\"" DOCKER_FOREIGN "\",\"digest\":\"" D2
		"\",\"size\":9,\"urls\":[\"http://x\"],\"annotations\":{\"containerd.io/snapshot/"
		"x\":\"y\"}}]}";
	struct oci_descriptor layer = {.codec = CODEC_PLAIN, .digest = digest(D3), .size = 7};

	check_manifest(docker, &layer,
		"{\"config\":{\"digest\":\"" D1 "\",\"mediaType\":\"" OCI_CONFIG
		"\",\"size\":3},\"layers\":[{\"digest\":\"" D3 "\",\"mediaType\":\"" OCI_TAR
		"\",\"size\":7}],\"mediaType\":\"" OCI_MANIFEST "\",\"schemaVersion\":2}");
}

static void test_manifest_refused(void)
{
	struct oci_descriptor layers[2] = {0};
	_cleanup_buf_ struct buf b = {0};
	struct err e = {0};

	CHECK(oci_manifest_set_layers("m", odd_manifest, strlen(odd_manifest), layers, 2, &b, &e) ==
		-ERR_INPUT);
	CHECK(strstr(e.text, "1 layers instead of 2") && !b.n);
	CHECK(oci_manifest_set_layers("m", "{}", 2, layers, 1, &b, NULL) == -ERR_INPUT);
}

/* --- index.json --------------------------------------------------------------------------- */

#define ENTRY(d, s) "{\"digest\":\"" d "\",\"mediaType\":\"" OCI_MANIFEST "\",\"size\":" s "}"
#define TAGGED(t, d, s) \
	"{\"annotations\":{\"org.opencontainers.image.ref.name\":\"" t "\"},\"digest\":\"" d \
	"\",\"mediaType\":\"" OCI_MANIFEST "\",\"size\":" s "}"
#define INDEX(entries) "{\"manifests\":[" entries "],\"schemaVersion\":2}"

static void check_index(
	const char *old, const char *manifest, const char *tag, const char *expected)
{
	const struct digest d = digest(manifest);
	_cleanup_buf_ struct buf b = {0};
	struct err e = {0};

	CHECK(oci_index_put("i", old, old ? strlen(old) : 0, &d, 5, tag, &b, &e) == 0);
	if (strcmp((char *)b.p, expected) != 0)
		fprintf(stderr, "got      %s\nexpected %s\n", (char *)b.p, expected);
	CHECK(strcmp((char *)b.p, expected) == 0);
}

static void test_index(void)
{
	check_index(NULL, D1, "a", INDEX(TAGGED("a", D1, "5")));
	check_index(NULL, D1, NULL, INDEX(ENTRY(D1, "5")));
	check_index(INDEX(TAGGED("a", D1, "5")), D2, "b",
		INDEX(TAGGED("a", D1, "5") "," TAGGED("b", D2, "5")));
	check_index(INDEX(TAGGED("a", D1, "9") "," TAGGED("b", D1, "9")), D2, "a",
		INDEX(TAGGED("a", D2, "5") "," TAGGED("b", D1, "9")));
	/* one image for each platform, all under the tag */
	check_index(INDEX(TAGGED("b", D1, "9") "," TAGGED("a", D1, "9") "," TAGGED("a", D3, "9")),
		D2, "a", INDEX(TAGGED("b", D1, "9") "," TAGGED("a", D2, "5")));
	/* without a tag */
	check_index(INDEX(ENTRY(D1, "5")), D1, NULL, INDEX(ENTRY(D1, "5")));
	check_index(INDEX(ENTRY(D1, "5")), D2, NULL, INDEX(ENTRY(D1, "5") "," ENTRY(D2, "5")));
	check_index(INDEX(TAGGED("a", D1, "5")), D1, NULL,
		INDEX(TAGGED("a", D1, "5") "," ENTRY(D1, "5")));
	check_index(INDEX(ENTRY(D1, "5")), D1, "a", INDEX(ENTRY(D1, "5") "," TAGGED("a", D1, "5")));
	/* what nobody knows, also another kind of digest */
	check_index("{\"x\":{\"y\":[]},\"manifests\":[{\"digest\":\"sha512:00\",\"z\":1}]}", D1,
		"a",
		"{\"manifests\":[{\"digest\":\"sha512:00\",\"z\":1}," TAGGED(
			"a", D1, "5") "],\"x\":{\"y\":[]}}");
}

static void test_index_refused(void)
{
	static const char *const bad[] = {"", "[]", "{}", "{\"manifests\":{}}",
		"{\"manifests\":[1]}", "{\"manifests\":[{\"annotations\":[]}]}",
		"{\"manifests\":[],\"manifests\":[]}", INDEX("") "x"};
	const struct digest d = digest(D1);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		CHECK(oci_index_put("i", bad[i], strlen(bad[i]), &d, 5, "a", &b, NULL) ==
			-ERR_INPUT);
	}
}

static void test_ref_name(void)
{
	static const char *const good[] = {"a", "1", "v1.2.3", "a-b_c", "a--b", "x/y:1", "A@b+c"};
	static const char *const bad[] = {
		"", "-a", "a-", "a..b", "a---b", "a b", "a/", "/a", "@a", "a\n", "\xc3\xa4", "a--"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(oci_ref_name_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!oci_ref_name_valid(bad[i]));
}

/* --- docker's manifest.json ---------------------------------------------------------------- */

static void check_docker(const char *tag, const char *expected)
{
	char a[] = "a.tar", b[] = "b.tar", *const layers[] = {a, b, a};
	_cleanup_(docker_archive_doc_done) struct docker_archive_doc doc = {0};
	_cleanup_buf_ struct buf out = {0};
	struct err e = {0};

	CHECK(docker_archive_doc_new("c.json", tag, layers, 3, &out, &e) == 0);
	CHECK(strcmp((char *)out.p, expected) == 0);
	CHECK(docker_archive_doc_parse("d", out.p, out.n, &doc, &e) == 0);
	CHECK(doc.n_images == 1 && doc.images[0].n_layers == 3);
	CHECK(doc.images[0].n_tags == (tag ? 1 : 0));
}

static void test_docker(void)
{
	check_docker("x/y:1", "[{\"Config\":\"c.json\",\"Layers\":[\"a.tar\",\"b.tar\",\"a.tar\"],"
			      "\"RepoTags\":[\"x/y:1\"]}]");
	check_docker(NULL, "[{\"Config\":\"c.json\",\"Layers\":[\"a.tar\",\"b.tar\",\"a.tar\"],"
			   "\"RepoTags\":[]}]");
}

int main(void)
{
	test_manifest_stays();
	test_manifest_changes();
	test_manifest_of_docker();
	test_manifest_refused();
	test_index();
	test_index_refused();
	test_ref_name();
	test_docker();
	return 0;
}
