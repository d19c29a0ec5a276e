/* SPDX-License-Identifier: Apache-2.0 */
#include "image-source-private.h"

static void private_free(struct image_source_private *p, size_t n_layers)
{
	if (!p)
		return;
	for (size_t i = 0; p->places && i < n_layers; i++)
		free(p->places[i].name);
	free(p->places);
	image_files_done(&p->files);
	free(p);
}

void image_source_free(struct image_source *s)
{
	if (!s)
		return;
	private_free(s->priv, s->n_layers);
	buf_done(&s->manifest);
	buf_done(&s->config);
	free(s->layers);
	free(s);
}

static struct image_source *source_new(void)
{
	_cleanup_(image_source_freep) struct image_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->priv = calloc(1, sizeof(*s->priv));
	if (!s->priv)
		return NULL;
	s->priv->files = (struct image_files)IMAGE_FILES_NONE;
	return TAKE_PTR(s);
}

static int load(enum transport transport, struct image_source *s, const char *tag,
	const struct platform *platform, struct err *e)
{
	if (transport == TRANSPORT_DOCKER_ARCHIVE)
		return docker_archive_load(s, tag, platform, e);
	return oci_layout_load(s, tag, platform, e);
}

int image_source_open(enum transport transport, const char *path, const char *tag,
	const struct platform *platform, int tmp_dirfd, struct image_source **ret, struct err *e)
{
	_cleanup_(image_source_freep) struct image_source *s = source_new();
	int r;

	if (!s)
		return err_sys(e, -ENOMEM, "%s", path);
	if (transport == TRANSPORT_OCI)
		r = image_files_open_dir(path, &s->priv->files, e);
	else
		r = image_files_open_tar(path, tmp_dirfd, &s->priv->files, e);
	if (r < 0)
		return r;
	r = load(transport, s, tag, platform, e);
	if (r < 0)
		return err_prefix(e, r, "%s", path);
	*ret = TAKE_PTR(s);
	return 0;
}

int image_source_set_layers(struct image_source *s, const char *config_name,
	const struct oci_config *config, size_t n, struct err *e)
{
	if (n != config->n_diff_ids)
		return err_set(e, -ERR_INPUT, "%s: %zu diff_ids, but the image has %zu layers",
			config_name, config->n_diff_ids, n);
	s->layers = calloc(n + 1, sizeof(*s->layers));
	s->priv->places = calloc(n + 1, sizeof(*s->priv->places));
	if (!s->layers || !s->priv->places)
		return err_sys(e, -ENOMEM, "%s", config_name);
	for (size_t i = 0; i < n; i++)
		s->layers[i].diff_id = config->diff_ids[i];
	s->n_layers = n;
	return 0;
}

int image_source_check_platform(const char *config_name, const struct oci_config *config,
	const struct platform *platform, struct err *e)
{
	char wanted[PLATFORM_TEXT_MAX], found[PLATFORM_TEXT_MAX];

	if (!platform || platform_rank(platform, &config->platform))
		return 0;
	return err_set(e, -ERR_ABSENT, "%s: the image is for %s, not for %s", config_name,
		platform_text(&config->platform, found), platform_text(platform, wanted));
}

int image_source_layer_blob(struct image_source *s, size_t n, struct blob *ret, struct err *e)
{
	_cleanup_(blob_close) struct blob b = {.fd = -1};
	const struct layer_place *place = &s->priv->places[n];
	int r = image_files_find(&s->priv->files, place->name, &b, e);

	if (r == 0 && place->foreign)
		return err_set(e, -ERR_UNSUPPORTED,
			"layer %zu: '%s' is not there: a foreign layer, which is not fetched", n,
			place->name);
	if (r == 0)
		return err_set(e, -ERR_ABSENT, "layer %zu: '%s' is not there", n, place->name);
	if (r < 0)
		return err_prefix(e, r, "layer %zu", n);
	if (place->size_known && b.size != s->layers[n].size)
		return err_set(e, -ERR_INPUT, "layer %zu: '%s' has %llu bytes instead of %llu", n,
			place->name, (unsigned long long)b.size,
			(unsigned long long)s->layers[n].size);
	*ret = b;
	b.fd = -1;
	return 0;
}
