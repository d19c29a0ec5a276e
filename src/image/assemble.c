/* SPDX-License-Identifier: Apache-2.0 */
#include "assemble.h"
#include "local.h"
#include "merge.h"
#include "quarantine.h"
#include "format/split.h"
#include "format/tree-tar.h"
#include "util/log.h"

#include <fcntl.h>

struct part {
	struct digest diff_id;
	struct index *index; /* NULL: it is merged in the base */
	bool again;          /* the index is an earlier part's */
};

struct assembly {
	struct store *s;
	struct ingest *g;
	struct lock *locks;
	size_t n_locks;
	struct part *parts; /* lowest first */
	size_t n_parts;
	struct index *base; /* of the first parts, merged; NULL: of none */
	size_t n_base;
};

int assembly_begin(struct store *s, struct assembly **ret, struct err *e)
{
	_cleanup_(assembly_freep) struct assembly *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_sys(e, -ENOMEM, "cannot import");
	a->s = s;
	r = ingest_begin(s, &a->g, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void assembly_free(struct assembly *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n_parts; i++)
		if (!a->parts[i].again)
			index_close(a->parts[i].index);
	index_close(a->base);
	for (size_t i = 0; i < a->n_locks; i++)
		lock_release(&a->locks[i]);
	ingest_free(a->g);
	free(a->parts);
	free(a->locks);
	free(a);
}

struct ingest *assembly_ingest(struct assembly *a)
{
	return a->g;
}

static int order_of_numbers(const void *pa, const void *pb)
{
	const uint64_t *a = pa, *b = pb;

	return (*a > *b) - (*a < *b);
}

/* In ascending order, each once: so that two imports never wait for each other. */
int assembly_lock_layers(struct assembly *a, const struct image_source *src, struct err *e)
{
	_cleanup_free_ uint64_t *numbers = calloc(src->n_layers + 1, sizeof(*numbers));

	a->locks = calloc(src->n_layers + 1, sizeof(*a->locks));
	if (!numbers || !a->locks)
		return err_sys(e, -ENOMEM, "cannot import");
	for (size_t i = 0; i < src->n_layers; i++)
		numbers[i] = lock_number(&src->layers[i].diff_id);
	qsort(numbers, src->n_layers, sizeof(*numbers), order_of_numbers);
	for (size_t i = 0; i < src->n_layers; i++) {
		int r;

		if (i && numbers[i] == numbers[i - 1])
			continue;
		r = lock_take(a->s, LOCK_LAYER, numbers[i], true, true, &a->locks[a->n_locks], e);
		if (r < 0)
			return r;
		a->n_locks++;
	}
	return 0;
}

static int push_part(struct assembly *a, const struct part *part, struct err *e)
{
	struct part *parts = reallocarray(a->parts, a->n_parts + 1, sizeof(*parts));

	if (!parts)
		return err_sys(e, -ENOMEM, "cannot import");
	a->parts = parts;
	parts[a->n_parts++] = *part;
	return 0;
}

static int add_part(struct assembly *a, const struct digest *diff_id, int fd, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	int r = index_open(fd, &x, e);

	if (r == 0)
		r = push_part(a, &(struct part){.diff_id = *diff_id, .index = x}, e);
	if (r == 0)
		TAKE_PTR(x);
	return r;
}

/* The same layer once more in this image. 1 = it was not there before. */
static int add_again(struct assembly *a, const struct digest *diff_id, struct err *e)
{
	for (size_t i = 0; i < a->n_parts; i++) {
		struct part part = a->parts[i];

		part.again = true;
		if (digest_equal(&part.diff_id, diff_id))
			return push_part(a, &part, e);
	}
	return 1;
}

int assembly_add_stored(struct assembly *a, const struct digest *diff_id, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	_cleanup_close_ int fd = -1;
	struct digest index, what;
	enum damaged_kind kind;
	int r = add_again(a, diff_id, e);

	if (r != 1)
		return r;
	r = txn_begin(a->s, false, &txn, e);
	if (r < 0)
		return r;
	r = record_layer(a->s, txn, diff_id, &index);
	if (r == 0)
		r = layer_damaged(a->s, txn, diff_id, &kind, &what);
	if (r)
		return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 1;
	r = store_file_open(a->s, STORE_LAYER, diff_id, &fd, e);
	return r < 0 ? r : add_part(a, diff_id, fd, e);
}

/* Writes a planned index into a temporary file that becomes `kind`/`name` at commit. */
static int write_index(struct assembly *a, struct index_plan *plan, enum store_file kind,
	const struct digest *name, int *ret_fd, struct digest *ret_digest, struct err *e)
{
	_cleanup_close_ int fd = -1;
	unsigned int temp;
	int r = ingest_temp(a->g, &fd, &temp, e);

	if (r == 0)
		r = index_plan_write(plan, fd, NULL, ret_digest, e);
	if (r == 0)
		r = ingest_file(a->g, kind, name, temp, e);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The layer's files: its index, and its split. */
static int write_layer(struct assembly *a, struct layer *l, int *ret_fd, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	struct digest digest;
	int r = index_plan_new(l->tree, true, &plan, e);

	if (r == 0)
		r = write_index(a, plan, STORE_LAYER, &l->diff_id, ret_fd, &digest, e);
	if (r == 0)
		r = split_writer_finish(l->split, plan, e);
	if (r == 0)
		r = ingest_file(a->g, STORE_SPLIT, &l->diff_id, l->split_temp, e);
	if (r == 0 && ingest_layer(a->g, &l->diff_id, &digest) < 0)
		r = err_sys(e, -ENOMEM, "cannot import");
	return r;
}

int assembly_add_layer(struct assembly *a, struct layer *l, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = assembly_add_stored(a, &l->diff_id, e);

	if (r != 1)
		return r;
	r = write_layer(a, l, &fd, e);
	return r < 0 ? r : add_part(a, &l->diff_id, fd, e);
}

int assembly_add_image(struct assembly *a, const struct image_record *image, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(a->s, STORE_IMAGE, &image->manifest, &fd, e);

	if (r == 0)
		r = index_open(fd, &a->base, e);
	for (size_t i = 0; r == 0 && i < image->n_diff_ids; i++)
		r = push_part(a, &(struct part){.diff_id = image->diff_ids[i]}, e);
	a->n_base = a->n_parts;
	return r;
}

static int write_native_split(struct assembly *a, struct tree *t, const struct index_plan *plan,
	const struct digest *name, uint64_t *ret_size, struct err *e)
{
	_cleanup_(split_writer_freep) struct split_writer *w = NULL;
	_cleanup_close_ int fd = -1;
	unsigned int temp;
	int r = ingest_temp(a->g, &fd, &temp, e);

	if (r == 0)
		r = split_writer_new(fd, &w, e);
	if (r == 0)
		r = tree_tar_split(t, w, e);
	if (r < 0)
		return r;
	*ret_size = split_writer_tar_size(w);
	r = split_writer_finish(w, plan, e);
	return r < 0 ? r : ingest_file(a->g, STORE_SPLIT, name, temp, e);
}

int assembly_add_native(struct assembly *a, struct tree *t, struct digest *ret_name,
	uint64_t *ret_size, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_close_ int fd = -1;
	unsigned int temp;
	int r = index_plan_new(t, true, &plan, e);

	if (r == 0)
		r = ingest_temp(a->g, &fd, &temp, e);
	if (r == 0)
		r = index_plan_write(plan, fd, NULL, ret_name, e);
	if (r == 0)
		r = ingest_file(a->g, STORE_LAYER, ret_name, temp, e);
	if (r == 0)
		r = write_native_split(a, t, plan, ret_name, ret_size, e);
	if (r == 0 && ingest_layer(a->g, ret_name, ret_name) < 0)
		r = err_sys(e, -ENOMEM, "cannot commit");
	return r < 0 ? r : add_part(a, ret_name, fd, e);
}

static int merge_all(struct assembly *a, struct tree *t, struct err *e)
{
	int begun = a->base ? index_load(a->base, t, &t->root, e) : 0;

	if (begun < 0)
		return begun;
	for (size_t i = a->n_base; i < a->n_parts; i++) {
		struct inode *root;
		char name[32];
		int r = index_load(a->parts[i].index, t, &root, e);

		snprintf(name, sizeof(name), "layer %zu", i + 1);
		if (r < 0)
			return err_prefix(e, r, "%s", name);
		r = merge_layer(t, root, name, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What of the image's record can be known: all but the index. */
static int fill_record(struct assembly *a, const struct buf *config, const struct buf *manifest,
	struct image_record *rec)
{
	digest_of(manifest->p, manifest->n, &rec->manifest);
	digest_of(config->p, config->n, &rec->config);
	rec->n_diff_ids = a->n_parts;
	rec->diff_ids = calloc(a->n_parts + 1, sizeof(*rec->diff_ids));
	if (!rec->diff_ids)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_parts; i++)
		rec->diff_ids[i] = a->parts[i].diff_id;
	return 0;
}

/* Everything that the image is besides its layers. */
static int write_image(struct assembly *a, const struct buf *config, const struct buf *manifest,
	struct index_plan *plan, struct image_record *rec, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = write_index(a, plan, STORE_IMAGE, &rec->manifest, &fd, &rec->index, e);

	if (r == 0)
		r = ingest_bytes(a->g, STORE_MANIFEST, &rec->manifest, manifest->p, manifest->n, e);
	return r < 0 ? r
		     : ingest_bytes(a->g, STORE_CONFIG, &rec->manifest, config->p, config->n, e);
}

/*
 * An image that was damaged may get another index than it had (its layers may be cut anew): the old
 * local index must not outlive it.
 */
static int drop_stale_local(struct assembly *a, const struct image_record *rec, struct err *e)
{
	_cleanup_image_record_ struct image_record old = {0};
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(a->s, false, &txn, e);

	if (r < 0)
		return r;
	r = record_image(a->s, txn, &rec->manifest, &old);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	return r == 1 || digest_equal(&old.index, &rec->index) ? 0 : local_drop(a->s, rec, e);
}

static int commit_new_image(struct assembly *a, const struct buf *config,
	const struct buf *manifest, const char *name, struct image_record *rec, struct err *e)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = tree_new();
	struct err local = {0};
	int r = t ? merge_all(a, t, e) : err_sys(e, -ENOMEM, "cannot import");

	if (r == 0)
		r = index_plan_new(t, false, &plan, e);
	if (r == 0)
		r = write_image(a, config, manifest, plan, rec, e);
	if (r == 0)
		r = drop_stale_local(a, rec, e);
	if (r == 0)
		r = ingest_commit(a->g, rec, name, e);
	if (r == 0 &&
		local_write(a->s, rec, plan, &local) < 0) /* the image is there all the same */
		log_warn("%s; the first use of the image will try again", local.text);
	return r;
}

/* 1 = the store does not have the image yet, or has it damaged. */
static int find_known(struct assembly *a, const struct digest *manifest, struct image_record *ret)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(a->s, false, &txn, NULL);

	if (r == 0)
		r = record_damaged(a->s, txn, DAMAGED_IMAGE, manifest);
	if (r <= 0)
		return r < 0 ? r : 1;
	return record_image(a->s, txn, manifest, ret);
}

int assembly_commit(struct assembly *a, const struct buf *config, const struct buf *manifest,
	const char *name, struct digest *ret, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0}, known = {0};
	int r = fill_record(a, config, manifest, &rec);

	if (r == 0)
		r = find_known(a, &rec.manifest, &known);
	if (r < 0)
		return err_sys(e, r, "cannot import");
	if (r == 0)
		r = ingest_commit(a->g, &known, name, e);
	else
		r = commit_new_image(a, config, manifest, name, &rec, e);
	if (r < 0)
		return r;
	*ret = rec.manifest;
	return 0;
}

int assembly_commit_new(struct assembly *a, const struct buf *config,
	const struct oci_descriptor *layers, size_t n_layers, const char *name, struct digest *ret,
	struct err *e)
{
	_cleanup_buf_ struct buf manifest = {0};
	struct digest d;
	int r;

	digest_of(config->p, config->n, &d);
	r = oci_manifest_new(&d, config->n, layers, n_layers, &manifest, e);
	return r < 0 ? r : assembly_commit(a, config, &manifest, name, ret, e);
}
