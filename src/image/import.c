/* SPDX-License-Identifier: Apache-2.0 */
#include "import.h"
#include "assemble.h"
#include "feed.h"
#include "layer.h"
#include "name.h"
#include "format/oci-doc.h"
#include "source/tree-source.h"
#include "util/io.h"
#include "util/log.h"

#include <fcntl.h>

enum kind { KIND_OCI, KIND_OCI_ARCHIVE, KIND_DOCKER_ARCHIVE, KIND_TAR, KIND_ROOTFS, KIND_MANIFEST };

static const struct {
	const char *prefix;
	bool tagged; /* PATH[:TAG] follows, not PATH alone */
} kinds[] = {
	[KIND_OCI] = {"oci:", true},
	[KIND_OCI_ARCHIVE] = {"oci-archive:", true},
	[KIND_DOCKER_ARCHIVE] = {"docker-archive:", true},
	[KIND_TAR] = {"tar:", false},
	[KIND_ROOTFS] = {"rootfs:", false},
	[KIND_MANIFEST] = {"manifest:", false},
};

struct spec {
	enum kind kind;
	char *path;
	char *tag; /* in the same memory; NULL: none */
};

static void spec_done(struct spec *s)
{
	free(s->path);
}
#define _cleanup_spec_ _cleanup_(spec_done)

/* As skopeo has it: the path ends at the first ':'. */
static int spec_parse(const char *source, struct spec *ret, struct err *e)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		size_t n = strlen(kinds[k].prefix);

		if (strncmp(source, kinds[k].prefix, n) != 0)
			continue;
		if (!source[n])
			return err_set(e, -ERR_INPUT, "'%s' names no file", source);
		*ret = (struct spec){.kind = (enum kind)k, .path = strdup(source + n)};
		if (!ret->path)
			return err_sys(e, -ENOMEM, "cannot import");
		if (kinds[k].tagged)
			ret->tag = strchr(ret->path, ':');
		if (ret->tag)
			*ret->tag++ = 0;
		return 0;
	}
	return err_set(e, -ERR_INPUT,
		"'%s' is no source: oci:, oci-archive:, docker-archive:, tar:, rootfs: or "
		"manifest:, "
		"and a path",
		source);
}

static unsigned int chunk_bits(const struct import_options *o)
{
	return o && o->chunk_bits ? o->chunk_bits : CHUNK_BITS_DEFAULT;
}

static int produce_rootfs(void *ctx, struct sink *out, struct err *e)
{
	return rootfs_to_tar(ctx, out, e);
}

static int produce_manifest(void *ctx, struct sink *out, struct err *e)
{
	return manifest_to_tar(ctx, out, e);
}

/* Reads the one layer that tar:, rootfs: and manifest: are. */
static int read_single_layer(struct assembly *a, const struct spec *spec,
	const struct import_options *o, struct layer_tar *ret, struct err *e)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	_cleanup_close_ int fd = -1;
	struct feed feed = {.options = o, .layers = 1};
	layer_producer produce = spec->kind == KIND_ROOTFS ? produce_rootfs : produce_manifest;
	void *ctx = spec->path;
	int r;

	if (spec->kind == KIND_TAR) {
		fd = strcmp(spec->path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
						  : open(spec->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, -errno, "%s", spec->path);
		feed.blob = (struct blob){.fd = fd, .size = FEED_SIZE_UNKNOWN};
		produce = feed_produce;
		ctx = &feed;
	}
	r = layer_read(assembly_ingest(a), produce, ctx, chunk_bits(o), ret, &tree, e);
	if (r == 0 && !ret->size)
		r = err_set(e, -ERR_INPUT, "an empty file is no tar");
	if (r < 0) /* the others name what they read themselves */
		return spec->kind == KIND_TAR ? err_prefix(e, r, "%s", spec->path) : r;
	return assembly_add_tree(a, &ret->diff_id, tree, e);
}

static int import_single(struct store *s, const struct spec *spec, const char *name,
	const struct import_options *o, struct digest *ret, struct err *e)
{
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	_cleanup_buf_ struct buf config = {0};
	struct oci_history history = {.created = OCI_TIME_NONE, .created_by = "plyfs import"};
	struct oci_descriptor layer = {.codec = CODEC_PLAIN};
	struct platform platform;
	struct layer_tar tar;
	int r = assembly_begin(s, &a, e);

	if (r == 0)
		r = read_single_layer(a, spec, o, &tar, e);
	if (r < 0)
		return r;
	platform_host(&platform);
	if (o && o->platform)
		platform = *o->platform;
	r = oci_config_new(&platform, OCI_TIME_NONE, &tar.diff_id, 1, &history, 1, &config, e);
	if (r < 0)
		return r;
	layer.digest = tar.diff_id;
	layer.size = tar.size;
	return assembly_commit_new(a, &config, &layer, 1, name, ret, e);
}

/* A layer out of an image as others hand it over, with all its digests checked. */
static int read_image_layer(struct assembly *a, struct image_source *src, size_t n,
	const struct import_options *o, struct err *e)
{
	const struct image_source_layer *l = &src->layers[n];
	_cleanup_(tree_freep) struct tree *tree = NULL;
	_cleanup_(blob_close) struct blob blob = {.fd = -1};
	struct feed feed = {.options = o, .layer = n, .layers = src->n_layers};
	char text[DIGEST_TEXT_MAX];
	struct layer_tar tar;
	int r = image_source_layer_blob(src, n, &blob, e);

	if (r < 0)
		return r;
	feed.blob = blob;
	feed.digest = l->has_digest ? &l->digest : NULL;
	r = layer_read(assembly_ingest(a), feed_produce, &feed, chunk_bits(o), &tar, &tree, e);
	if (r < 0)
		return err_prefix(e, r, "layer %zu", n + 1);
	if (!digest_equal(&tar.diff_id, &l->diff_id))
		return err_set(e, -ERR_DIGEST,
			"layer %zu: its content does not match its diff_id %s", n + 1,
			digest_text(&l->diff_id, text));
	return assembly_add_tree(a, &tar.diff_id, tree, e);
}

/* docker-archive has no manifest: the canonical one, of uncompressed layers. */
static int commit_docker(struct assembly *a, struct image_source *src, const char *name,
	struct digest *ret, struct err *e)
{
	_cleanup_free_ struct oci_descriptor *layers = calloc(src->n_layers + 1, sizeof(*layers));

	if (!layers)
		return err_sys(e, -ENOMEM, "cannot import");
	for (size_t i = 0; i < src->n_layers; i++) {
		layers[i].codec = CODEC_PLAIN;
		layers[i].digest = src->layers[i].diff_id;
		layers[i].size = src->layers[i].size;
	}
	return assembly_commit_new(a, &src->config, layers, src->n_layers, name, ret, e);
}

static int import_image(struct store *s, const struct spec *spec, const char *name,
	const struct import_options *o, struct digest *ret, struct err *e)
{
	static const enum transport transports[] = {
		[KIND_OCI] = TRANSPORT_OCI,
		[KIND_OCI_ARCHIVE] = TRANSPORT_OCI_ARCHIVE,
		[KIND_DOCKER_ARCHIVE] = TRANSPORT_DOCKER_ARCHIVE,
	};
	_cleanup_(image_source_freep) struct image_source *src = NULL;
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	_cleanup_close_ int tmp = openat(s->dirfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (tmp < 0)
		return err_sys(e, -errno, "cannot open %s/tmp", s->path);
	r = image_source_open(transports[spec->kind], spec->path, spec->tag, o ? o->platform : NULL,
		tmp, &src, e);
	if (r == 0)
		r = assembly_begin(s, &a, e);
	if (r == 0)
		r = assembly_lock_layers(a, src, e);
	for (size_t n = 0; r == 0 && n < src->n_layers; n++) {
		r = assembly_add_stored(a, &src->layers[n].diff_id, e);
		if (r == 1)
			r = read_image_layer(a, src, n, o, e);
	}
	if (r < 0)
		return r;
	if (src->manifest.n)
		return assembly_commit(a, &src->config, &src->manifest, name, ret, e);
	return commit_docker(a, src, name, ret, e);
}

int image_import(struct store *s, const char *source, const char *name,
	const struct import_options *o, struct digest *ret_manifest, struct err *e)
{
	_cleanup_spec_ struct spec spec = {0};
	char kept[IMAGE_NAME_MAX];
	int r = image_name_parse(name, kept, e);

	if (r == 0)
		r = spec_parse(source, &spec, e);
	if (r < 0)
		return r;
	if (kinds[spec.kind].tagged)
		return import_image(s, &spec, kept, o, ret_manifest, e);
	return import_single(s, &spec, kept, o, ret_manifest, e);
}

static int read_document(struct store *s, enum store_file kind, const struct digest *d,
	struct buf *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(s, kind, d, &fd, e);

	if (r < 0)
		return r;
	r = io_slurp(fd, IMAGE_DOC_MAX, ret);
	return r < 0 ? err_sys(e, r, "cannot read an image's documents") : 0;
}

/* The base's manifest, and one layer more: its layers stay described as they were. */
static int extended_layers(const struct buf *manifest, const struct layer_tar *tar,
	struct oci_manifest *ret, struct oci_descriptor **ret_layers, struct err *e)
{
	struct oci_descriptor *v;
	int r = oci_manifest_parse("manifest", manifest->p, manifest->n, ret, e);

	if (r < 0)
		return r;
	v = calloc(ret->n_layers + 1, sizeof(*v));
	if (!v)
		return err_sys(e, -ENOMEM, "cannot add a layer");
	memcpy(v, ret->layers, ret->n_layers * sizeof(*v));
	v[ret->n_layers] = (struct oci_descriptor){
		.codec = CODEC_PLAIN, .digest = tar->diff_id, .size = tar->size};
	*ret_layers = v;
	return 0;
}

static int commit_extended(struct store *s, struct assembly *a, const struct image_record *base,
	const struct layer_tar *tar, const char *name, struct digest *ret, struct err *e)
{
	_cleanup_buf_ struct buf old = {0}, config = {0}, manifest = {0};
	_cleanup_(oci_manifest_done) struct oci_manifest doc = {0};
	_cleanup_free_ struct oci_descriptor *layers = NULL;
	struct oci_history history = {.created = OCI_TIME_NONE, .created_by = "plyfs layer add"};
	int r = read_document(s, STORE_CONFIG, &base->manifest, &old, e);

	if (r == 0)
		r = read_document(s, STORE_MANIFEST, &base->manifest, &manifest, e);
	if (r == 0)
		r = oci_config_add_layer(
			"config", old.p, old.n, &tar->diff_id, &history, &config, e);
	if (r == 0)
		r = extended_layers(&manifest, tar, &doc, &layers, e);
	return r < 0 ? r : assembly_commit_new(a, &config, layers, doc.n_layers + 1, name, ret, e);
}

int image_add_layer(struct store *s, const char *base, const char *source, const char *name,
	const struct import_options *o, struct digest *ret_manifest, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	_cleanup_spec_ struct spec spec = {0};
	char kept[IMAGE_NAME_MAX];
	struct layer_tar tar;
	int r = image_name_parse(name, kept, e);

	if (r == 0)
		r = spec_parse(source, &spec, e);
	if (r == 0 && kinds[spec.kind].tagged)
		return err_set(e, -ERR_INPUT,
			"'%s' is an image; a layer is tar:, rootfs: or manifest:", source);
	if (r == 0) /* before the look-up: gc must not come between */
		r = assembly_begin(s, &a, e);
	if (r == 0)
		r = image_find(s, base, &rec, e);
	for (size_t n = 0; r == 0 && n < rec.n_diff_ids; n++) {
		r = assembly_add_stored(a, &rec.diff_ids[n], e);
		if (r == 1)
			r = err_set(e, -ERR_STORE, "the store is damaged: a layer of %s is missing",
				base);
	}
	if (r == 0)
		r = read_single_layer(a, &spec, o, &tar, e);
	return r < 0 ? r : commit_extended(s, a, &rec, &tar, kept, ret_manifest, e);
}
