/* SPDX-License-Identifier: Apache-2.0 */
/* The archives of `docker save` and `podman save`: manifest.json names the files of each image. */
#include "format/reference.h"
#include "image-source-private.h"

#define BLOBS "blobs/sha256/"

/* 1 = `tag` is one of the image's names. */
static int has_tag(const struct docker_image *image, const char *full_tag)
{
	for (size_t i = 0; i < image->n_tags; i++) {
		_cleanup_buf_ struct buf full = {0};
		int r = reference_expand(image->tags[i], &full);

		if (r < 0)
			return r;
		if (strcmp((char *)full.p, full_tag) == 0)
			return 1;
	}
	return 0;
}

static int list_tags(const struct docker_archive_doc *doc, struct buf *ret)
{
	for (size_t i = 0; i < doc->n_images; i++) {
		const struct docker_image *image = &doc->images[i];
		int r = image->n_tags ? 0 : buf_addf(ret, "%s@%zu", ret->n ? ", " : "", i);

		for (size_t j = 0; r == 0 && j < image->n_tags; j++)
			r = buf_addf(ret, "%s%s", ret->n ? ", " : "", image->tags[j]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int no_tag(const struct docker_archive_doc *doc, const char *tag, struct err *e)
{
	_cleanup_buf_ struct buf list = {0};

	if (list_tags(doc, &list) < 0)
		return -ENOMEM;
	if (!list.n)
		return err_set(e, -ERR_ABSENT, "manifest.json names no image");
	if (tag)
		return err_set(e, -ERR_ABSENT, "no image is tagged '%s'; there are: %s", tag,
			(char *)list.p);
	return err_set(
		e, -ERR_ABSENT, "there are several images; choose one of: %s", (char *)list.p);
}

/* "@N": counted from 0, as skopeo does. */
static int choose_number(const struct docker_archive_doc *doc, const char *tag,
	const struct docker_image **ret, struct err *e)
{
	char *end;
	unsigned long n;

	if (tag[1] < '0' || tag[1] > '9')
		return err_set(e, -ERR_INPUT, "'%s' is not @ and a number", tag);
	n = strtoul(tag + 1, &end, 10);
	if (*end)
		return err_set(e, -ERR_INPUT, "'%s' is not @ and a number", tag);
	if (n >= doc->n_images)
		return err_set(e, -ERR_ABSENT, "there is no image %s; the archive has %zu", tag,
			doc->n_images);
	*ret = &doc->images[n];
	return 0;
}

static int choose_tag(const struct docker_archive_doc *doc, const char *tag,
	const struct docker_image **ret, struct err *e)
{
	const struct docker_image *found = NULL;
	_cleanup_buf_ struct buf full = {0};
	int r = reference_expand(tag, &full);

	for (size_t i = 0; r >= 0 && i < doc->n_images; i++) {
		r = has_tag(&doc->images[i], (char *)full.p);
		if (r > 0 && found && strcmp(found->config, doc->images[i].config) != 0)
			return err_set(e, -ERR_INPUT,
				"manifest.json gives the tag '%s' to different images", tag);
		if (r > 0)
			found = &doc->images[i];
	}
	if (r < 0)
		return r;
	if (!found)
		return no_tag(doc, tag, e);
	*ret = found;
	return 0;
}

static int choose(const struct docker_archive_doc *doc, const char *tag,
	const struct docker_image **ret, struct err *e)
{
	if (tag && tag[0] == '@')
		return choose_number(doc, tag, ret, e);
	if (tag)
		return choose_tag(doc, tag, ret, e);
	if (doc->n_images != 1)
		return no_tag(doc, NULL, e);
	*ret = &doc->images[0];
	return 0;
}

/*
 * Docker names a config "<hex>.json" and, since version 25, blobs "blobs/sha256/<hex>", after
 * their digests. 1 = `name` is so made; 0 = it says nothing.
 */
static int digest_in_name(const char *name, struct digest *ret)
{
	char hex[DIGEST_HEX_SIZE + 1];
	size_t n = strlen(name);

	if (strncmp(name, BLOBS, strlen(BLOBS)) == 0)
		return digest_parse_hex(name + strlen(BLOBS), ret) == 0;
	if (n != DIGEST_HEX_SIZE + strlen(".json") || strcmp(name + DIGEST_HEX_SIZE, ".json") != 0)
		return 0;
	memcpy(hex, name, DIGEST_HEX_SIZE);
	hex[DIGEST_HEX_SIZE] = 0;
	return digest_parse_hex(hex, ret) == 0;
}

static int set_layers(struct image_source *s, const struct oci_config *config,
	const struct docker_image *image, struct err *e)
{
	int r = image_source_set_layers(s, image->config, config, image->n_layers, e);

	for (size_t i = 0; r == 0 && i < s->n_layers; i++) {
		_cleanup_(blob_close) struct blob b = {.fd = -1};
		struct layer_place *place = &s->priv->places[i];

		place->name = strdup(image->layers[i]);
		if (!place->name)
			return err_sys(e, -ENOMEM, "%s", image->config);
		s->layers[i].has_digest = digest_in_name(place->name, &s->layers[i].digest);
		r = image_source_layer_blob(s, i, &b, e);
		s->layers[i].size = b.size;
	}
	return r;
}

static int load_config(struct image_source *s, const struct docker_image *image,
	const struct platform *platform, struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config config = {0};
	struct digest named;
	int r = image_files_read(&s->priv->files, image->config, &s->config, e);

	if (r == 0)
		return err_set(e, -ERR_ABSENT, "'%s' is not there", image->config);
	if (r < 0)
		return r;
	digest_of(s->config.p, s->config.n, &s->config_digest);
	if (digest_in_name(image->config, &named) && !digest_equal(&named, &s->config_digest))
		return err_sys(e, -ERR_DIGEST, "'%s'", image->config);
	r = oci_config_parse(image->config, s->config.p, s->config.n, &config, e);
	if (r == 0)
		r = image_source_check_platform(image->config, &config, platform, e);
	return r < 0 ? r : set_layers(s, &config, image, e);
}

int docker_archive_load(
	struct image_source *s, const char *tag, const struct platform *platform, struct err *e)
{
	_cleanup_(docker_archive_doc_done) struct docker_archive_doc doc = {0};
	const struct docker_image *image = NULL;
	_cleanup_buf_ struct buf raw = {0};
	int r = image_files_read(&s->priv->files, "manifest.json", &raw, e);

	if (r == 0)
		return err_set(e, -ERR_ABSENT,
			"not an archive of docker save: there is no file manifest.json");
	if (r > 0)
		r = docker_archive_doc_parse("manifest.json", raw.p, raw.n, &doc, e);
	if (r == 0)
		r = choose(&doc, tag, &image, e);
	return r < 0 ? r : load_config(s, image, platform, e);
}
