/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives are written from front to back. A blob whose size and digest are known only behind it
 * gets its header twice: the one in front of it is overwritten when it is whole. Owners and times
 * are 0, so that the same image gives the same bytes.
 */
#include "dest.h"
#include "format/oci-doc.h"
#include "format/tar.h"
#include "format/tar-header.h"
#include "util/io.h"
#include "util/output-file.h"

#include <sys/stat.h>

#define BLOBS          "blobs/sha256/"
#define NAME_MAX_BYTES (sizeof(BLOBS) + DIGEST_HEX_SIZE + sizeof(".json"))

struct archive {
	struct dest dest;
	bool docker;
	const char *tag;
	struct output_file out;
	uint64_t header_at; /* offset of the header of the blob that is being written */
};

static int cannot_write(const struct archive *a, int code, struct err *e)
{
	if (!a->out.path)
		return err_sys(e, code, "cannot write to standard output");
	return err_sys(e, code, "cannot write '%s'", a->out.path);
}

/* A layer's file in a docker-archive is named by its diff_id, whatever its compression. */
static char *blob_name(
	const struct archive *a, const struct dest_blob *b, char name[NAME_MAX_BYTES])
{
	char hex[DIGEST_HEX_SIZE + 1];

	if (a->docker)
		snprintf(name, NAME_MAX_BYTES, "%s.tar", digest_hex(&b->diff_id, hex));
	else
		snprintf(name, NAME_MAX_BYTES, BLOBS "%s", digest_hex(&b->digest, hex));
	return name;
}

/* --- entries ------------------------------------------------------------------------------ */

static struct tar_entry file_entry(const char *name, uint64_t size)
{
	return (struct tar_entry){.path = name, .mode = S_IFREG | 0644, .size = size};
}

static int add_file(struct archive *a, const char *name, const void *p, size_t n, struct err *e)
{
	const struct tar_entry x = file_entry(name, n);
	int r = tar_write_entry(&a->out.file.sink, &x, NULL);

	if (r == 0)
		r = sink_write(&a->out.file.sink, p, n);
	if (r == 0)
		r = tar_write_padding(&a->out.file.sink, &x);
	return r < 0 ? cannot_write(a, r, e) : 0;
}

static int add_dir(struct archive *a, const char *name, struct err *e)
{
	const struct tar_entry x = {.path = name, .mode = S_IFDIR | 0755};
	int r = tar_write_entry(&a->out.file.sink, &x, NULL);

	return r < 0 ? cannot_write(a, r, e) : 0;
}

/* Takes one header. */
struct header_sink {
	struct sink sink;
	struct tar_header header;
	size_t n;
};

static int header_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct header_sink *h = (struct header_sink *)s;

	*ret_p = (uint8_t *)&h->header + h->n;
	*ret_n = sizeof(h->header) - h->n;
	return *ret_n ? 0 : -EOVERFLOW;
}

static int header_fill(struct sink *s, size_t n)
{
	((struct header_sink *)s)->n += n;
	return 0;
}

/* The size is in the header alone, in base-256 from 8 GiB on: there is no room for a pax record. */
static int put_header(struct archive *a, const struct dest_blob *blob)
{
	struct header_sink h = {.sink = {header_room, header_fill}};
	char name[NAME_MAX_BYTES];
	const struct tar_entry x = file_entry(blob_name(a, blob, name), 0);
	int r = file_sink_flush(&a->out.file);

	if (r == 0)
		r = tar_write_entry(&h.sink, &x, NULL);
	if (r < 0)
		return r;
	tar_number_put(h.header.size, sizeof(h.header.size), (int64_t)blob->size);
	tar_checksum_put(&h.header);
	return io_pwrite_full(a->out.file.fd, &h.header, sizeof(h.header), a->header_at);
}

/* --- blobs -------------------------------------------------------------------------------- */

static int archive_has(
	struct dest *d _unused_, const struct dest_blob *blob _unused_, struct err *e _unused_)
{
	return 0;
}

static int archive_begin(
	struct dest *d, const struct dest_blob *blob, struct sink **ret, struct err *e)
{
	struct archive *a = (struct archive *)d;
	char name[NAME_MAX_BYTES];
	const struct tar_entry x = file_entry(blob_name(a, blob, name), blob->size);
	int r;

	a->header_at = file_sink_offset(&a->out.file);
	r = tar_write_entry(&a->out.file.sink, &x, NULL);
	if (r < 0)
		return cannot_write(a, r, e);
	*ret = &a->out.file.sink;
	return 0;
}

static int archive_end(struct dest *d, const struct dest_blob *blob, struct err *e)
{
	struct archive *a = (struct archive *)d;
	const struct tar_entry x = file_entry("blob", blob->size);
	int r = tar_write_padding(&a->out.file.sink, &x);

	if (r == 0 && !blob->known)
		r = put_header(a, blob);
	return r < 0 ? cannot_write(a, r, e) : 0;
}

/* --- the end ------------------------------------------------------------------------------ */

static int add_document(
	struct archive *a, const struct buf *b, const struct digest *digest, struct err *e)
{
	const struct dest_blob blob = {.digest = *digest};
	char name[NAME_MAX_BYTES];

	return add_file(a, blob_name(a, &blob, name), b->p, b->n, e);
}

static int add_oci_documents(struct archive *a, const struct dest_image *image, struct err *e)
{
	_cleanup_buf_ struct buf index = {0};
	int r = add_document(a, image->config, &image->config_digest, e);

	if (r == 0)
		r = add_document(a, image->manifest, &image->manifest_digest, e);
	if (r == 0)
		r = oci_index_put("index.json", NULL, 0, &image->manifest_digest,
			image->manifest->n, a->tag, &index, e);
	return r < 0 ? r : add_file(a, "index.json", index.p, index.n, e);
}

static int layer_names(const struct archive *a, const struct dest_image *image, char **names)
{
	for (size_t i = 0; i < image->n_layers; i++) {
		char name[NAME_MAX_BYTES];

		names[i] = strdup(blob_name(a, &image->layers[i], name));
		if (!names[i])
			return -ENOMEM;
	}
	return 0;
}

static int docker_manifest(const struct archive *a, const struct dest_image *image,
	const char *config, struct buf *ret, struct err *e)
{
	char **names = calloc(image->n_layers + 1, sizeof(*names));
	int r = names ? layer_names(a, image, names) : -ENOMEM;

	if (r == 0)
		r = docker_archive_doc_new(config, a->tag, names, image->n_layers, ret, e);
	for (size_t i = 0; names && i < image->n_layers; i++)
		free(names[i]);
	free(names);
	return r < 0 ? err_sys(e, r, "cannot export") : 0;
}

static int add_docker_documents(struct archive *a, const struct dest_image *image, struct err *e)
{
	char hex[DIGEST_HEX_SIZE + 1], config[NAME_MAX_BYTES];
	_cleanup_buf_ struct buf manifest = {0};
	int r;

	snprintf(config, sizeof(config), "%s.json", digest_hex(&image->config_digest, hex));
	r = docker_manifest(a, image, config, &manifest, e);
	if (r == 0)
		r = add_file(a, config, image->config->p, image->config->n, e);
	return r < 0 ? r : add_file(a, "manifest.json", manifest.p, manifest.n, e);
}

static int archive_finish(struct dest *d, const struct dest_image *image, struct err *e)
{
	struct archive *a = (struct archive *)d;
	int r = a->docker ? add_docker_documents(a, image, e) : add_oci_documents(a, image, e);

	if (r < 0)
		return r;
	r = tar_write_end(&a->out.file.sink);
	if (r == 0)
		r = output_file_commit(&a->out);
	return r < 0 ? cannot_write(a, r, e) : 0;
}

/* --- beginning ---------------------------------------------------------------------------- */

static void archive_free(struct dest *d)
{
	struct archive *a = (struct archive *)d;

	output_file_done(&a->out);
	free(a);
}

static int begin_archive(struct archive *a, const char *path, struct err *e)
{
	int r = output_file_open(&a->out, path, e);

	if (r < 0)
		return r;
	if (a->out.fd >= 0 && strcmp(path, "-") != 0) /* headers could not be written again */
		return err_set(e, -ERR_CONFLICT, "'%s' is there and is no regular file", path);
	if (a->docker)
		return 0;
	r = add_file(a, "oci-layout", OCI_LAYOUT_CONTENT, strlen(OCI_LAYOUT_CONTENT), e);
	if (r == 0)
		r = add_dir(a, "blobs/", e);
	return r < 0 ? r : add_dir(a, BLOBS, e);
}

int dest_archive_open(
	bool docker, const char *path, const char *tag, struct dest **ret, struct err *e)
{
	static const struct dest_ops ops = {
		archive_has, archive_begin, archive_end, archive_finish, archive_free};
	_cleanup_(dest_freep) struct dest *d = NULL;
	struct archive *a;
	int r;

	a = calloc(1, sizeof(*a));
	if (!a)
		return err_sys(e, -ENOMEM, "cannot export");
	d = &a->dest;
	*a = (struct archive){
		.dest.ops = &ops, .docker = docker, .tag = tag, .out = OUTPUT_FILE_NONE};
	r = begin_archive(a, path, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}
