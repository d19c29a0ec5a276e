/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck-internal.h"
#include "local.h"
#include "format/oci-doc.h"
#include "format/split.h"
#include "source/image-source.h"
#include "store/chunk-table.h"
#include "store/containers.h"
#include "util/io.h"

#include <fcntl.h>

#define READ_SIZE ((size_t)256 << 10)

/* Why the file is not what it should be; empty if it is. */
struct fault {
	char text[STORE_NAME_MAX + 640];
};

static int set_fault(struct fault *ret, const char *name, const char *why)
{
	snprintf(ret->text, sizeof(ret->text), "%s %s", name, why);
	return 0;
}

static int digest_of_file(int fd, struct digest *ret)
{
	_cleanup_(digest_ctx_freep) struct digest_ctx *ctx = digest_ctx_new();
	_cleanup_free_ uint8_t *p = malloc(READ_SIZE);
	size_t n = 1;
	int r = ctx && p ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && n; at += n) {
		r = io_pread(fd, p, READ_SIZE, at, &n);
		if (r == 0)
			digest_ctx_add(ctx, p, n);
	}
	if (r == 0)
		digest_ctx_final(ctx, ret);
	return r;
}

/* Opens a file of the store. `should` NULL: nothing tells its digest. */
static int open_file(struct store *s, enum store_file kind, const struct digest *name,
	const struct digest *should, int *ret_fd, struct fault *ret)
{
	char path[STORE_NAME_MAX];
	_cleanup_close_ int fd = openat(
		s->dirfd, store_file_name(kind, name, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct digest is;
	int r = 0;

	if (fd < 0 && check_is_passing(-errno))
		return -errno;
	if (fd < 0)
		return set_fault(ret, path, errno == ENOENT ? "is missing" : err_text(-errno));
	if (should) {
		r = digest_of_file(fd, &is);
		if (r == 0 && !digest_equal(&is, should))
			return set_fault(ret, path, "does not match its digest");
	}
	if (check_is_passing(r))
		return r;
	if (r < 0)
		return set_fault(ret, path, err_text(r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* A portable index, as a whole. *ret and *ret_tree may stay unset: then `fault` says why. */
static int load_index(struct store *s, enum store_file kind, const struct digest *name,
	const struct digest *should, struct index **ret, struct tree *t, struct fault *fault)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	char path[STORE_NAME_MAX];
	struct err e = {0};
	int r = open_file(s, kind, name, should, &fd, fault);

	if (r < 0 || *fault->text)
		return r;
	r = index_open(fd, &x, &e);
	if (r == 0 && (index_info(x)->local || index_info(x)->layer != (kind == STORE_LAYER)))
		r = err_set(&e, -ERR_INPUT, "is an index of another kind");
	if (r == 0)
		r = index_load(x, t, &t->root, &e);
	if (check_is_passing(r))
		return r;
	if (r < 0)
		return set_fault(fault, store_file_name(kind, name, path), e.text);
	*ret = TAKE_PTR(x);
	return 0;
}

static int refer(void *ctx, const struct chunk *c)
{
	return check_reference(ctx, c);
}

static int check_split(
	struct fsck *f, const struct digest *diff_id, const struct index *x, struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	char path[STORE_NAME_MAX];
	struct err e = {0};
	int r = open_file(f->s, STORE_SPLIT, diff_id, NULL, &fd, fault);

	if (r < 0 || *fault->text)
		return r;
	r = split_check(fd, x, &e);
	if (check_is_passing(r))
		return r;
	return r < 0 ? set_fault(fault, store_file_name(STORE_SPLIT, diff_id, path), e.text) : 0;
}

/* Notes the fault; or, if there is none, that it is quarantined all the same. */
static int note(
	struct fsck *f, enum finding_kind kind, const struct digest *d, const struct fault *fault)
{
	const bool layer = kind == FINDING_LAYER;
	char text[DIGEST_TEXT_MAX];
	int r = 0;

	if (!*fault->text) {
		r = record_damaged(f->s, f->c.txn, layer ? DAMAGED_LAYER : DAMAGED_IMAGE, d);
		if (r)
			return r < 0 ? r : 0;
	}
	r = check_note(&f->c, kind, d, "%s %s: %s", layer ? "layer" : "image", digest_text(d, text),
		*fault->text ? fault->text : "sound, but quarantined");
	if (r == 0)
		f->c.findings[f->c.n_findings - 1].sound = !*fault->text;
	return r;
}

static int check_layer(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_(index_closep) struct index *x = NULL;
	struct digest diff_id, should;
	struct fault fault = {0};
	struct fsck *f = ctx;
	int r = t ? 0 : -ENOMEM;

	if (key->mv_size != DIGEST_SIZE || value->mv_size != DIGEST_SIZE)
		return 0;
	memcpy(diff_id.b, key->mv_data, DIGEST_SIZE);
	memcpy(should.b, value->mv_data, DIGEST_SIZE);
	f->stats.layers++;
	if (r == 0)
		r = load_index(f->s, STORE_LAYER, &diff_id, &should, &x, t, &fault);
	if (r == 0 && x)
		r = cuts_add(&f->cuts, x, NULL);
	if (r == 0 && x)
		r = check_split(f, &diff_id, x, &fault);
	if (r == 0 && x)
		r = chunk_table_each_readable(f->s, STORE_LAYER, &diff_id, refer, &f->c);
	return r < 0 ? r : note(f, FINDING_LAYER, &diff_id, &fault);
}

/* A layer that has no record; noted once, whatever number of images want it. */
static int check_layer_recorded(struct fsck *f, const struct digest *diff_id)
{
	struct fault fault = {"it has no record"};
	struct digest index;
	int r = record_layer(f->s, f->c.txn, diff_id, &index);

	if (r == -ERR_STORE) /* one of the wrong form is none */
		r = 1;
	for (size_t i = 0; r == 1 && i < f->c.n_findings; i++)
		if (f->c.findings[i].kind == FINDING_LAYER &&
			digest_equal(&f->c.findings[i].digest, diff_id))
			return 0;
	return r == 1 ? note(f, FINDING_LAYER, diff_id, &fault) : r;
}

static int check_local(struct fsck *f, const struct image_record *rec, struct tree *t)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	char name[STORE_NAME_MAX];
	struct err e = {0};
	int r = index_plan_new(t, false, &plan, &e);

	if (r == 0)
		r = local_check(f->s, rec, plan, &e);
	if (r == 1)
		return check_note(&f->c, FINDING_LOCAL, &rec->manifest,
			"%s is not what it should be",
			store_file_name(STORE_LOCAL, &rec->manifest, name));
	/* a chunk is missing, which was noted already */
	return check_is_passing(r) ? r : 0;
}

/* The record names the layers that the config does. */
static int check_layers_of(const struct image_record *rec, int config, struct fault *ret)
{
	_cleanup_(oci_config_done) struct oci_config doc = {0};
	_cleanup_buf_ struct buf b = {0};
	char path[STORE_NAME_MAX];
	struct err e = {0};
	int r = io_slurp(config, IMAGE_DOC_MAX, &b);

	store_file_name(STORE_CONFIG, &rec->manifest, path);
	if (r == 0)
		r = oci_config_parse("config", b.p, b.n, &doc, &e);
	if (check_is_passing(r))
		return r;
	if (r < 0)
		return set_fault(ret, path, *e.text ? e.text : err_text(r));
	for (size_t i = 0; i < rec->n_diff_ids || i < doc.n_diff_ids; i++)
		if (i >= rec->n_diff_ids || i >= doc.n_diff_ids ||
			!digest_equal(&rec->diff_ids[i], &doc.diff_ids[i]))
			return set_fault(ret, path, "names other layers than the image's record");
	return 0;
}

static int check_image_files(struct fsck *f, const struct image_record *rec, struct fault *fault)
{
	_cleanup_(tree_freep) struct tree *t = tree_new();
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int manifest = -1, config = -1;
	struct fault other = {0}; /* the first is enough to tell */
	int r = t ? open_file(
			    f->s, STORE_MANIFEST, &rec->manifest, &rec->manifest, &manifest, fault)
		  : -ENOMEM;

	if (r == 0)
		r = open_file(f->s, STORE_CONFIG, &rec->manifest, &rec->config, &config,
			*fault->text ? &other : fault);
	if (r == 0 && config >= 0)
		r = check_layers_of(rec, config, *fault->text ? &other : fault);
	if (r == 0)
		r = load_index(f->s, STORE_IMAGE, &rec->manifest, &rec->index, &x, t,
			*fault->text ? &other : fault);
	if (r < 0 || !x)
		return r;
	r = cuts_add(&f->cuts, x, NULL);
	if (r == 0)
		r = chunk_table_each_readable(f->s, STORE_IMAGE, &rec->manifest, refer, &f->c);
	return r == 0 ? check_local(f, rec, t) : r;
}

static int check_image(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	struct fault fault = {0};
	struct fsck *f = ctx;
	int r = record_read_image(key, value, &rec);

	if (r < 0)
		return r == -ERR_STORE ? 0 : r;
	f->stats.images++;
	r = check_image_files(f, &rec, &fault);
	for (size_t i = 0; r == 0 && i < rec.n_diff_ids; i++)
		r = check_layer_recorded(f, &rec.diff_ids[i]);
	return r < 0 ? r : note(f, FINDING_IMAGE, &rec.manifest, &fault);
}

bool fsck_is_name(const MDB_val *key, char ret[IMAGE_NAME_MAX])
{
	char kept[IMAGE_NAME_MAX];

	snprintf(ret, IMAGE_NAME_MAX, "%.*s", (int)key->mv_size, (char *)key->mv_data);
	return strlen(ret) == key->mv_size && image_name_parse(ret, kept, NULL) == 0 &&
	       strcmp(ret, kept) == 0;
}

static int check_name(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	char name[IMAGE_NAME_MAX];
	struct fsck *f = ctx;
	struct digest d;
	int r;

	if (value->mv_size != DIGEST_SIZE)
		return 0;
	f->stats.names++;
	memcpy(d.b, value->mv_data, DIGEST_SIZE);
	if (!fsck_is_name(key, name))
		return check_note(&f->c, FINDING_NAME, NULL, "'%s' is no name of an image", name);
	r = record_image(f->s, f->c.txn, &d, &rec);
	if (r == 1 || r == -ERR_STORE)
		return check_note(
			&f->c, FINDING_IMAGE, &d, "name '%s' leads to no image's record", name);
	return r;
}

/* --- containers ---------------------------------------------------------------------------- */

static int check_container_files(struct fsck *f, const struct container *c)
{
	static const char *const needed[] = {"upper", "work"};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		char path[CONTAINER_ID_MAX + 32];
		struct stat st;
		int r = 0;

		snprintf(path, sizeof(path), "containers/%s/%s", c->id, needed[i]);
		if (fstatat(f->s->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = check_note(&f->c, FINDING_CONTAINER, NULL, "container '%s': %s %s",
				c->id, path, errno == ENOENT ? "is missing" : err_text(-errno));
		else if (!S_ISDIR(st.st_mode))
			r = check_note(&f->c, FINDING_CONTAINER, NULL,
				"container '%s': %s is no directory", c->id, path);
		if (r < 0)
			return r;
	}
	return f->container ? f->container(f->container_ctx, c, &f->c) : 0;
}

/* A record of the wrong form was noted with the others. */
static int check_container(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	char text[DIGEST_TEXT_MAX];
	struct fsck *f = ctx;
	struct container c;
	int r;

	if (record_read_container(key, value, &c) < 0)
		return 0;
	f->stats.containers++;
	r = record_image(f->s, f->c.txn, &c.image, &rec);
	if (r == 1)
		r = check_note(&f->c, FINDING_CONTAINER, NULL,
			"container '%s': its image %s has no record", c.id,
			digest_text(&c.image, text));
	if (r == -ERR_STORE) /* noted already */
		r = 0;
	return r < 0 ? r : check_container_files(f, &c);
}

/* --- what is in quarantine ----------------------------------------------------------------- */

static int check_damaged_chunk(struct fsck *f, const struct digest *d)
{
	struct chunk_fault fault = {.digest = *d};
	bool padding;
	int r;

	if (f->n_noted && bsearch(d, f->c.chunks, f->n_noted, sizeof(fault), digest_order))
		return 0;
	r = record_chunk(f->s, f->c.txn, d, &fault.at);
	if (r) /* noted already, if anything refers to it */
		return r == 1 || r == -ERR_STORE ? 0 : r;
	r = check_chunk(f->c.packs[fault.at.pack], d, &fault.at, &fault.why, &padding);
	if (r < 0)
		return r;
	fault.sound = !fault.why;
	if (fault.sound)
		fault.why = "sound, but quarantined";
	return check_note_chunk(&f->c, &fault);
}

/* Layers and images in quarantine were noted with the others. */
static int check_damaged(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct digest d;

	if (key->mv_size != DIGEST_SIZE + 1 || *(const char *)key->mv_data != DAMAGED_CHUNK)
		return 0;
	memcpy(d.b, (const char *)key->mv_data + 1, DIGEST_SIZE);
	return check_damaged_chunk(ctx, &d);
}

int fsck_images(struct fsck *f, struct err *e)
{
	const struct store *s = f->s;
	const struct {
		MDB_dbi dbi;
		record_each each;
	} all[] = {
		{s->layers, check_layer},
		{s->images, check_image},
		{s->names, check_name},
		{s->containers, check_container},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = record_for_each(f->s, f->c.txn, all[i].dbi, all[i].each, f);
	check_sort_chunks(&f->c);
	f->n_noted = f->c.n_chunks;
	if (r == 0)
		r = record_for_each(f->s, f->c.txn, s->damaged, check_damaged, f);
	check_sort_chunks(&f->c);
	return r < 0 ? err_sys(e, r, "cannot check the store") : 0;
}
