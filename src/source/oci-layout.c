/* SPDX-License-Identifier: Apache-2.0 */
/* OCI layouts: one manifest, its config, and where its layers are. */
#include "image-source-private.h"
#include "oci-choose.h"

#define BLOB_NAME_MAX (sizeof("blobs/sha256/") + DIGEST_HEX_SIZE)

static char *blob_name(const struct digest *d, char name[BLOB_NAME_MAX])
{
	char hex[DIGEST_HEX_SIZE + 1];

	snprintf(name, BLOB_NAME_MAX, "blobs/sha256/%s", digest_hex(d, hex));
	return name;
}

int oci_read_blob(const struct image_files *files, const struct oci_descriptor *d, struct buf *ret,
	struct err *e)
{
	char name[BLOB_NAME_MAX];
	struct digest found;
	int r = image_files_read(files, blob_name(&d->digest, name), ret, e);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, -ERR_ABSENT, "'%s' is not there", name);
	if (ret->n != d->size)
		return err_set(e, -ERR_INPUT, "'%s' has %zu bytes instead of %llu", name, ret->n,
			(unsigned long long)d->size);
	digest_of(ret->p, ret->n, &found);
	if (!digest_equal(&found, &d->digest))
		return err_sys(e, -ERR_DIGEST, "'%s'", name);
	return 0;
}

static int set_layers(struct image_source *s, const char *config_name,
	const struct oci_config *config, const struct oci_manifest *manifest, struct err *e)
{
	int r = image_source_set_layers(s, config_name, config, manifest->n_layers, e);

	for (size_t i = 0; r == 0 && i < s->n_layers; i++) {
		const struct oci_descriptor *d = &manifest->layers[i];
		char name[BLOB_NAME_MAX];

		s->layers[i].has_digest = true;
		s->layers[i].digest = d->digest;
		s->layers[i].size = d->size;
		s->priv->places[i].size_known = true;
		s->priv->places[i].foreign = d->media == OCI_MEDIA_FOREIGN_LAYER;
		s->priv->places[i].name = strdup(blob_name(&d->digest, name));
		if (!s->priv->places[i].name)
			r = err_sys(e, -ENOMEM, "%s", config_name);
	}
	return r;
}

static int load_config(struct image_source *s, const struct oci_manifest *manifest,
	const struct platform *platform, struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config config = {0};
	char name[DIGEST_TEXT_MAX + 16], text[DIGEST_TEXT_MAX];
	int r = oci_read_blob(&s->priv->files, &manifest->config, &s->config, e);

	if (r < 0)
		return r;
	s->config_digest = manifest->config.digest;
	snprintf(name, sizeof(name), "config %s", digest_text(&s->config_digest, text));
	r = oci_config_parse(name, s->config.p, s->config.n, &config, e);
	if (r == 0)
		r = image_source_check_platform(name, &config, platform, e);
	return r < 0 ? r : set_layers(s, name, &config, manifest, e);
}

static int load_manifest(struct image_source *s, const struct oci_descriptor *d,
	const struct platform *platform, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest manifest = {0};
	char name[DIGEST_TEXT_MAX + 16], text[DIGEST_TEXT_MAX];
	int r = oci_read_blob(&s->priv->files, d, &s->manifest, e);

	if (r < 0)
		return r;
	s->manifest_digest = d->digest;
	snprintf(name, sizeof(name), "manifest %s", digest_text(&d->digest, text));
	r = oci_manifest_parse(name, s->manifest.p, s->manifest.n, &manifest, e);
	return r < 0 ? r : load_config(s, &manifest, platform, e);
}

int oci_layout_load(
	struct image_source *s, const char *tag, const struct platform *platform, struct err *e)
{
	struct oci_descriptor manifest = {0};
	struct platform host;
	int r;

	platform_host(&host);
	r = oci_choose_manifest(&s->priv->files, tag, platform ? platform : &host, &manifest, e);
	return r < 0 ? r : load_manifest(s, &manifest, platform, e);
}
