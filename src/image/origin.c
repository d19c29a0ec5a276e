/* SPDX-License-Identifier: Apache-2.0 */
#include "origin.h"
#include "format/oci-doc.h"
#include "source/tree-source.h"

#include <fcntl.h>

static const struct {
	const char *prefix;
	bool tagged; /* an image, PATH[:TAG] follows; else PATH alone */
} kinds[] = {
	[ORIGIN_OCI] = {"oci:", true},
	[ORIGIN_OCI_ARCHIVE] = {"oci-archive:", true},
	[ORIGIN_DOCKER_ARCHIVE] = {"docker-archive:", true},
	[ORIGIN_TAR] = {"tar:", false},
	[ORIGIN_ROOTFS] = {"rootfs:", false},
	[ORIGIN_MANIFEST] = {"manifest:", false},
};

/* As skopeo has it: the path ends at the first ':'. */
static int parse(const char *source, struct origin *ret, struct err *e)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		size_t n = strlen(kinds[k].prefix);

		if (strncmp(source, kinds[k].prefix, n) != 0)
			continue;
		if (!source[n])
			return err_set(e, -ERR_INPUT, "'%s' names no file", source);
		*ret = (struct origin){.kind = (enum origin_kind)k, .path = strdup(source + n)};
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
		"manifest:, and a path",
		source);
}

int origin_open(struct store *s, const char *source, const struct import_options *o,
	struct origin *ret, struct err *e)
{
	static const enum transport transports[] = {
		[ORIGIN_OCI] = TRANSPORT_OCI,
		[ORIGIN_OCI_ARCHIVE] = TRANSPORT_OCI_ARCHIVE,
		[ORIGIN_DOCKER_ARCHIVE] = TRANSPORT_DOCKER_ARCHIVE,
	};
	_cleanup_close_ int tmp = -1;
	int r = parse(source, ret, e);

	if (r < 0 || !kinds[ret->kind].tagged)
		return r;
	tmp = openat(s->dirfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp < 0)
		return err_sys(e, -errno, "cannot open %s/tmp", s->path);
	return image_source_open(transports[ret->kind], ret->path, ret->tag, o ? o->platform : NULL,
		tmp, &ret->src, e);
}

int origin_open_layer(const char *source, struct origin *ret, struct err *e)
{
	int r = parse(source, ret, e);

	if (r == 0 && kinds[ret->kind].tagged)
		return err_set(e, -ERR_INPUT,
			"'%s' is an image; a layer is tar:, rootfs: or manifest:", source);
	return r;
}

void origin_close(struct origin *o)
{
	image_source_free(o->src);
	free(o->path);
}

size_t origin_layers(const struct origin *o)
{
	return o->src ? o->src->n_layers : 1;
}

bool origin_is_pipe(const struct origin *o)
{
	return o->kind == ORIGIN_TAR && strcmp(o->path, "-") == 0;
}

static int produce_rootfs(void *ctx, struct sink *out, struct err *e)
{
	return rootfs_to_tar(ctx, out, e);
}

static int produce_manifest(void *ctx, struct sink *out, struct err *e)
{
	return manifest_to_tar(ctx, out, e);
}

static int open_tar(const struct origin *o, struct blob *ret, struct err *e)
{
	int fd = origin_is_pipe(o) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				   : open(o->path, O_RDONLY | O_CLOEXEC);

	*ret = (struct blob){.fd = fd, .size = FEED_SIZE_UNKNOWN};
	return fd < 0 ? err_sys(e, -errno, "%s", o->path) : 0;
}

int origin_layer_open(const struct origin *o, size_t n, const struct import_options *import,
	struct origin_layer *ret, struct err *e)
{
	int r;

	*ret = (struct origin_layer){.ctx = o->path};
	if (o->kind == ORIGIN_ROOTFS || o->kind == ORIGIN_MANIFEST) {
		ret->produce = o->kind == ORIGIN_ROOTFS ? produce_rootfs : produce_manifest;
		return 0;
	}
	r = o->src ? image_source_layer_blob(o->src, n, &ret->blob, e) : open_tar(o, &ret->blob, e);
	if (r < 0)
		return r;
	ret->open = true;
	ret->feed = (struct feed){
		.blob = ret->blob, .options = import, .layer = n, .layers = origin_layers(o)};
	if (o->src && o->src->layers[n].has_digest)
		ret->feed.digest = &o->src->layers[n].digest;
	ret->produce = feed_produce;
	ret->ctx = &ret->feed;
	return 0;
}

void origin_layer_done(struct origin_layer *l)
{
	if (l->open)
		blob_close(&l->blob);
	l->open = false;
}

int origin_check_layer(const struct origin *o, size_t n, const struct layer *tar, struct err *e)
{
	char text[DIGEST_TEXT_MAX];

	if (!o->src || digest_equal(&tar->diff_id, &o->src->layers[n].diff_id))
		return 0;
	return err_set(e, -ERR_DIGEST, "layer %zu: its content does not match its diff_id %s",
		n + 1, digest_text(&o->src->layers[n].diff_id, text));
}

int origin_manifest(const struct origin *o, const uint64_t *sizes, struct buf *ret, struct err *e)
{
	_cleanup_free_ struct oci_descriptor *layers = NULL;
	const struct image_source *src = o->src;
	struct digest config;

	if (src->manifest.n)
		return buf_add(ret, src->manifest.p, src->manifest.n) < 0
			       ? err_sys(e, -ENOMEM, "cannot import")
			       : 0;
	layers = calloc(src->n_layers + 1, sizeof(*layers));
	if (!layers)
		return err_sys(e, -ENOMEM, "cannot import");
	for (size_t i = 0; i < src->n_layers; i++) {
		layers[i].codec = CODEC_PLAIN;
		layers[i].digest = src->layers[i].diff_id;
		layers[i].size = sizes[i];
	}
	digest_of(src->config.p, src->config.n, &config);
	return oci_manifest_new(&config, src->config.n, layers, src->n_layers, ret, e);
}

int origin_single_documents(const struct layer *tar, const struct import_options *o,
	struct buf *ret_config, struct buf *ret_manifest, struct err *e)
{
	struct oci_history history = {.created = OCI_TIME_NONE, .created_by = "plyfs import"};
	struct oci_descriptor layer = {
		.codec = CODEC_PLAIN, .digest = tar->diff_id, .size = tar->size};
	struct platform platform;
	struct digest config;
	int r;

	platform_host(&platform);
	if (o && o->platform)
		platform = *o->platform;
	r = oci_config_new(&platform, OCI_TIME_NONE, &tar->diff_id, 1, &history, 1, ret_config, e);
	if (r < 0)
		return r;
	digest_of(ret_config->p, ret_config->n, &config);
	return oci_manifest_new(&config, ret_config->n, &layer, 1, ret_manifest, e);
}
