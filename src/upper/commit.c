/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "image/assemble.h"
#include "image/name.h"
#include "image/quarantine.h"
#include "util/io.h"

#include <time.h>

struct commit {
	struct store *s;
	const struct commit_options *o;
	struct image_record base;
	struct assembly *a;
	struct delta *delta;
	struct digest layer; /* its native name */
	uint64_t layer_size; /* of its tar */
	struct buf config, manifest;
};

static void commit_done(struct commit *c)
{
	delta_free(c->delta);
	assembly_free(c->a);
	image_record_done(&c->base);
	buf_done(&c->config);
	buf_done(&c->manifest);
}

/* As a build that is to be the same each time says it. */
static int64_t created_time(const struct commit_options *o)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;
	long long t;

	if (o->created != OCI_TIME_NONE)
		return o->created;
	if (!text || !*text)
		return time(NULL);
	errno = 0;
	t = strtoll(text, &end, 10);
	return errno || *end || t < 0 ? time(NULL) : t;
}

static int read_document(struct commit *c, enum store_file kind, struct buf *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(c->s, kind, &c->base.manifest, &fd, e);

	if (r < 0)
		return r;
	r = io_slurp(fd, IMAGE_DOC_MAX, ret);
	return r < 0 ? err_sys(e, r, "cannot read an image's documents") : 0;
}

static int make_config(struct commit *c, struct err *e)
{
	const struct commit_options *o = c->o;
	const struct oci_history history = {.created = created_time(o),
		.created_by = o->created_by ? o->created_by : "plyfs commit",
		.author = o->author,
		.comment = o->message};
	_cleanup_buf_ struct buf old = {0}, longer = {0};
	int r = read_document(c, STORE_CONFIG, &old, e);

	if (r == 0)
		r = oci_config_add_layer("config", old.p, old.n, &c->layer, &history, &longer, e);
	if (r == 0)
		r = oci_config_change("config", longer.p, longer.n, o->author, o->changes,
			o->n_changes, &c->config, e);
	return r;
}

/* The base's layers stay described as they were. */
static int make_layers(
	struct commit *c, struct oci_manifest *doc, struct oci_descriptor **ret, struct err *e)
{
	struct oci_descriptor *v;
	int r = read_document(c, STORE_MANIFEST, &c->manifest, e);

	if (r == 0)
		r = oci_manifest_parse("manifest", c->manifest.p, c->manifest.n, doc, e);
	if (r < 0)
		return r;
	v = calloc(doc->n_layers + 1, sizeof(*v));
	if (!v)
		return err_sys(e, -ENOMEM, "cannot commit");
	memcpy(v, doc->layers, doc->n_layers * sizeof(*v));
	v[doc->n_layers] = (struct oci_descriptor){
		.codec = CODEC_PLAIN, .digest = c->layer, .size = c->layer_size};
	*ret = v;
	return 0;
}

static int find_base(struct commit *c, const struct container *container, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	char text[DIGEST_TEXT_MAX];
	int r = txn_begin(c->s, false, &txn, e);

	if (r < 0)
		return r;
	digest_text(&container->image, text);
	r = record_image(c->s, txn, &container->image, &c->base);
	if (r == 1)
		return err_set(e, -ERR_STORE,
			"the store is damaged: the image %s of container '%s' "
			"has no record",
			text, container->id);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	return image_check_quarantine(c->s, &c->base, text, e);
}

static int read_upper(struct commit *c, const struct container *container, struct err *e)
{
	const struct delta_options o = {.live = c->o->live, .ingest = assembly_ingest(c->a)};
	_cleanup_free_ char *upper = NULL, *work = NULL;
	int r = container_paths(c->s, container, &upper, &work, e);

	if (r == 0)
		r = delta_new(c->s, &c->base, upper, work, &o, &c->delta, e);
	if (r == 0)
		r = assembly_add_image(c->a, &c->base, e);
	if (r == 0)
		r = assembly_add_native(c->a, delta_tree(c->delta), &c->layer, &c->layer_size, e);
	return r;
}

static int finish(struct commit *c, const char *name, struct digest *ret, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest doc = {0};
	_cleanup_free_ struct oci_descriptor *layers = NULL;
	int r = make_config(c, e);

	if (r == 0)
		r = make_layers(c, &doc, &layers, e);
	return r < 0 ? r
		     : assembly_commit_new(
			       c->a, &c->config, layers, doc.n_layers + 1, name, ret, e);
}

int container_commit(struct store *s, const struct container *container, const char *name,
	const struct commit_options *o, struct digest *ret_manifest, struct commit_stats *ret_stats,
	struct err *e)
{
	_cleanup_(commit_done) struct commit c = {.s = s, .o = o};
	char kept[IMAGE_NAME_MAX];
	int r = name ? image_name_parse(name, kept, e) : 0;

	if (r == 0) /* before the look-up: gc must not come between */
		r = assembly_begin(s, &c.a, e);
	if (r == 0)
		r = find_base(&c, container, e);
	if (r == 0)
		r = read_upper(&c, container, e);
	if (r == 0)
		r = finish(&c, name ? kept : NULL, ret_manifest, e);
	if (r < 0)
		return err_prefix(e, r, "cannot commit container '%s'", container->id);
	if (ret_stats)
		*ret_stats = (struct commit_stats){.files = delta_stats(c.delta)->files,
			.read_bytes = delta_stats(c.delta)->read_bytes,
			.new_bytes = ingest_stats(assembly_ingest(c.a))->new_bytes};
	return 0;
}
