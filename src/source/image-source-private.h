/* SPDX-License-Identifier: Apache-2.0 */
/* What image-source.c and its transports share. */
#pragma once

#include "format/oci-doc.h"
#include "image-files.h"
#include "image-source.h"

/* Where a layer's bytes are. */
struct layer_place {
	char *name;      /* a file among the image's */
	bool foreign;    /* need not be there */
	bool size_known; /* from the manifest */
};

struct image_source_private {
	struct image_files files;
	struct layer_place *places; /* one a layer */
};

/* Takes diff_ids from the config; allocates layers and places. `n` is the manifest's number. */
_must_check_ int image_source_set_layers(struct image_source *s, const char *config_name,
	const struct oci_config *config, size_t n, struct err *e);
/* Whether a config's platform is the one that was asked for (NULL: any is). */
_must_check_ int image_source_check_platform(const char *config_name,
	const struct oci_config *config, const struct platform *platform, struct err *e);

/* The transports: `s->priv->files` is open; fill in everything else. */
_must_check_ int oci_layout_load(
	struct image_source *s, const char *tag, const struct platform *platform, struct err *e);
_must_check_ int docker_archive_load(
	struct image_source *s, const char *tag, const struct platform *platform, struct err *e);
