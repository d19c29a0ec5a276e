/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "format/encode.h"
#include "fs/extract.h"
#include "fs/flatten.h"
#include "image/export.h"
#include "image/meter.h"
#include "util/output-file.h"

struct destination {
	const char *prefix;
	enum { TO_IMAGE, TO_TAR, TO_ROOTFS } kind;
	enum export_form form; /* TO_IMAGE: the path is followed by an optional tag */
	enum codec codec;      /* where none is asked for */
};

static const struct destination destinations[] = {
	{"oci:", TO_IMAGE, EXPORT_OCI, CODEC_GZIP},
	{"oci-archive:", TO_IMAGE, EXPORT_OCI_ARCHIVE, CODEC_GZIP},
	{"docker-archive:", TO_IMAGE, EXPORT_DOCKER_ARCHIVE, CODEC_PLAIN},
	{"tar:", TO_TAR, EXPORT_OCI, CODEC_PLAIN},
	{"rootfs:", TO_ROOTFS, EXPORT_OCI, CODEC_PLAIN},
};

/* An image in a docker-archive goes by a name: its own, if there is no other. */
static int export_image(struct plyfs_image *p, const struct destination *d, char *path,
	const struct export_options *o, char *ret_digest, struct err *e)
{
	char *tag = strchr(path, ':'); /* as skopeo has it: the path ends at the first ':' */
	struct digest manifest;
	int r;

	if (tag)
		*tag++ = 0;
	else if (d->form == EXPORT_DOCKER_ARCHIVE)
		tag = p->name;
	if (!*path)
		return err_set(e, -ERR_INPUT, "the destination names no file");
	r = image_export(p->s, &p->record, d->form, path, tag, o, &manifest, e);
	if (r == 0)
		digest_text(&manifest, ret_digest);
	return r;
}

static int parse_codec(const char *compress, enum codec *ret, struct err *e)
{
	if (!compress)
		return 0;
	if (strcmp(compress, "none") == 0)
		*ret = CODEC_PLAIN;
	else if (strcmp(compress, "gzip") == 0)
		*ret = CODEC_GZIP;
	else if (strcmp(compress, "zstd") == 0)
		*ret = CODEC_ZSTD;
	else
		return err_set(
			e, -ERR_INPUT, "'%s' is no compression: gzip, zstd or none", compress);
	return 0;
}

/* Compressed, if that is asked for. */
static int write_tree(struct plyfs_image *p, enum codec codec, struct sink *out, struct err *e)
{
	_cleanup_(encoder_freep) struct encoder *encoder = NULL;
	int r = encoder_new(codec, out, &encoder);

	if (r < 0)
		return err_sys(e, r, "cannot compress");
	r = view_flatten(p->view, encoder_sink(encoder), e);
	if (r == 0)
		r = encoder_end(encoder);
	return r < 0 ? err_sys(e, r, "cannot compress") : 0;
}

static int export_tar(struct plyfs_image *p, const char *path, enum codec codec, struct err *e)
{
	_cleanup_output_file_ struct output_file f = OUTPUT_FILE_NONE;
	struct err why = {0};
	struct meter out;
	int r = output_file_open(&f, path, e);

	if (r < 0)
		return r;
	out = meter_of(&f.file.sink);
	r = write_tree(p, codec, &out.sink, &why);
	if (r < 0 && out.code == 0) /* not for the file's sake */
		return err_set(e, r, "%s", why.text);
	if (r == 0)
		r = output_file_commit(&f);
	return r < 0 ? err_sys(e, r, "cannot write '%.200s'", path) : 0;
}

static int export_to(struct plyfs_image *p, const char *dest,
	const struct plyfs_export_options *options, char *ret_digest, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	const struct destination *d = NULL;
	struct export_options o = {0};
	int r;

	for (size_t i = 0; !d && i < sizeof(destinations) / sizeof(destinations[0]); i++)
		if (strncmp(dest, destinations[i].prefix, strlen(destinations[i].prefix)) == 0)
			d = &destinations[i];
	if (!d)
		return err_set(e, -ERR_INPUT,
			"'%s' is no destination: oci:, oci-archive:, docker-archive:, tar: or "
			"rootfs:, and a path",
			dest);
	path = strdup(dest + strlen(d->prefix));
	if (!path)
		return err_sys(e, -ENOMEM, "cannot export");
	if (!*path)
		return err_set(e, -ERR_INPUT, "'%s' names no file", dest);
	o.codec = d->codec;
	if (options) {
		o.progress = options->progress;
		o.progress_ctx = options->progress_ctx;
		r = parse_codec(options->compress, &o.codec, e);
		if (r < 0)
			return r;
	}
	if (d->kind == TO_IMAGE)
		return export_image(p, d, path, &o, ret_digest, e);
	if (d->kind == TO_TAR)
		return export_tar(p, path, o.codec, e);
	if (options && options->compress)
		return err_set(e, -ERR_UNSUPPORTED, "a rootfs cannot be compressed");
	return view_extract(p->view, path, e);
}

PUBLIC int plyfs_export(struct plyfs_image *image, const char *destination,
	const struct plyfs_export_options *options, char ret_digest[PLYFS_DIGEST_MAX],
	struct plyfs_error *error)
{
	char digest[PLYFS_DIGEST_MAX] = "";
	struct view *view;
	struct err e = {0};
	int r = lib_view(image, &view, &e);

	if (r == 0)
		r = export_to(image, destination, options, digest, &e);
	if (r == 0 && ret_digest)
		memcpy(ret_digest, digest, sizeof(digest));
	return lib_error(r, &e, error);
}
