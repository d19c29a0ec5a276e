/* SPDX-License-Identifier: Apache-2.0 */
#include "export.h"
#include "dest.h"
#include "layer-tar.h"
#include "meter.h"
#include "name.h"
#include "native.h"
#include "format/encode.h"
#include "format/oci-doc.h"
#include "format/reference.h"
#include "source/image-source.h"
#include "util/clock.h"
#include "util/io.h"

#define TELL_MS 200

struct export
{
	struct store *s;
	const struct image_record *image;
	enum export_form form;
	const char *path;
	const struct export_options *o;
	struct buf tag; /* as it is written; empty: none */
	struct buf config,
		manifest; /* as they are stored; but with the diff_ids of native layers */
	struct digest config_digest;
	bool native; /* it has such layers */
	struct dest *dest;
	struct dest_blob *layers;
	uint64_t told_ms; /* when the caller was told of the progress */
};

static void export_done(struct export *x)
{
	dest_free(x->dest);
	buf_done(&x->tag);
	buf_done(&x->config);
	buf_done(&x->manifest);
	free(x->layers);
}

static bool is_stdout(const struct export *x)
{
	return x->form != EXPORT_OCI && strcmp(x->path, "-") == 0;
}

/* --- layers ------------------------------------------------------------------------------- */

struct telling {
	struct export *x;
	size_t layer;
	uint64_t total;
};

static void tell(void *ctx, uint64_t n)
{
	struct telling *t = ctx;
	const struct export_options *o = t->x->o;
	const uint64_t ms = clock_ms();

	if (!o->progress)
		return;
	if (ms - t->x->told_ms < TELL_MS)
		return;
	t->x->told_ms = ms;
	o->progress(o->progress_ctx, t->layer, t->x->image->n_diff_ids, n, t->total);
}

/* Writes layer `n`, of `size` bytes, compressed into `out`. */
static int encode_layer(struct export *x, size_t n, uint64_t size, struct meter *out, struct err *e)
{
	_cleanup_(encoder_freep) struct encoder *encoder = NULL;
	struct telling telling = {.x = x, .layer = n, .total = size};
	struct meter in;
	int r = encoder_new(x->o->codec, &out->sink, &encoder);

	if (r < 0)
		return err_sys(e, r, "cannot compress");
	in = meter_of(encoder_sink(encoder));
	in.tell = tell;
	in.ctx = &telling;
	r = layer_tar_write(x->s, &x->image->diff_ids[n], &in.sink, e);
	if (r == 0 && in.n != size)
		r = err_set(
			e, -ERR_STORE, "the store is damaged: layer %zu has another size", n + 1);
	if (r == 0)
		r = encoder_end(encoder);
	if (r < 0)
		err_sys(e, r, "cannot write the layer");
	return out->code < 0 ? err_prefix(e, r, "%s", is_stdout(x) ? "standard output" : x->path)
			     : r;
}

static int write_blob(struct export *x, size_t n, uint64_t size, struct err *e)
{
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = NULL;
	struct dest_blob *blob = &x->layers[n];
	struct sink *out = NULL;
	struct meter meter;
	int r = x->dest->ops->begin(x->dest, blob, &out, e);

	if (r < 0)
		return r;
	if (!blob->known)
		digest = digest_ctx_new();
	if (!blob->known && !digest)
		return err_sys(e, -ENOMEM, "cannot export");
	meter = meter_of(out);
	meter.digest = digest;
	r = encode_layer(x, n, size, &meter, e);
	if (r < 0)
		return r;
	if (digest) {
		digest_ctx_final(digest, &blob->digest);
		blob->size = meter.n;
	}
	return x->dest->ops->end(x->dest, blob, e);
}

/* The digest and the size of its tar. */
static int layer_identity(
	struct export *x, size_t n, struct digest *ret, uint64_t *ret_size, struct err *e)
{
	const struct digest *name = &x->image->diff_ids[n];
	int r = layer_is_native(x->s, name, e);

	if (r == 1) {
		x->native = true;
		return native_diff_id(x->s, name, ret, ret_size, e);
	}
	*ret = *name;
	return r < 0 ? r : layer_tar_size(x->s, name, ret_size, e);
}

static int export_layer(struct export *x, size_t n, struct err *e)
{
	const struct digest *diff_id = &x->image->diff_ids[n];
	struct dest_blob *blob = &x->layers[n];
	struct digest real;
	uint64_t size;
	int r;

	for (size_t i = 0; i < n; i++)
		if (digest_equal(&x->image->diff_ids[i], diff_id)) {
			*blob = x->layers[i];
			return 0;
		}
	r = layer_identity(x, n, &real, &size, e);
	if (r < 0)
		return r;
	*blob = (struct dest_blob){.diff_id = real, .tar_size = size, .codec = x->o->codec};
	if (blob->codec == CODEC_PLAIN) {
		blob->known = true;
		blob->digest = real;
		blob->size = size;
		r = x->dest->ops->has(x->dest, blob, e);
	}
	return r ? (r < 0 ? r : 0) : write_blob(x, n, size, e);
}

/* --- documents ---------------------------------------------------------------------------- */

static int read_document(const struct export *x, enum store_file kind, const struct digest *digest,
	struct buf *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	struct digest found;
	int r = store_file_open(x->s, kind, &x->image->manifest, &fd, e);

	if (r < 0)
		return r;
	r = io_slurp(fd, IMAGE_DOC_MAX, ret);
	if (r < 0)
		return err_sys(e, r, "cannot read an image's documents");
	digest_of(ret->p, ret->n, &found);
	if (!digest_equal(&found, digest))
		return err_set(e, -ERR_STORE,
			"the store is damaged: a document of the image does not match its digest");
	return 0;
}

/* A docker-archive has no manifest. Its digest is that of the one which an import gives it. */
static int docker_manifest(
	const struct export *x, struct oci_descriptor *v, struct buf *ret, struct err *e)
{
	const size_t n = x->image->n_diff_ids;

	for (size_t i = 0; i < n; i++)
		v[i] = (struct oci_descriptor){.codec = CODEC_PLAIN,
			.digest = x->layers[i].diff_id,
			.size = x->layers[i].tar_size};
	return oci_manifest_new(&x->config_digest, x->config.n, v, n, ret, e);
}

static int oci_manifest(
	const struct export *x, struct oci_descriptor *v, struct buf *ret, struct err *e)
{
	const size_t n = x->image->n_diff_ids;

	for (size_t i = 0; i < n; i++)
		v[i] = (struct oci_descriptor){.codec = x->layers[i].codec,
			.digest = x->layers[i].digest,
			.size = x->layers[i].size};
	return oci_manifest_set_layers(
		"the image's manifest", x->manifest.p, x->manifest.n, v, n, ret, e);
}

/* Native layers have a diff_id now, so the config has another digest than in the store. */
static int name_native_layers(struct export *x, struct err *e)
{
	const size_t n = x->image->n_diff_ids;
	_cleanup_free_ struct digest *ids = calloc(n + 1, sizeof(*ids));
	_cleanup_buf_ struct buf config = {0}, manifest = {0};
	int r;

	if (!ids)
		return err_sys(e, -ENOMEM, "cannot export");
	for (size_t i = 0; i < n; i++)
		ids[i] = x->layers[i].diff_id;
	r = oci_config_set_diff_ids(
		"the image's config", x->config.p, x->config.n, ids, n, &config, e);
	if (r < 0)
		return r;
	digest_of(config.p, config.n, &x->config_digest);
	r = oci_manifest_set_config("the image's manifest", x->manifest.p, x->manifest.n,
		&x->config_digest, config.n, &manifest, e);
	if (r < 0)
		return r;
	buf_done(&x->config);
	buf_done(&x->manifest);
	x->config = config;
	x->manifest = manifest;
	config = manifest = (struct buf){0};
	return 0;
}

static int finish(const struct export *x, struct digest *ret_manifest, struct err *e)
{
	const size_t n = x->image->n_diff_ids;
	_cleanup_free_ struct oci_descriptor *v = calloc(n + 1, sizeof(*v));
	_cleanup_buf_ struct buf manifest = {0};
	struct dest_image image = {.config = &x->config,
		.config_digest = x->config_digest,
		.manifest = &manifest,
		.layers = x->layers,
		.n_layers = n};
	int r = v ? 0 : err_sys(e, -ENOMEM, "cannot export");

	if (r == 0)
		r = x->form == EXPORT_DOCKER_ARCHIVE ? docker_manifest(x, v, &manifest, e)
						     : oci_manifest(x, v, &manifest, e);
	if (r < 0)
		return r;
	digest_of(manifest.p, manifest.n, &image.manifest_digest);
	r = x->dest->ops->finish(x->dest, &image, e);
	if (r == 0)
		*ret_manifest = image.manifest_digest;
	return r;
}

/* --- the whole ---------------------------------------------------------------------------- */

static int check_codec(const struct export *x, struct err *e)
{
	if (is_stdout(x) && x->o->codec != CODEC_PLAIN)
		return err_set(e, -ERR_UNSUPPORTED,
			"standard output takes no compressed layers (choose none): their sizes "
			"stand in front of them");
	return 0;
}

/* In a docker-archive a tag is an image's whole name, written in full as skopeo does it. */
static int set_tag(struct export *x, const char *tag, struct err *e)
{
	char name[IMAGE_NAME_MAX];
	int r;

	if (!tag)
		return 0;
	if (x->form == EXPORT_DOCKER_ARCHIVE) {
		r = image_name_parse(tag, name, e);
		if (r < 0)
			return r;
		r = reference_expand(name, &x->tag);
	} else if (oci_ref_name_valid(tag)) {
		r = buf_addf(&x->tag, "%s", tag);
	} else {
		return err_set(e, -ERR_INPUT,
			"'%s' is no tag: letters and digits, joined by - . _ : @ + or /", tag);
	}
	return r < 0 ? err_sys(e, r, "cannot export") : 0;
}

static int open_dest(struct export *x, struct err *e)
{
	const char *tag = (const char *)x->tag.p;

	if (x->form == EXPORT_OCI)
		return dest_layout_open(x->path, tag, &x->dest, e);
	return dest_archive_open(x->form == EXPORT_DOCKER_ARCHIVE, x->path, tag, &x->dest, e);
}

int image_export(struct store *s, const struct image_record *image, enum export_form form,
	const char *path, const char *tag, const struct export_options *o,
	struct digest *ret_manifest, struct err *e)
{
	_cleanup_(export_done) struct export x = {.s = s,
		.image = image,
		.form = form,
		.path = path,
		.o = o,
		.config_digest = image->config};
	int r = check_codec(&x, e);

	if (r == 0)
		r = set_tag(&x, tag, e);
	if (r == 0)
		r = read_document(&x, STORE_CONFIG, &image->config, &x.config, e);
	if (r == 0)
		r = read_document(&x, STORE_MANIFEST, &image->manifest, &x.manifest, e);
	if (r < 0)
		return r;
	x.layers = calloc(image->n_diff_ids + 1, sizeof(*x.layers));
	if (!x.layers)
		return err_sys(e, -ENOMEM, "cannot export");
	r = open_dest(&x, e);
	for (size_t n = 0; r == 0 && n < image->n_diff_ids; n++)
		r = export_layer(&x, n, e);
	if (r == 0 && x.native)
		r = name_native_layers(&x, e);
	return r < 0 ? r : finish(&x, ret_manifest, e);
}
