/* SPDX-License-Identifier: Apache-2.0 */
#include "import.h"
#include "assemble.h"
#include "layer-tar.h"
#include "name.h"
#include "origin.h"
#include "quarantine.h"
#include "repair.h"
#include "format/oci-doc.h"
#include "util/io.h"

static unsigned int chunk_bits(const struct import_options *o)
{
	return o && o->chunk_bits ? o->chunk_bits : CHUNK_BITS_DEFAULT;
}

/* Reads the one layer that tar:, rootfs: and manifest: are. */
static int read_once(struct assembly *a, const struct origin *from, unsigned int bits,
	const struct import_options *o, struct layer *ret, struct err *e)
{
	_cleanup_(origin_layer_done) struct origin_layer in = {0};
	int r = origin_layer_open(from, 0, o, &in, e);

	if (r == 0)
		r = layer_read(assembly_ingest(a), in.produce, in.ctx, bits, ret, e);
	if (r == 0 && !ret->size)
		r = err_set(e, -ERR_INPUT, "an empty file is no tar");
	/* the others name what they read themselves */
	return r < 0 && from->kind == ORIGIN_TAR ? err_prefix(e, r, "%s", from->path) : r;
}

/* Once more, if it turns out to be a damaged layer that was cut at another size. */
static int read_single_layer(struct assembly *a, struct store *s, const struct origin *from,
	const struct import_options *o, struct layer *ret, struct err *e)
{
	unsigned int bits = chunk_bits(o), own;
	int r = read_once(a, from, bits, o, ret, e);

	if (r < 0)
		return r;
	r = layer_cut(s, &ret->diff_id, &own, e);
	if (r == 0 && own != bits && !origin_is_pipe(from)) {
		layer_done(ret);
		r = read_once(a, from, own, o, ret, e);
	}
	return r < 0 ? r : assembly_add_layer(a, ret, e);
}

static int import_single(struct store *s, const struct origin *from, const char *name,
	const struct import_options *o, struct digest *ret, struct err *e)
{
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	_cleanup_buf_ struct buf config = {0}, manifest = {0};
	_cleanup_layer_ struct layer layer = LAYER_NONE;
	int r = assembly_begin(s, &a, e);

	if (r == 0)
		r = read_single_layer(a, s, from, o, &layer, e);
	if (r == 0)
		r = origin_single_documents(&layer, o, &config, &manifest, e);
	return r < 0 ? r : assembly_commit(a, &config, &manifest, name, ret, e);
}

/* A layer out of an image as others hand it over, with all its digests checked. */
static int read_image_layer(struct assembly *a, struct store *s, const struct origin *from,
	size_t n, const struct import_options *o, uint64_t *ret_size, struct err *e)
{
	const struct image_source_layer *l = &from->src->layers[n];
	_cleanup_(origin_layer_done) struct origin_layer in = {0};
	_cleanup_layer_ struct layer layer = LAYER_NONE;
	unsigned int bits = chunk_bits(o);
	int r = origin_layer_open(from, n, o, &in, e);

	if (r == 0)
		r = layer_cut(s, &l->diff_id, &bits, e);
	if (r < 0)
		return r;
	r = layer_read(assembly_ingest(a), in.produce, in.ctx, bits, &layer, e);
	if (r < 0)
		return err_prefix(e, r, "layer %zu", n + 1);
	*ret_size = layer.size;
	r = origin_check_layer(from, n, &layer, e);
	return r < 0 ? r : assembly_add_layer(a, &layer, e);
}

/* The size of the tar of a layer that was there before, in the store or in this image. */
static int known_size(
	struct store *s, const struct image_source *src, size_t n, uint64_t *sizes, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (digest_equal(&src->layers[i].diff_id, &src->layers[n].diff_id)) {
			sizes[n] = sizes[i];
			return 0;
		}
	return layer_tar_size(s, &src->layers[n].diff_id, &sizes[n], e);
}

/* `sizes` of the layers' tars is filled for what has no manifest. */
static int add_layers(struct store *s, struct assembly *a, const struct origin *from,
	const struct import_options *o, uint64_t *sizes, struct err *e)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < from->src->n_layers; n++) {
		r = assembly_add_stored(a, &from->src->layers[n].diff_id, e);
		if (r == 1)
			r = read_image_layer(a, s, from, n, o, &sizes[n], e);
		else if (r == 0 && !from->src->manifest.n)
			r = known_size(s, from->src, n, sizes, e);
	}
	return r;
}

static int import_image(struct store *s, const struct origin *from, const char *name,
	const struct import_options *o, struct digest *ret, struct err *e)
{
	_cleanup_free_ uint64_t *sizes = calloc(from->src->n_layers + 1, sizeof(*sizes));
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	_cleanup_buf_ struct buf manifest = {0};
	int r = sizes ? assembly_begin(s, &a, e) : err_sys(e, -ENOMEM, "cannot import");

	if (r == 0)
		r = assembly_lock_layers(a, from->src, e);
	if (r == 0)
		r = add_layers(s, a, from, o, sizes, e);
	if (r == 0)
		r = origin_manifest(from, sizes, &manifest, e);
	return r < 0 ? r : assembly_commit(a, &from->src->config, &manifest, name, ret, e);
}

int image_import(struct store *s, const char *source, const char *name,
	const struct import_options *o, struct digest *ret_manifest, struct err *e)
{
	_cleanup_(origin_close) struct origin from = {0};
	char kept[IMAGE_NAME_MAX];
	int r = image_name_parse(name, kept, e);

	if (r == 0)
		r = origin_open(s, source, o, &from, e);
	if (r < 0)
		return r;
	return from.src ? import_image(s, &from, kept, o, ret_manifest, e)
			: import_single(s, &from, kept, o, ret_manifest, e);
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
static int extended_layers(const struct buf *manifest, const struct layer *layer,
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
		.codec = CODEC_PLAIN, .digest = layer->diff_id, .size = layer->size};
	*ret_layers = v;
	return 0;
}

static int commit_extended(struct store *s, struct assembly *a, const struct image_record *base,
	const struct layer *layer, const char *name, struct digest *ret, struct err *e)
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
			"config", old.p, old.n, &layer->diff_id, &history, &config, e);
	if (r == 0)
		r = extended_layers(&manifest, layer, &doc, &layers, e);
	return r < 0 ? r : assembly_commit_new(a, &config, layers, doc.n_layers + 1, name, ret, e);
}

int image_add_layer(struct store *s, const char *base, const char *source, const char *name,
	const struct import_options *o, struct digest *ret_manifest, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_(assembly_freep) struct assembly *a = NULL;
	_cleanup_(origin_close) struct origin from = {0};
	char kept[IMAGE_NAME_MAX];
	_cleanup_layer_ struct layer layer = LAYER_NONE;
	int r = image_name_parse(name, kept, e);

	if (r == 0)
		r = origin_open_layer(source, &from, e);
	if (r == 0) /* before the look-up: gc must not come between */
		r = assembly_begin(s, &a, e);
	if (r == 0)
		r = image_find(s, base, &rec, e);
	if (r == 0)
		r = image_check_quarantine(s, &rec, base, e);
	for (size_t n = 0; r == 0 && n < rec.n_diff_ids; n++) {
		r = assembly_add_stored(a, &rec.diff_ids[n], e);
		if (r == 1)
			r = err_set(e, -ERR_STORE, "the store is damaged: a layer of %s is missing",
				base);
	}
	if (r == 0)
		r = read_single_layer(a, s, &from, o, &layer, e);
	return r < 0 ? r : commit_extended(s, a, &rec, &layer, kept, ret_manifest, e);
}
