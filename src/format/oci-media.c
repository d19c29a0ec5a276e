/* SPDX-License-Identifier: Apache-2.0 */
#include "oci-internal.h"

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

static const struct {
	const char *type;
	enum oci_media media;
	enum codec codec;
} table[] = {
	{OCI "layer.v1.tar", OCI_MEDIA_LAYER, CODEC_PLAIN},
	{OCI "layer.v1.tar+gzip", OCI_MEDIA_LAYER, CODEC_GZIP},
	{OCI "layer.v1.tar+zstd", OCI_MEDIA_LAYER, CODEC_ZSTD},
	{OCI "layer.nondistributable.v1.tar", OCI_MEDIA_FOREIGN_LAYER, CODEC_PLAIN},
	{OCI "layer.nondistributable.v1.tar+gzip", OCI_MEDIA_FOREIGN_LAYER, CODEC_GZIP},
	{OCI "layer.nondistributable.v1.tar+zstd", OCI_MEDIA_FOREIGN_LAYER, CODEC_ZSTD},
	{OCI "index.v1+json", OCI_MEDIA_INDEX, CODEC_PLAIN},
	{OCI "manifest.v1+json", OCI_MEDIA_MANIFEST, CODEC_PLAIN},
	{OCI "config.v1+json", OCI_MEDIA_CONFIG, CODEC_PLAIN},
	{DOCKER "image.rootfs.diff.tar", OCI_MEDIA_LAYER, CODEC_PLAIN},
	{DOCKER "image.rootfs.diff.tar.gzip", OCI_MEDIA_LAYER, CODEC_GZIP},
	{DOCKER "image.rootfs.diff.tar.zstd", OCI_MEDIA_LAYER, CODEC_ZSTD},
	{DOCKER "image.rootfs.foreign.diff.tar", OCI_MEDIA_FOREIGN_LAYER, CODEC_PLAIN},
	{DOCKER "image.rootfs.foreign.diff.tar.gzip", OCI_MEDIA_FOREIGN_LAYER, CODEC_GZIP},
	{DOCKER "distribution.manifest.list.v2+json", OCI_MEDIA_INDEX, CODEC_PLAIN},
	{DOCKER "distribution.manifest.v2+json", OCI_MEDIA_MANIFEST, CODEC_PLAIN},
	{DOCKER "container.image.v1+json", OCI_MEDIA_CONFIG, CODEC_PLAIN},
};

enum oci_media oci_media_find(const char *media_type, enum codec *ret_codec)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(media_type, table[i].type) != 0)
			continue;
		*ret_codec = table[i].codec;
		return table[i].media;
	}
	*ret_codec = CODEC_PLAIN;
	return OCI_MEDIA_OTHER;
}

enum oci_media oci_media_parse(const char *media_type)
{
	enum codec unused;

	return oci_media_find(media_type, &unused);
}

/* The first of its kind in the table is the one that is written. */
const char *oci_media_text(enum oci_media media, enum codec codec)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].media == media && table[i].codec == codec)
			return table[i].type;
	return NULL;
}

const char *oci_media_layer(enum codec c)
{
	return oci_media_text(OCI_MEDIA_LAYER, c);
}
