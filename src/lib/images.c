/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "image/local.h"
#include "image/name.h"
#include "image/native.h"
#include "image/quarantine.h"
#include "source/image-source.h"
#include "util/io.h"

int lib_find_open(
	struct store *s, const char *image, struct image_record *ret, int *ret_fd, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	int r = lock_take(s, LOCK_GC, 0, false, true, &lock, e);

	if (r == 0)
		r = image_find(s, image, ret, e);
	if (r == 0)
		r = image_check_quarantine(s, ret, image, e);
	return r < 0 ? r : local_open(s, ret, ret_fd, e);
}

struct each_name {
	int (*each)(void *ctx, const char *name, const char *digest);
	void *ctx;
};

static int give_name(void *ctx, const MDB_val *key, const MDB_val *value)
{
	char name[PLYFS_NAME_MAX], text[DIGEST_TEXT_MAX];
	struct each_name *n = ctx;
	struct digest d;

	if (value->mv_size != DIGEST_SIZE || key->mv_size >= sizeof(name))
		return -ERR_STORE;
	memcpy(d.b, value->mv_data, DIGEST_SIZE);
	memcpy(name, key->mv_data, key->mv_size);
	name[key->mv_size] = 0;
	return n->each(n->ctx, name, digest_text(&d, text));
}

PUBLIC int plyfs_images(struct plyfs_store *store,
	int (*each)(void *ctx, const char *name, const char *digest), void *ctx,
	struct plyfs_error *error)
{
	struct each_name n = {each, ctx};
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct err e = {0};
	int r = txn_begin(store->s, false, &txn, &e);

	if (r == 0)
		r = record_for_each(store->s, txn, store->s->names, give_name, &n);
	if (r < 0)
		err_sys(&e, r, "cannot read the records of the store");
	return lib_error(r, &e, error);
}

static int tag(struct store *s, const char *image, const char *name, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_lock_ struct lock lock = LOCK_NONE;
	_cleanup_txn_ MDB_txn *txn = NULL;
	char kept[IMAGE_NAME_MAX];
	int r = image_name_parse(name, kept, e);

	if (r == 0)
		r = lock_take(s, LOCK_GC, 0, false, true, &lock, e);
	if (r == 0)
		r = image_find(s, image, &rec, e);
	if (r == 0)
		r = txn_begin(s, true, &txn, e);
	if (r < 0)
		return r;
	r = record_put_name(s, txn, kept, &rec.manifest);
	return r < 0 ? err_sys(e, r, "cannot tag %s", image) : txn_commit(&txn, e);
}

PUBLIC int plyfs_tag(
	struct plyfs_store *store, const char *image, const char *name, struct plyfs_error *error)
{
	struct err e = {0};
	int r = tag(store->s, image, name, &e);

	return lib_error(r, &e, error);
}

/* The names of one image. */
struct names_of {
	const struct digest *image;
	char (*v)[PLYFS_NAME_MAX];
	size_t n;
};

static int collect_name(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct names_of *c = ctx;
	char(*v)[PLYFS_NAME_MAX];

	if (value->mv_size != DIGEST_SIZE ||
		memcmp(value->mv_data, c->image->b, DIGEST_SIZE) != 0 ||
		key->mv_size >= PLYFS_NAME_MAX)
		return 0;
	v = reallocarray(c->v, c->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->v = v;
	memcpy(v[c->n], key->mv_data, key->mv_size);
	v[c->n++][key->mv_size] = 0;
	return 0;
}

static int remove_names(struct store *s, MDB_txn *txn, const struct digest *image, size_t *ret_n)
{
	struct names_of c = {.image = image};
	int r = record_for_each(s, txn, s->names, collect_name, &c);

	for (size_t i = 0; r == 0 && i < c.n; i++)
		r = record_delete_name(s, txn, c.v[i]);
	free(c.v);
	*ret_n = c.n;
	return r < 0 ? r : 0;
}

/* A name that is one goes alone; what names the image by its digest takes all its names. */
static int rmi(struct store *s, const char *image, size_t *ret_n, struct err *e)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_txn_ MDB_txn *txn = NULL;
	char kept[IMAGE_NAME_MAX];
	bool named = image_name_parse(image, kept, NULL) == 0;
	int r = txn_begin(s, true, &txn, e);

	if (r < 0)
		return r;
	r = named ? record_delete_name(s, txn, kept) : 1;
	*ret_n = 1;
	if (r == 1) {
		mdb_txn_abort(TAKE_PTR(txn));
		r = image_find(s, image, &rec, e);
		if (r == 0)
			r = txn_begin(s, true, &txn, e);
		if (r < 0)
			return r;
		r = remove_names(s, txn, &rec.manifest, ret_n);
		if (r == 0 && !*ret_n)
			return err_set(e, -ERR_ABSENT,
				"image '%s' not found by any name: gc frees it", image);
	}
	return r < 0 ? err_sys(e, r, "cannot remove %s", image) : txn_commit(&txn, e);
}

PUBLIC int plyfs_rmi(
	struct plyfs_store *store, const char *image, size_t *ret_names, struct plyfs_error *error)
{
	struct err e = {0};
	size_t n = 0;
	int r = rmi(store->s, image, &n, &e);

	if (r == 0 && ret_names)
		*ret_names = n;
	return lib_error(r, &e, error);
}

static int read_document(
	struct plyfs_image *p, enum store_file kind, struct buf *ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(p->s, kind, &p->record.manifest, &fd, e);

	if (r < 0)
		return r;
	r = io_slurp(fd, IMAGE_DOC_MAX, ret);
	return r < 0 ? err_sys(e, r, "cannot read an image's documents") : 0;
}

static char *file_path(const struct plyfs_image *p, enum store_file kind)
{
	char name[STORE_NAME_MAX], *path;

	store_file_name(kind, &p->record.manifest, name);
	return asprintf(&path, "%s/%s", p->s->path, name) < 0 ? NULL : path;
}

int lib_view(const struct plyfs_image *image, struct view **ret, struct err *e)
{
	if (!image->view) {
		*e = image->quarantine;
		return e->code;
	}
	*ret = image->view;
	return 0;
}

static int find_native(struct plyfs_image *p, struct err *e)
{
	struct plyfs_image_info *i = &p->info;

	for (size_t n = 0; n < p->record.n_diff_ids; n++) {
		int r = layer_is_native(p->s, &p->record.diff_ids[n], e);

		if (r < 0 && p->view)
			return r;
		p->native[n] = r == 1;
		i->n_native += r == 1;
	}
	i->native = p->native;
	return 0;
}

static int fill_info(struct plyfs_image *p, struct err *e)
{
	static const struct index_info none;
	const struct index_info *x = p->view    ? index_info(view_index(p->view))
				     : p->index ? index_info(p->index)
						: &none;
	struct plyfs_image_info *i = &p->info;

	p->index_path = file_path(p, STORE_IMAGE);
	p->local_index_path = file_path(p, STORE_LOCAL);
	p->layers = calloc(p->record.n_diff_ids + 1, sizeof(*p->layers));
	p->native = calloc(p->record.n_diff_ids + 1, sizeof(*p->native));
	if (!p->index_path || !p->local_index_path || !p->layers || !p->native)
		return err_sys(e, -ENOMEM, "cannot open the image");
	for (size_t n = 0; n < p->record.n_diff_ids; n++)
		digest_text(&p->record.diff_ids[n], p->layers[n]);
	digest_text(&p->record.manifest, i->digest);
	digest_text(&p->record.config, i->config_digest);
	digest_text(&p->record.index, i->index_digest);
	i->index_path = p->index_path;
	i->local_index_path = p->local_index_path;
	i->manifest = (char *)p->manifest.p;
	i->manifest_size = p->manifest.n;
	i->config = (char *)p->config.p;
	i->config_size = p->config.n;
	i->n_layers = p->record.n_diff_ids;
	i->layers = (const char(*)[PLYFS_DIGEST_MAX])p->layers;
	i->inodes = x->inodes;
	i->index_bytes = x->size;
	i->data_bytes = x->data_bytes;
	i->chunks = x->chunks;
	i->quarantined = !p->view;
	return find_native(p, e);
}

/* `image` may be a name, or the beginning of a digest that looks like one. */
static int keep_name(struct plyfs_image *p, const char *image)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	char name[IMAGE_NAME_MAX];
	struct digest found;
	int r;

	if (image_name_parse(image, name, NULL) < 0)
		return 0;
	r = txn_begin(p->s, false, &txn, NULL);
	if (r == 0)
		r = record_name(p->s, txn, name, &found);
	if (r < 0)
		return r;
	if (r == 1 || !digest_equal(&found, &p->record.manifest))
		return 0;
	p->name = strdup(name);
	return p->name ? 0 : -ENOMEM;
}

/* Empty where it cannot be read. */
static int try_document(struct plyfs_image *p, enum store_file kind, struct buf *ret)
{
	if (read_document(p, kind, ret, NULL) < 0)
		ret->n = 0;
	return buf_addf(ret, "%s", "");
}

/* As far as it goes. */
static int open_quarantined(struct plyfs_image *p, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = try_document(p, STORE_MANIFEST, &p->manifest);

	if (store_file_open(p->s, STORE_IMAGE, &p->record.manifest, &fd, NULL) == 0 &&
		index_open(fd, &p->index, NULL) < 0)
		p->index = NULL;
	if (r == 0)
		r = try_document(p, STORE_CONFIG, &p->config);
	return r < 0 ? err_sys(e, r, "cannot open the image") : fill_info(p, e);
}

static int open_image(struct plyfs_image *p, const char *image, struct err *e)
{
	_cleanup_lock_ struct lock lock = LOCK_NONE; /* no gc between finding and opening */
	int r = lock_take(p->s, LOCK_GC, 0, false, true, &lock, e);

	if (r == 0)
		r = image_find(p->s, image, &p->record, e);
	if (r == 0) {
		r = keep_name(p, image);
		if (r < 0)
			return err_sys(e, r, "cannot open the image");
	}
	if (r == 0 && image_check_quarantine(p->s, &p->record, image, &p->quarantine) < 0)
		return open_quarantined(p, e);
	if (r == 0)
		r = view_open(p->s, &p->record, &p->view, e);
	if (r == 0)
		r = read_document(p, STORE_MANIFEST, &p->manifest, e);
	if (r == 0)
		r = read_document(p, STORE_CONFIG, &p->config, e);
	return r < 0 ? r : fill_info(p, e);
}

PUBLIC int plyfs_image_open(struct plyfs_store *store, const char *image,
	struct plyfs_image **ret_image, struct plyfs_error *error)
{
	struct plyfs_image *p = calloc(1, sizeof(*p));
	struct err e = {0};
	int r;

	if (!p)
		return lib_error(-ENOMEM, &e, error);
	p->s = store->s;
	r = open_image(p, image, &e);
	if (r < 0) {
		plyfs_image_close(p);
		return lib_error(r, &e, error);
	}
	*ret_image = p;
	return 0;
}

PUBLIC void plyfs_image_close(struct plyfs_image *image)
{
	if (!image)
		return;
	view_close(image->view);
	index_close(image->index);
	image_record_done(&image->record);
	buf_done(&image->manifest);
	buf_done(&image->config);
	free(image->name);
	free(image->index_path);
	free(image->local_index_path);
	free(image->layers);
	free(image->native);
	free(image);
}

PUBLIC const struct plyfs_image_info *plyfs_image_info(const struct plyfs_image *image)
{
	return &image->info;
}
