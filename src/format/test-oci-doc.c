/* SPDX-License-Identifier: Apache-2.0 */
#include "oci-doc.h"
#include "reference.h"
#include "util/test.h"

#define D1               "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2               "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define OCI(x)           "application/vnd.oci.image." x
#define DESC(type, more) "{\"mediaType\":\"" type "\",\"digest\":\"" D1 "\",\"size\":7" more "}"
#define LAYER            DESC(OCI("layer.v1.tar+gzip"), "")
#define CONFIG           DESC(OCI("config.v1+json"), "")
#define V2               "\"schemaVersion\":2,"
#define ROOTFS           "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\"]}"
#define PLATFORM         "\"os\":\"linux\",\"architecture\":\"amd64\","

enum kind { LAYOUT, INDEX, MANIFEST, IMAGE_CONFIG, DOCKER };

static int parse(enum kind kind, const char *json, size_t n, struct err *e)
{
	_cleanup_(oci_index_done) struct oci_index index = {0};
	_cleanup_(oci_manifest_done) struct oci_manifest manifest = {0};
	_cleanup_(oci_config_done) struct oci_config config = {0};
	_cleanup_(docker_archive_doc_done) struct docker_archive_doc docker = {0};

	switch (kind) {
	case LAYOUT:
		return oci_layout_check("doc", json, n, e);
	case INDEX:
		return oci_index_parse("doc", json, n, &index, e);
	case MANIFEST:
		return oci_manifest_parse("doc", json, n, &manifest, e);
	case IMAGE_CONFIG:
		return oci_config_parse("doc", json, n, &config, e);
	case DOCKER:
		return docker_archive_doc_parse("doc", json, n, &docker, e);
	}
	return 0;
}

static const struct {
	const char *name;
	enum kind kind;
	const char *json;
	const char *reason;
} hostile[] = {
	{"empty", INDEX, "", "line 1"},
	{"not-json", INDEX, "hello", "line 1"},
	{"trailing", INDEX, "{" V2 "\"manifests\":[]} x", "end of file expected"},
	{"duplicate-key", INDEX, "{" V2 "\"manifests\":[],\"manifests\":[]}", "duplicate"},
	{"nul", INDEX, "{\"a\":\"\\u0000\"}", "\\u0000"},
	{"bad-utf8", INDEX, "{\"a\":\"\xff\"}", "unable to decode"},
	{"big-integer", INDEX, "{\"schemaVersion\":99999999999999999999}", "too big"},
	{"wrong-top", INDEX, "[]", "the document is not an object"},
	{"no-version", INDEX, "{\"manifests\":[]}", "schemaVersion is missing"},
	{"version-1", INDEX, "{\"schemaVersion\":1,\"manifests\":[]}", "schemaVersion is not 2"},
	{"version-text", INDEX, "{\"schemaVersion\":\"2\",\"manifests\":[]}",
		"schemaVersion is not an integer"},
	{"version-real", INDEX, "{\"schemaVersion\":2.0,\"manifests\":[]}",
		"schemaVersion is not an integer"},
	{"no-manifests", INDEX, "{\"schemaVersion\":2}", "manifests is missing"},
	{"null-manifests", INDEX, "{" V2 "\"manifests\":null}", "manifests is missing"},
	{"manifests-object", INDEX, "{" V2 "\"manifests\":{}}", "manifests is not an array"},
	{"manifests-numbers", INDEX, "{" V2 "\"manifests\":[1]}", "manifests[0] is not an object"},
	{"case", INDEX, "{" V2 "\"Manifests\":[]}", "only in case"},
	{"case-twice", INDEX, "{" V2 "\"manifests\":[],\"MANIFESTS\":[]}", "only in case"},
	{"index-and-manifest", INDEX, "{" V2 "\"manifests\":[],\"layers\":[]}",
		"layers belongs to another kind"},
	{"index-and-manifest-case", INDEX, "{" V2 "\"manifests\":[],\"Layers\":[]}",
		"layers belongs to another kind"},
	{"index-and-config", INDEX, "{" V2 "\"manifests\":[],\"config\":{}}",
		"config belongs to another kind"},
	{"index-says-manifest", INDEX,
		"{" V2 "\"mediaType\":\"" OCI("manifest.v1+json") "\",\"manifests\":[]}",
		"mediaType is not that of an image index"},
	{"index-says-other", INDEX, "{" V2 "\"mediaType\":\"text/plain\",\"manifests\":[]}",
		"mediaType is not that of an image index"},
	{"no-media-type", INDEX, "{" V2 "\"manifests\":[{\"digest\":\"" D1 "\",\"size\":1}]}",
		"manifests[0].mediaType is missing"},
	{"no-digest", INDEX, "{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":1}]}",
		"manifests[0].digest is missing"},
	{"digest-md5", INDEX,
		"{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":1,\"digest\":\"md5:00\"}]}",
		"manifests[0].digest is not a sha256 digest"},
	{"digest-traversal", INDEX,
		"{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":1,"
		"\"digest\":\"sha256:../../../../../../etc/passwd\"}]}",
		"manifests[0].digest is not a sha256 digest"},
	{"digest-upper", INDEX,
		"{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":1,\"digest\":\"sha256:"
		"ABCDEF1111111111111111111111111111111111111111111111111111111111\"}]}",
		"manifests[0].digest is not a sha256 digest"},
	{"size-negative", INDEX,
		"{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":-1,\"digest\":\"" D1 "\"}]}",
		"manifests[0].size is out of range"},
	{"size-2-53", INDEX,
		"{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":9007199254740992,"
		"\"digest\":\"" D1 "\"}]}",
		"manifests[0].size is out of range"},
	{"size-real", INDEX,
		"{" V2 "\"manifests\":[{\"mediaType\":\"x\",\"size\":1.5,\"digest\":\"" D1 "\"}]}",
		"manifests[0].size is not an integer"},
	{"annotations-array", INDEX, "{" V2 "\"manifests\":[" DESC("x", ",\"annotations\":[]") "]}",
		"manifests[0].annotations is not an object"},
	{"ref-name-number", INDEX,
		"{" V2 "\"manifests\":[" DESC(
			"x", ",\"annotations\":{\"org.opencontainers.image.ref.name\":1}") "]}",
		"ref.name is not a string"},
	{"platform-no-os", INDEX,
		"{" V2 "\"manifests\":[" DESC("x", ",\"platform\":{\"architecture\":\"x\"}") "]}",
		"manifests[0].platform.os is missing"},
	{"platform-long", INDEX,
		"{" V2 "\"manifests\":[" DESC("x",
			",\"platform\":{\"os\":\"linux\","
			"\"architecture\":\"0123456789abcdef0123456789abcdef\"}") "]}",
		"platform.architecture is too long"},
	{"manifest-and-index", MANIFEST,
		"{" V2 "\"config\":" CONFIG ",\"layers\":[" LAYER "],\"manifests\":[]}",
		"manifests belongs to another kind"},
	{"manifest-says-index", MANIFEST,
		"{" V2 "\"mediaType\":\"" OCI("index.v1+json") "\",\"config\":" CONFIG
							       ",\"layers\":[]}",
		"mediaType is not that of an image manifest"},
	{"schema-1", MANIFEST, "{\"schemaVersion\":1,\"fsLayers\":[],\"history\":[]}",
		"schemaVersion is not 2"},
	{"schema-1-as-2", MANIFEST, "{" V2 "\"fsLayers\":[]}", "fsLayers belongs to another"},
	{"no-config", MANIFEST, "{" V2 "\"layers\":[]}", "config is missing"},
	{"config-no-size", MANIFEST,
		"{" V2 "\"layers\":[],\"config\":{\"mediaType\":\"x\",\"digest\":\"" D1 "\"}}",
		"config.size is missing"},
	{"no-layers", MANIFEST, "{" V2 "\"config\":" CONFIG "}", "layers is missing"},
	{"config-is-layer", MANIFEST, "{" V2 "\"config\":" LAYER ",\"layers\":[]}",
		"config.mediaType"},
	{"artifact", MANIFEST,
		"{" V2
		"\"config\":" DESC("application/vnd.oci.empty.v1+json", "") ",\"layers\":[]}",
		"config.mediaType 'application/vnd.oci.empty.v1+json' is not that of a container"},
	{"layer-encrypted", MANIFEST,
		"{" V2 "\"config\":" CONFIG ",\"layers\":[" LAYER
		"," DESC(OCI("layer.v1.tar+gzip+encrypted"), "") "]}",
		"layers[1].mediaType"},
	{"layer-is-index", MANIFEST,
		"{" V2 "\"config\":" CONFIG ",\"layers\":[" DESC(OCI("index.v1+json"), "") "]}",
		"layers[0].mediaType"},
	{"config-no-rootfs", IMAGE_CONFIG, "{\"os\":\"linux\",\"architecture\":\"amd64\"}",
		"rootfs is missing"},
	{"config-no-os", IMAGE_CONFIG, "{\"architecture\":\"amd64\"," ROOTFS "}", "os is missing"},
	{"config-empty-os", IMAGE_CONFIG, "{\"architecture\":\"amd64\",\"os\":\"\"," ROOTFS "}",
		"os is missing"},
	{"config-rootfs-type", IMAGE_CONFIG, "{" PLATFORM "\"rootfs\":{\"type\":\"x\"}}",
		"rootfs.type is not"},
	{"config-bad-diff-id", IMAGE_CONFIG,
		"{" PLATFORM "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\",\"x\"]}}",
		"rootfs.diff_ids[1] is not a sha256 digest"},
	{"config-number-diff-id", IMAGE_CONFIG,
		"{" PLATFORM "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[5]}}",
		"rootfs.diff_ids[0] is not a string"},
	{"config-cmd-string", IMAGE_CONFIG, "{" PLATFORM "\"config\":{\"Cmd\":\"sh\"}," ROOTFS "}",
		"config.Cmd is not an array"},
	{"config-env-number", IMAGE_CONFIG, "{" PLATFORM "\"config\":{\"Env\":[1]}," ROOTFS "}",
		"config.Env[0] is not a string"},
	{"config-user-number", IMAGE_CONFIG, "{" PLATFORM "\"config\":{\"User\":0}," ROOTFS "}",
		"config.User is not a string"},
	{"config-label-number", IMAGE_CONFIG,
		"{" PLATFORM "\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}",
		"config.Labels.a is not a string"},
	{"config-volumes-array", IMAGE_CONFIG,
		"{" PLATFORM "\"config\":{\"Volumes\":[\"/x\"]}," ROOTFS "}",
		"config.Volumes is not an object"},
	{"config-created", IMAGE_CONFIG, "{" PLATFORM "\"created\":\"yesterday\"," ROOTFS "}",
		"created is not an RFC 3339 time"},
	{"config-history-object", IMAGE_CONFIG, "{" PLATFORM "\"history\":{}," ROOTFS "}",
		"history is not an array"},
	{"config-empty-layer-text", IMAGE_CONFIG,
		"{" PLATFORM "\"history\":[{\"empty_layer\":\"true\"}]," ROOTFS "}",
		"history[0].empty_layer is not true or false"},
	{"config-is-manifest", IMAGE_CONFIG, "{" PLATFORM "\"layers\":[]," ROOTFS "}",
		"is not an image config"},
	{"layout-version", LAYOUT, "{\"imageLayoutVersion\":\"2.0.0\"}", "is not 1.0.0"},
	{"layout-missing", LAYOUT, "{}", "imageLayoutVersion is missing"},
	{"docker-object", DOCKER, "{}", "the document is not an array"},
	{"docker-no-config", DOCKER, "[{\"Layers\":[]}]", "[0].Config is missing"},
	{"docker-tags-text", DOCKER, "[{\"Config\":\"c\",\"RepoTags\":\"x\"}]",
		"[0].RepoTags is not an array"},
	{"docker-layer-number", DOCKER, "[{\"Config\":\"c\",\"Layers\":[1]}]",
		"[0].Layers[0] is not a string"},
};

static void test_hostile(void)
{
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		const char *json = hostile[i].json;
		struct err e = {0};
		int r = parse(hostile[i].kind, json, strlen(json), &e);

		if (r >= 0 || !strstr(e.text, hostile[i].reason))
			fprintf(stderr, "%s: %d '%s'\n", hostile[i].name, r, e.text);
		CHECK(r == -ERR_INPUT || r == -ERR_UNSUPPORTED);
		CHECK(strstr(e.text, hostile[i].reason));
		CHECK(strncmp(e.text, "doc: ", 5) == 0);
	}
}

/* `n` times the same text between two others. */
static void repeat(struct buf *b, const char *head, const char *text, size_t n, const char *tail)
{
	CHECK(buf_addf(b, "%s", head) == 0);
	for (size_t i = 0; i < n; i++)
		CHECK(buf_addf(b, "%s%s", i ? "," : "", text) == 0);
	CHECK(buf_addf(b, "%s", tail) == 0);
}

static void check_repeated(enum kind kind, const char *head, const char *text, size_t n,
	const char *tail, const char *reason)
{
	_cleanup_buf_ struct buf b = {0};
	struct err e = {0};
	int r;

	repeat(&b, head, text, n, tail);
	r = parse(kind, (char *)b.p, b.n, &e);
	CHECK(reason ? r == -ERR_INPUT : r == 0);
	CHECK(!reason || strstr(e.text, reason));
}

static void test_bounds(void)
{
	static const char manifest[] = "{" V2 "\"config\":" CONFIG ",\"layers\":[";
	static const char config[] = "{" PLATFORM "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[";
	_cleanup_buf_ struct buf deep = {0};
	struct err e = {0};

	check_repeated(MANIFEST, manifest, LAYER, OCI_LAYERS_MAX, "]}", NULL);
	check_repeated(MANIFEST, manifest, LAYER, OCI_LAYERS_MAX + 1, "]}", "too many");
	check_repeated(IMAGE_CONFIG, config, "\"" D1 "\"", OCI_LAYERS_MAX, "]}}", NULL);
	check_repeated(IMAGE_CONFIG, config, "\"" D1 "\"", OCI_LAYERS_MAX + 1, "]}}", "too many");
	check_repeated(INDEX, "{" V2 "\"manifests\":[", "{}", 1 << 20, "]}", "too many values");
	for (int i = 0; i < 100000; i++)
		CHECK(buf_add(&deep, "[", 1) == 0);
	CHECK(parse(DOCKER, (char *)deep.p, deep.n, &e) == -ERR_INPUT);
	CHECK(strstr(e.text, "nested too deeply"));
}

static void test_index(void)
{
	static const char json[] = "{" V2 "\"mediaType\":\"" OCI(
		"index.v1+json") "\",\"unknown\":[1,{}],"
				 "\"manifests\":[" DESC(OCI("manifest.v1+json"),
					 ",\"annotations\":{\"org.opencontainers.image.ref.name\":"
					 "\"v1\"},"
					 "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\","
					 "\"variant\":\"v7\"}") "," DESC("application/"
									 "vnd.docker.distribution."
									 "manifest.list.v2+json",
					 "") "," DESC("text/plain", ",\"platform\":null") "]}";
	_cleanup_(oci_index_done) struct oci_index d = {0};
	char text[DIGEST_TEXT_MAX];

	CHECK(oci_index_parse("doc", json, strlen(json), &d, NULL) == 0);
	CHECK(d.n_manifests == 3);
	CHECK(d.manifests[0].media == OCI_MEDIA_MANIFEST);
	CHECK(strcmp(d.manifests[0].ref_name, "v1") == 0);
	CHECK(d.manifests[0].has_platform);
	CHECK(strcmp(d.manifests[0].platform.variant, "v7") == 0);
	CHECK(d.manifests[0].size == 7);
	CHECK(strcmp(digest_text(&d.manifests[0].digest, text), D1) == 0);
	CHECK(d.manifests[1].media == OCI_MEDIA_INDEX && !d.manifests[1].ref_name);
	CHECK(d.manifests[2].media == OCI_MEDIA_OTHER && !d.manifests[2].has_platform);
}

static void test_manifest(void)
{
	static const char json[] =
		"{" V2 "\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\","
		"\"config\":" DESC("application/vnd.docker.container.image.v1+json",
			"") ",\"layers\":[" LAYER "," DESC(OCI("layer.v1.tar+zstd"),
			"") "," DESC("application/vnd.docker.image.rootfs.diff.tar",
			"") "," DESC("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
			"") "]}";
	static const enum codec codecs[] = {CODEC_GZIP, CODEC_ZSTD, CODEC_PLAIN, CODEC_GZIP};
	_cleanup_(oci_manifest_done) struct oci_manifest d = {0};

	CHECK(oci_manifest_parse("doc", json, strlen(json), &d, NULL) == 0);
	CHECK(d.n_layers == 4);
	CHECK(d.config.media == OCI_MEDIA_CONFIG);
	for (size_t i = 0; i < 4; i++) {
		CHECK(d.layers[i].codec == codecs[i]);
		CHECK(d.layers[i].media == (i < 3 ? OCI_MEDIA_LAYER : OCI_MEDIA_FOREIGN_LAYER));
	}
}

static const char full_config[] =
	"{\"created\":\"2024-02-29T12:30:00.123456789+02:00\",\"author\":\"me\"," PLATFORM
	"\"variant\":\"v2\",\"x-unknown\":{\"b\":1,\"a\":[1.5,null,true]},\"config\":{"
	"\"User\":\"1000:0\",\"Env\":[\"PATH=/bin\",\"A=\"],\"Entrypoint\":[\"/init\"],"
	"\"Cmd\":null,\"WorkingDir\":\"/w\",\"StopSignal\":\"SIGTERM\","
	"\"Labels\":{\"b\":\"2\",\"B\":\"3\",\"a\":\"1\"},"
	"\"ExposedPorts\":{\"80/tcp\":{},\"443/tcp\":{}},\"Volumes\":{\"/v\":{}}}," ROOTFS
	",\"history\":[{\"created\":\"1970-01-01T00:00:01Z\",\"created_by\":\"ADD\"},"
	"{\"created_by\":\"CMD\",\"empty_layer\":true,\"comment\":\"c\"}]}";

static void test_config(void)
{
	_cleanup_(oci_config_done) struct oci_config d = {0};

	CHECK(oci_config_parse("doc", full_config, strlen(full_config), &d, NULL) == 0);
	CHECK(d.created == 1709202600);
	CHECK(strcmp(d.author, "me") == 0 && strcmp(d.platform.variant, "v2") == 0);
	CHECK(strcmp(d.user, "1000:0") == 0 && strcmp(d.working_dir, "/w") == 0);
	CHECK(strcmp(d.stop_signal, "SIGTERM") == 0);
	CHECK(d.n_env == 2 && strcmp(d.env[1], "A=") == 0);
	CHECK(d.n_entrypoint == 1 && d.n_cmd == 0);
	CHECK(d.n_exposed_ports == 2 && strcmp(d.exposed_ports[0], "443/tcp") == 0);
	CHECK(d.n_volumes == 1 && strcmp(d.volumes[0], "/v") == 0);
	CHECK(d.n_labels == 3 && strcmp(d.labels[0].key, "B") == 0);
	CHECK(strcmp(d.labels[2].value, "2") == 0);
	CHECK(d.n_diff_ids == 1 && d.n_history == 2);
	CHECK(d.history[0].created == 1 && !d.history[0].empty_layer);
	CHECK(d.history[1].created == OCI_TIME_NONE && d.history[1].empty_layer);
	CHECK(strcmp(d.history[1].comment, "c") == 0 && !d.history[1].author);
}

static void test_config_smallest(void)
{
	static const char json[] = "{" PLATFORM "\"config\":null,\"history\":null,"
				   "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":null}}";
	_cleanup_(oci_config_done) struct oci_config d = {0};

	CHECK(oci_config_parse("doc", json, strlen(json), &d, NULL) == 0);
	CHECK(d.created == OCI_TIME_NONE && !d.author && !d.n_env && !d.n_diff_ids);
}

static void test_docker(void)
{
	static const char json[] = "[{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\",\"b:2\"],"
				   "\"Layers\":[\"l/layer.tar\"]},{\"Config\":\"d\","
				   "\"RepoTags\":null,\"Layers\":null}]";
	_cleanup_(docker_archive_doc_done) struct docker_archive_doc d = {0};

	CHECK(docker_archive_doc_parse("doc", json, strlen(json), &d, NULL) == 0);
	CHECK(d.n_images == 2);
	CHECK(d.images[0].n_tags == 2 && strcmp(d.images[0].tags[1], "b:2") == 0);
	CHECK(d.images[0].n_layers == 1 && d.images[1].n_layers == 0);
}

static void check_time(const char *text, int64_t t, const char *back)
{
	char out[OCI_TIME_TEXT_MAX];
	int64_t found;

	CHECK(oci_time_parse(text, &found) == 0);
	CHECK(found == t);
	CHECK(strcmp(oci_time_text(t, out), back ? back : text) == 0);
}

static void test_time(void)
{
	static const char *const bad[] = {"", "2024", "2024-02-30T00:00:00Z",
		"2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
		"2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00Zx",
		"2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+1:00", "+024-01-01T00:00:00Z"};
	char text[OCI_TIME_TEXT_MAX];
	int64_t t;

	check_time("1970-01-01T00:00:00Z", 0, NULL);
	check_time("2000-02-29T23:59:59Z", 951868799, NULL);
	check_time("0001-01-01T00:00:00Z", -62135596800, NULL);
	check_time("9999-12-31T23:59:59Z", 253402300799, NULL);
	check_time("1969-12-31T23:59:59Z", -1, NULL);
	check_time("2024-01-01T00:00:00.5-01:30", 1704072600, "2024-01-01T01:30:00Z");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(oci_time_parse(bad[i], &t) == -ERR_INPUT);
	CHECK(strcmp(oci_time_text(INT64_MAX, text), "9999-12-31T23:59:59Z") == 0);
	CHECK(strncmp(oci_time_text(INT64_MIN + 1, text), "0000-", 5) == 0);
}

static void test_config_new(void)
{
	static const struct oci_history history[] = {
		{.created = 5, .created_by = "plyfs import tar:x", .comment = "\"q\" \xc3\xa4"},
		{.created = OCI_TIME_NONE, .author = "me", .empty_layer = true},
	};
	static const struct oci_history not_utf8 = {.created_by = "\xff"};
	static const struct platform platform = {"linux", "arm64", "v8"};
	static const char expected[] =
		"{\"architecture\":\"arm64\",\"config\":{},\"created\":\"1970-01-01T00:00:00Z\","
		"\"history\":[{\"comment\":\"\\\"q\\\" \xc3\xa4\",\"created\":"
		"\"1970-01-01T00:00:05Z\",\"created_by\":\"plyfs import tar:x\"},"
		"{\"author\":\"me\",\"empty_layer\":true}],\"os\":\"linux\",\"rootfs\":{"
		"\"diff_ids\":[\"" D1 "\"],\"type\":\"layers\"},\"variant\":\"v8\"}";
	_cleanup_buf_ struct buf b = {0};
	struct err e = {0};
	struct digest d1;

	CHECK(digest_parse(D1, &d1) == 0);
	CHECK(oci_config_new(&platform, OCI_TIME_NONE, &d1, 1, history, 2, &b, &e) == 0);
	CHECK(strcmp((char *)b.p, expected) == 0);
	CHECK(parse(IMAGE_CONFIG, (char *)b.p, b.n, &e) == 0);
	CHECK(oci_config_new(&platform, 0, &d1, 1, &not_utf8, 1, &b, &e) == -ERR_INPUT);
	CHECK(strstr(e.text, "created_by is not UTF-8"));
}

static void test_config_add_layer(void)
{
	static const struct oci_history history = {.created = 86400, .created_by = "commit"};
	_cleanup_(oci_config_done) struct oci_config d = {0};
	_cleanup_buf_ struct buf b = {0};
	char text[DIGEST_TEXT_MAX];
	struct digest d2;

	CHECK(digest_parse(D2, &d2) == 0);
	CHECK(oci_config_add_layer(
		      "doc", full_config, strlen(full_config), &d2, &history, &b, NULL) == 0);
	CHECK(strstr((char *)b.p, "\"x-unknown\":{\"a\":[1.5,null,true],\"b\":1}"));
	CHECK(oci_config_parse("doc", b.p, b.n, &d, NULL) == 0);
	CHECK(d.n_diff_ids == 2 && strcmp(digest_text(&d.diff_ids[1], text), D2) == 0);
	CHECK(d.n_history == 3 && strcmp(d.history[2].created_by, "commit") == 0);
	CHECK(d.created == 86400 && d.history[2].created == 86400);
	CHECK(d.n_labels == 3 && d.n_volumes == 1 && strcmp(d.user, "1000:0") == 0);
}

static void test_config_add_to_untold(void)
{
	static const struct oci_history history = {.created = OCI_TIME_NONE, .created_by = "x"};
	static const char json[] = "{" PLATFORM ROOTFS "}";
	_cleanup_(oci_config_done) struct oci_config d = {0};
	_cleanup_buf_ struct buf b = {0};
	struct digest d2;

	CHECK(digest_parse(D2, &d2) == 0);
	CHECK(oci_config_add_layer("doc", json, strlen(json), &d2, &history, &b, NULL) == 0);
	CHECK(oci_config_parse("doc", b.p, b.n, &d, NULL) == 0);
	CHECK(d.n_diff_ids == 2 && d.n_history == 2 && d.created == OCI_TIME_NONE);
	CHECK(strcmp(d.history[1].created_by, "x") == 0);
}

static void test_manifest_new(void)
{
	static const char expected[] = "{\"config\":{\"digest\":\"" D1 "\",\"mediaType\":\"" OCI(
		"config.v1+json") "\",\"size\":3},\"layers\":[{\"digest\":\"" D2
				  "\",\"mediaType\":\"" OCI(
					  "layer.v1.tar+zstd") "\",\"size\":9007199254740991}],"
							       "\"mediaType\":\"" OCI("manifest.v1+"
										      "json") "\","
											      "\"sc"
											      "hema"
											      "Vers"
											      "ion"
											      "\":"
											      "2}";
	struct oci_descriptor layer = {.codec = CODEC_ZSTD, .size = ((uint64_t)1 << 53) - 1};
	_cleanup_buf_ struct buf b = {0};
	struct err e = {0};
	struct digest d1;

	CHECK(digest_parse(D1, &d1) == 0 && digest_parse(D2, &layer.digest) == 0);
	CHECK(oci_manifest_new(&d1, 3, &layer, 1, &b, &e) == 0);
	CHECK(strcmp((char *)b.p, expected) == 0);
	CHECK(parse(MANIFEST, (char *)b.p, b.n, &e) == 0);
}

static void test_reference(void)
{
	static const struct {
		const char *name, *full;
	} names[] = {
		{"debian", "docker.io/library/debian:latest"},
		{"debian:12", "docker.io/library/debian:12"},
		{"docker.io/debian", "docker.io/library/debian:latest"},
		{"docker.io/library/debian:latest", "docker.io/library/debian:latest"},
		{"index.docker.io/a/b", "docker.io/a/b:latest"},
		{"a/b", "docker.io/a/b:latest"},
		{"localhost/a", "localhost/a:latest"},
		{"localhost:5000/a", "localhost:5000/a:latest"},
		{"example.com/a:1", "example.com/a:1"},
		{"a@" D1, "docker.io/library/a@" D1},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		CHECK(reference_expand(names[i].name, &b) == 0);
		CHECK(strcmp((char *)b.p, names[i].full) == 0);
	}
}

int main(void)
{
	test_hostile();
	test_bounds();
	test_index();
	test_manifest();
	test_config();
	test_config_smallest();
	test_docker();
	test_time();
	test_config_new();
	test_config_add_layer();
	test_config_add_to_untold();
	test_manifest_new();
	test_reference();
	return 0;
}
