/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"
#include "chunk-map.h"
#include "chunk-table.h"
#include "containers.h"
#include "live.h"
#include "records.h"

#include <fcntl.h>
#include <sys/stat.h>

/* What the map says of a chunk: 0 nobody's, the number of its owner + 1, or this. */
#define SHARED UINT32_MAX

static uint64_t in_packs(uint32_t size)
{
	return (uint64_t)chunk_blocks(size) * PACK_BLOCK_SIZE;
}

/* ---- totals ------------------------------------------------------------------------------- */

struct count {
	struct store *s;
	struct usage_totals *t;
};

static int count_chunk(void *ctx, const MDB_val *key _unused_, const MDB_val *value)
{
	struct count *c = ctx;
	struct chunk_record rec;
	int r = record_read_chunk(value, &rec);

	c->t->chunks++;
	c->t->chunk_bytes += r == 0 ? rec.size : 0;
	return r;
}

static int read_digest(const MDB_val *v, struct digest *ret)
{
	if (v->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	memcpy(ret->b, v->mv_data, DIGEST_SIZE);
	return 0;
}

static uint64_t file_bytes(struct store *s, enum store_file kind, const struct digest *name)
{
	char path[STORE_NAME_MAX];
	struct stat st;

	if (fstatat(s->dirfd, store_file_name(kind, name, path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_size;
}

static int count_layer(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	struct count *c = ctx;
	struct digest d;
	int r = read_digest(key, &d);

	if (r < 0)
		return r;
	c->t->layers++;
	c->t->index_bytes += file_bytes(c->s, STORE_LAYER, &d);
	c->t->split_bytes += file_bytes(c->s, STORE_SPLIT, &d);
	return 0;
}

/* The content is known to the header of the index. */
static int count_image(void *ctx, const MDB_val *key, const MDB_val *value _unused_)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	struct count *c = ctx;
	struct digest d;
	int r = read_digest(key, &d);

	if (r < 0)
		return r;
	c->t->images++;
	c->t->index_bytes += file_bytes(c->s, STORE_IMAGE, &d);
	if (store_file_open(c->s, STORE_IMAGE, &d, &fd, NULL) == 0 && index_open(fd, &x, NULL) == 0)
		c->t->data_bytes += index_info(x)->data_bytes;
	return 0;
}

static int count_name(void *ctx, const MDB_val *key _unused_, const MDB_val *value _unused_)
{
	((struct count *)ctx)->t->names++;
	return 0;
}

static int count_container(void *ctx, const MDB_val *key _unused_, const MDB_val *value _unused_)
{
	((struct count *)ctx)->t->containers++;
	return 0;
}

static int count_free(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct count *c = ctx;
	struct extent x;
	int r = space_read(key, value, &x);

	if (r == 0 && x.block != PACK_BLOCKS_MAX)
		c->t->free_bytes += (uint64_t)x.blocks * PACK_BLOCK_SIZE;
	return r;
}

static int count_held(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct count *c = ctx;
	uint64_t session;
	struct extent x;
	int r = space_read_held(key, value, &session, &x);

	c->t->held_bytes += r == 0 ? (uint64_t)x.blocks * PACK_BLOCK_SIZE : 0;
	return r;
}

static int count_files(struct store *s, const char *dir, uint64_t *ret)
{
	int fd = openat(s->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dp = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	struct stat st;

	*ret = 0;
	if (!dp)
		return -errno;
	while ((de = readdir(dp)))
		if (strcmp(de->d_name, "..") != 0 &&
			fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			if (!S_ISDIR(st.st_mode) || strcmp(de->d_name, ".") == 0)
				*ret += (uint64_t)st.st_blocks * 512;
	return 0;
}

static int count_disk(struct store *s, struct usage_totals *t)
{
	static const char *const dirs[] = {"packs", ".", "layers", "images", "local", "tmp"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		uint64_t bytes;

		r = count_files(s, dirs[i], &bytes);
		t->disk_bytes += bytes;
		if (i == 0)
			t->pack_bytes = bytes;
	}
	return r;
}

int usage_totals(struct store *s, struct usage_totals *ret, struct err *e)
{
	const struct {
		MDB_dbi dbi;
		record_each each;
	} passes[] = {
		{s->chunks, count_chunk},
		{s->layers, count_layer},
		{s->images, count_image},
		{s->names, count_name},
		{s->space, count_free},
		{s->held, count_held},
		{s->containers, count_container},
	};
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct usage_totals t = {0};
	struct count c = {s, &t};
	int r = txn_begin(s, false, &txn, e);

	for (size_t i = 0; r == 0 && i < sizeof(passes) / sizeof(passes[0]); i++)
		r = record_for_each(s, txn, passes[i].dbi, passes[i].each, &c);
	if (r == 0)
		r = count_disk(s, &t);
	if (r == 0)
		r = containers_disk_bytes(s, &t.container_bytes, e);
	t.disk_bytes += t.container_bytes;
	if (r < 0)
		return err_sys(e, r, "cannot read the store");
	*ret = t;
	return 0;
}

/* ---- the live images ---------------------------------------------------------------------- */

struct reading {
	struct store *s;
	struct usage *u;
};

static int order_of_images(const void *a, const void *b)
{
	return memcmp(((const struct usage_image *)a)->manifest.b,
		((const struct usage_image *)b)->manifest.b, DIGEST_SIZE);
}

static int order_of_names(const void *pa, const void *pb)
{
	const struct usage_image *a = pa, *b = pb;

	if (!a->n_names || !b->n_names)
		return !a->n_names - !b->n_names;
	return strcmp(a->names[0], b->names[0]);
}

static int add_image(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	struct usage *u = ((struct reading *)ctx)->u;
	struct usage_image *v;
	int r = record_read_image(key, value, &rec);

	if (r < 0)
		return r;
	v = reallocarray(u->images, u->n_images + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	u->images = v;
	v[u->n_images++] = (struct usage_image){.manifest = rec.manifest,
		.n_diff_ids = rec.n_diff_ids,
		.diff_ids = TAKE_PTR(rec.diff_ids)};
	return 0;
}

static struct usage_image *find_image(struct usage *u, const struct digest *manifest)
{
	struct usage_image what = {.manifest = *manifest};

	return u->n_images ? bsearch(&what, u->images, u->n_images, sizeof(what), order_of_images)
			   : NULL;
}

static int add_container(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct usage_image *image;
	struct container c;
	int r = record_read_container(key, value, &c);

	if (r < 0)
		return r;
	image = find_image(((struct reading *)ctx)->u, &c.image);
	if (image)
		image->containers++;
	return 0;
}

static int add_name(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct usage *u = ((struct reading *)ctx)->u;
	struct usage_image *image;
	struct digest manifest;
	char **names;
	int r = read_digest(value, &manifest);

	if (r < 0)
		return r;
	image = find_image(u, &manifest);
	if (!image)
		return 0;
	names = reallocarray(image->names, image->n_names + 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	image->names = names;
	names[image->n_names] = strndup(key->mv_data, key->mv_size);
	return names[image->n_names] ? (image->n_names++, 0) : -ENOMEM;
}

static void image_done(struct usage_image *image)
{
	for (size_t i = 0; i < image->n_names; i++)
		free(image->names[i]);
	free(image->names);
	free(image->diff_ids);
}

/* Leaves out those that gc would free, and sorts the rest by name. */
static void choose_live(struct store *s, struct usage *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_images; i++) {
		if (u->images[i].n_names || u->images[i].containers ||
			live_in_use(s, &u->images[i].manifest))
			u->images[n++] = u->images[i];
		else
			image_done(&u->images[i]);
	}
	u->n_images = n;
	if (n)
		qsort(u->images, n, sizeof(*u->images), order_of_names);
}

static int read_images(struct store *s, struct usage *u, struct err *e)
{
	struct reading ctx = {s, u};
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r == 0) /* in the order of their digests */
		r = record_for_each(s, txn, s->images, add_image, &ctx);
	if (r == 0)
		r = record_for_each(s, txn, s->names, add_name, &ctx);
	if (r == 0)
		r = record_for_each(s, txn, s->containers, add_container, &ctx);
	choose_live(s, u);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 0;
}

static int order_of_layers(const void *a, const void *b)
{
	return memcmp(((const struct usage_layer *)a)->diff_id.b,
		((const struct usage_layer *)b)->diff_id.b, DIGEST_SIZE);
}

static struct usage_layer *find_layer(const struct usage *u, const struct digest *diff_id)
{
	struct usage_layer what = {.diff_id = *diff_id};

	return bsearch(&what, u->layers, u->n_layers, sizeof(what), order_of_layers);
}

/* A layer may be in an image twice: it counts once. */
static bool first_of(const struct usage_image *image, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (digest_equal(&image->diff_ids[i], &image->diff_ids[k]))
			return false;
	return true;
}

/* The layers of the images, each once, and in how many images they are. */
static int collect_layers(struct usage *u)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < u->n_images; i++)
		n += u->images[i].n_diff_ids;
	u->layers = calloc(n + 1, sizeof(*u->layers));
	if (!u->layers)
		return -ENOMEM;
	for (size_t i = 0; i < u->n_images; i++)
		for (size_t k = 0; k < u->images[i].n_diff_ids; k++)
			if (first_of(&u->images[i], k))
				u->layers[u->n_layers++].diff_id = u->images[i].diff_ids[k];
	qsort(u->layers, u->n_layers, sizeof(*u->layers), order_of_layers);
	for (size_t i = 0; i < u->n_layers; i++) {
		if (!kept || order_of_layers(&u->layers[kept - 1], &u->layers[i]))
			u->layers[kept++] = u->layers[i];
		u->layers[kept - 1].images++;
	}
	u->n_layers = kept;
	return 0;
}

/* ---- who owns the chunks ------------------------------------------------------------------ */

struct owning {
	struct chunk_map *map;
	uint32_t owner;       /* of what is read; SHARED: of several */
	uint64_t own, shared; /* sums of sum_chunk */
	struct usage *u;      /* for give_chunk */
};

static int mark_chunk(void *ctx, const struct chunk *c)
{
	struct owning *o = ctx;
	uint32_t *owner = chunk_map_put(o->map, &c->digest);

	if (!owner)
		return -ENOMEM;
	*owner = *owner && *owner != o->owner ? SHARED : o->owner;
	return 0;
}

static int sum_chunk(void *ctx, const struct chunk *c)
{
	struct owning *o = ctx;
	const uint32_t *owner = chunk_map_find(o->map, &c->digest);

	*(owner && *owner == o->owner ? &o->own : &o->shared) += in_packs(c->size);
	return 0;
}

/* Adds a recorded chunk to its owner's. */
static int give_chunk(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct owning *o = ctx;
	struct chunk_record rec;
	const uint32_t *owner;
	struct digest d;
	int r = record_read_chunk(value, &rec);

	if (r == 0)
		r = read_digest(key, &d);
	if (r < 0)
		return r;
	owner = chunk_map_find(o->map, &d);
	if (!owner)
		o->u->unused_bytes += in_packs(rec.size);
	else if (*owner != SHARED)
		o->u->images[*owner - 1].own_bytes += in_packs(rec.size);
	return 0;
}

/* In a layer that several images have, all chunks are shared. */
static int mark_layers(struct store *s, struct usage *u, struct owning *o, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < u->n_images; i++) {
		const struct usage_image *image = &u->images[i];

		for (size_t k = 0; r >= 0 && k < image->n_diff_ids; k++) {
			struct usage_layer *l = find_layer(u, &image->diff_ids[k]);

			if (!l->images) /* done already */
				continue;
			o->owner = l->images > 1 ? SHARED : (uint32_t)i + 1;
			l->images = 0;
			r = chunk_table_each(s, STORE_LAYER, &l->diff_id, mark_chunk, o, NULL, e);
		}
	}
	return r < 0 ? r : 0;
}

static int share_images(struct store *s, struct usage *u, struct owning *o, struct err *e)
{
	struct index_info info;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < u->n_images; i++) {
		o->owner = (uint32_t)i + 1;
		r = chunk_table_each(
			s, STORE_IMAGE, &u->images[i].manifest, mark_chunk, o, NULL, e);
	}
	for (size_t i = 0; r >= 0 && i < u->n_images; i++) {
		o->owner = (uint32_t)i + 1;
		o->shared = 0;
		info = (struct index_info){0};
		r = chunk_table_each(
			s, STORE_IMAGE, &u->images[i].manifest, sum_chunk, o, &info, e);
		u->images[i].shared_bytes = o->shared;
		u->images[i].data_bytes = info.data_bytes;
		u->images[i].index_bytes = info.size;
	}
	return r < 0 ? r : 0;
}

static int count_owned(struct store *s, struct owning *o, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = record_for_each(s, txn, s->chunks, give_chunk, o);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 0;
}

static int new_map(struct store *s, struct chunk_map **ret, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	MDB_stat st;
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = store_code(mdb_stat(txn, s->chunks, &st));
	if (r == 0 && !(*ret = chunk_map_new(st.ms_entries)))
		r = -ENOMEM;
	return r < 0 ? err_sys(e, r, "cannot read the store") : 0;
}

/* The live images and layers, and a map for their chunks. */
static int begin(struct store *s, struct usage *u, struct chunk_map **ret, struct err *e)
{
	int r = read_images(s, u, e);

	if (r == 0 && collect_layers(u) < 0)
		r = err_sys(e, -ENOMEM, "cannot read the store");
	return r < 0 ? r : new_map(s, ret, e);
}

int usage_images(struct store *s, struct usage *ret, struct err *e)
{
	_cleanup_(chunk_map_freep) struct chunk_map *map = NULL;
	_cleanup_usage_ struct usage u = {0};
	struct owning o = {.u = &u};
	int r = begin(s, &u, &map, e);

	o.map = map;
	if (r == 0)
		r = mark_layers(s, &u, &o, e);
	if (r == 0)
		r = share_images(s, &u, &o, e);
	if (r == 0)
		r = count_owned(s, &o, e);
	if (r < 0)
		return r;
	*ret = u;
	u = (struct usage){0};
	return 0;
}

int usage_layers(struct store *s, struct usage *ret, struct err *e)
{
	_cleanup_(chunk_map_freep) struct chunk_map *map = NULL;
	_cleanup_usage_ struct usage u = {0};
	struct owning o = {0};
	int r = begin(s, &u, &map, e);

	o.map = map;
	for (size_t i = 0; r >= 0 && i < u.n_layers; i++) {
		o.owner = (uint32_t)i + 1;
		r = chunk_table_each(s, STORE_LAYER, &u.layers[i].diff_id, mark_chunk, &o, NULL, e);
	}
	for (size_t i = 0; r >= 0 && i < u.n_layers; i++) {
		struct index_info info = {0};

		o.owner = (uint32_t)i + 1;
		o.own = o.shared = 0;
		r = chunk_table_each(s, STORE_LAYER, &u.layers[i].diff_id, sum_chunk, &o, &info, e);
		u.layers[i].own_bytes = o.own;
		u.layers[i].shared_bytes = o.shared;
		u.layers[i].data_bytes = info.data_bytes;
	}
	if (r < 0)
		return r;
	*ret = u;
	u = (struct usage){0};
	return 0;
}

void usage_done(struct usage *u)
{
	for (size_t i = 0; i < u->n_images; i++)
		image_done(&u->images[i]);
	free(u->images);
	free(u->layers);
	*u = (struct usage){0};
}
