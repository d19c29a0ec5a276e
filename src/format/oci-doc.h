/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON documents of images: read with every field that is used checked, and written.
 *
 * OCI image specification v1.1: image-layout.md, image-index.md, manifest.md, descriptor.md,
 * config.md, annotations.md; docker image manifest V2 schema 2 (taken as the OCI documents they
 * equal); docker image specification v1.2 (manifest.json of `docker save`). Unknown fields are
 * passed over. A document that is an index and a manifest at once, or whose mediaType contradicts
 * its shape, is refused (CVE-2021-41190). Errors are -ERR_INPUT, and -ERR_UNSUPPORTED for media
 * types that nothing here can read; the message names the document (`name`) and the field.
 *
 * Each parsed document owns its strings: zero-initialise it, and call its _done in the end.
 */
#pragma once

#include "codec.h"
#include "digest.h"
#include "platform.h"
#include "util/arena.h"
#include "util/buf.h"

#include <stdbool.h>

#define OCI_LAYERS_MAX 1000
/* The file oci-layout. */
#define OCI_LAYOUT_CONTENT "{\"imageLayoutVersion\":\"1.0.0\"}"
/* No time known. */
#define OCI_TIME_NONE INT64_MIN

enum oci_media {
	OCI_MEDIA_OTHER, /* anything that is not in the table of media types */
	OCI_MEDIA_INDEX,
	OCI_MEDIA_MANIFEST,
	OCI_MEDIA_CONFIG,
	OCI_MEDIA_LAYER,
	OCI_MEDIA_FOREIGN_LAYER, /* "nondistributable": used where its blob is there, never fetched
				  */
};

enum oci_media oci_media_parse(const char *media_type);
/* The OCI layer type for a codec, as it is written. */
const char *oci_media_layer(enum codec c);

struct oci_descriptor {
	enum oci_media media;
	enum codec codec; /* layers only: what the media type says */
	const char *media_type;
	struct digest digest;
	uint64_t size;        /* bytes */
	const char *ref_name; /* annotation org.opencontainers.image.ref.name, or NULL */
	bool has_platform;
	struct platform platform;
};

struct oci_index {
	struct arena arena;
	struct oci_descriptor *manifests;
	size_t n_manifests;
};

struct oci_manifest {
	struct arena arena;
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* lowest first; media is one of the layer types */
	size_t n_layers;
};

struct oci_label {
	const char *key, *value;
};

struct oci_history {
	int64_t created;                           /* seconds since the epoch, or OCI_TIME_NONE */
	const char *created_by, *author, *comment; /* NULL: absent */
	bool empty_layer;
};

struct oci_config {
	struct arena arena;
	struct platform platform;
	int64_t created;                   /* seconds since the epoch, or OCI_TIME_NONE */
	const char *created_text, *author; /* NULL: absent */
	/* What to run: NULL or empty where absent. */
	const char *user, *working_dir, *stop_signal;
	const char *const *env, *const *entrypoint, *const *cmd;
	size_t n_env, n_entrypoint, n_cmd;
	const char *const *exposed_ports, *const *volumes; /* sorted */
	size_t n_exposed_ports, n_volumes;
	struct oci_label *labels; /* sorted by key */
	size_t n_labels;
	struct digest *diff_ids; /* lowest first */
	size_t n_diff_ids;
	struct oci_history *history; /* oldest first */
	size_t n_history;
};

/* One image of docker's manifest.json: paths inside the archive, as they stand there. */
struct docker_image {
	const char *config;
	const char *const *tags; /* RepoTags */
	size_t n_tags;
	const char *const *layers; /* lowest first */
	size_t n_layers;
};

struct docker_archive_doc {
	struct arena arena;
	struct docker_image *images;
	size_t n_images;
};

void oci_index_done(struct oci_index *d);
void oci_manifest_done(struct oci_manifest *d);
void oci_config_done(struct oci_config *d);
void docker_archive_doc_done(struct docker_archive_doc *d);

/* The oci-layout file: its version is one that is known. */
_must_check_ int oci_layout_check(const char *name, const void *p, size_t n, struct err *e);
_must_check_ int oci_index_parse(
	const char *name, const void *p, size_t n, struct oci_index *ret, struct err *e);
_must_check_ int oci_manifest_parse(
	const char *name, const void *p, size_t n, struct oci_manifest *ret, struct err *e);
_must_check_ int oci_config_parse(
	const char *name, const void *p, size_t n, struct oci_config *ret, struct err *e);
_must_check_ int docker_archive_doc_parse(
	const char *name, const void *p, size_t n, struct docker_archive_doc *ret, struct err *e);

/* RFC 3339, whole seconds (a fraction is cut off): -ERR_INPUT if it is not. */
_must_check_ int oci_time_parse(const char *text, int64_t *ret);
#define OCI_TIME_TEXT_MAX 32
/* "2024-01-31T12:00:00Z"; what lies outside the years 0 to 9999 is clamped. Returns `text`. */
char *oci_time_text(int64_t t, char text[OCI_TIME_TEXT_MAX]);

/*
 * Writing: compact, keys sorted, so that the same input gives the same bytes. The document is
 * appended to `ret`. Texts must be UTF-8: -ERR_INPUT otherwise.
 */

/* The config of an image made here. `created` OCI_TIME_NONE is 1970-01-01T00:00:00Z. */
_must_check_ int oci_config_new(const struct platform *platform, int64_t created,
	const struct digest *diff_ids, size_t n_diff_ids, const struct oci_history *history,
	size_t n_history, struct buf *ret, struct err *e);
/*
 * `config` with one layer more, and nothing else changed, unknown fields included. With
 * history->created, the config's own "created" becomes that too. Where the history told of fewer
 * layers than there are, entries are added for these, so that the new one tells of the new layer.
 */
_must_check_ int oci_config_add_layer(const char *name, const void *config, size_t n,
	const struct digest *diff_id, const struct oci_history *history, struct buf *ret,
	struct err *e);
/* Uses digest, size and codec of each layer. */
_must_check_ int oci_manifest_new(const struct digest *config_digest, uint64_t config_size,
	const struct oci_descriptor *layers, size_t n_layers, struct buf *ret, struct err *e);
/*
 * `manifest` with other blobs for its layers: uses digest, size and codec of each, `n_layers` must
 * be its own number. Everything else stays, but: media types become OCI's, and of a layer whose
 * blob is another one, the data, the addresses and what annotations say of its compression go. A
 * manifest that would say the same as before is given back as it is, byte for byte.
 */
_must_check_ int oci_manifest_set_layers(const char *name, const void *manifest, size_t n,
	const struct oci_descriptor *layers, size_t n_layers, struct buf *ret, struct err *e);

/* `manifest` with another config, and `config` with other diff_ids; all else stays. */
_must_check_ int oci_manifest_set_config(const char *name, const void *manifest, size_t n,
	const struct digest *config, uint64_t size, struct buf *ret, struct err *e);
_must_check_ int oci_config_set_diff_ids(const char *name, const void *config, size_t n,
	const struct digest *diff_ids, size_t n_diff_ids, struct buf *ret, struct err *e);

/*
 * `config` with what a container runs changed as a Dockerfile's words say: CMD, ENTRYPOINT, ENV,
 * EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR ("ENV A=b", "CMD [\"x\"]"; one pair each of ENV
 * and LABEL); `author` NULL: as it is. -ERR_INPUT names the change that is wrong.
 */
_must_check_ int oci_config_change(const char *name, const void *config, size_t n,
	const char *author, const char *const *changes, size_t n_changes, struct buf *ret,
	struct err *e);

/* Whether the annotation org.opencontainers.image.ref.name may be this (annotations.md). */
bool oci_ref_name_valid(const char *text);
/*
 * `index` (NULL: a new one) with the manifest under the tag `ref_name`, in the place of those that
 * had it; NULL is no tag, and the manifest is not added where it stands without one already. All
 * else stays.
 */
_must_check_ int oci_index_put(const char *name, const void *index, size_t n,
	const struct digest *manifest, uint64_t size, const char *ref_name, struct buf *ret,
	struct err *e);
/* manifest.json of one image; `tag` may be NULL, `layers` are paths in the archive. */
_must_check_ int docker_archive_doc_new(const char *config, const char *tag, char *const *layers,
	size_t n_layers, struct buf *ret, struct err *e);
