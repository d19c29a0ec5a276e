/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"
#include "chunk-table.h"
#include "containers.h"
#include "records.h"
#include "util/log.h"

#include <fcntl.h>
#include <signal.h>

/* What is live at one moment. */
struct moment {
	const struct live *before;
	struct digest_set named, images, layers;
};

static void moment_done(struct moment *m)
{
	digest_set_done(&m->named);
	digest_set_done(&m->images);
	digest_set_done(&m->layers);
}

int live_init(struct live *l, struct store *s, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	MDB_stat st;
	int r = txn_begin(s, false, &txn, e);

	*l = (struct live){.s = s};
	if (r == 0)
		r = store_code(mdb_stat(txn, s->chunks, &st));
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	l->chunks = chunk_map_new(st.ms_entries);
	return l->chunks ? 0 : err_sys(e, -ENOMEM, "cannot mark chunks");
}

void live_done(struct live *l)
{
	digest_set_done(&l->images);
	digest_set_done(&l->layers);
	chunk_map_free(l->chunks);
	l->chunks = NULL;
}

static int note_name(void *ctx, const MDB_val *key _unused_, const MDB_val *value)
{
	struct moment *m = ctx;

	if (value->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	return digest_set_add(&m->named, value->mv_data);
}

/* The image of a container is in use, named or not. */
static int note_container(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct moment *m = ctx;
	struct container c;
	int r = record_read_container(key, value, &c);

	return r < 0 ? r : digest_set_add(&m->named, c.image.b);
}

/*
 * Who opens it just now waits for the end of the lease, and the kernel sends us a signal: one that
 * is ignored unless asked for.
 */
bool live_in_use(const struct store *s, const struct digest *image)
{
	char name[STORE_NAME_MAX];
	_cleanup_close_ int fd =
		openat(s->dirfd, store_file_name(STORE_LOCAL, image, name), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno != ENOENT;
	if (fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
		return false;
	if (errno != EAGAIN)
		log_debug("gc: cannot tell whether %s is in use: %s", name, err_text(-errno));
	return true;
}

static int note_image(void *ctx, const MDB_val *key, const MDB_val *value)
{
	_cleanup_image_record_ struct image_record rec = {0};
	struct moment *m = ctx;
	int r = record_read_image(key, value, &rec);

	if (r < 0)
		return r;
	if (digest_set_has(&m->before->images, rec.manifest.b))
		return 0;
	if (!digest_set_has(&m->named, rec.manifest.b) && !live_in_use(m->before->s, &rec.manifest))
		return 0;
	r = digest_set_add(&m->images, rec.manifest.b);
	for (size_t i = 0; r == 0 && i < rec.n_diff_ids; i++)
		if (!digest_set_has(&m->before->layers, rec.diff_ids[i].b))
			r = digest_set_add(&m->layers, rec.diff_ids[i].b);
	return r;
}

/* What is live now and was not before. */
static int read_moment(struct moment *m, struct err *e)
{
	struct store *s = m->before->s;
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r < 0)
		return r;
	r = record_for_each(s, txn, s->names, note_name, m);
	if (r == 0)
		r = record_for_each(s, txn, s->containers, note_container, m);
	digest_set_sort(&m->named);
	if (r == 0)
		r = record_for_each(s, txn, s->images, note_image, m);
	digest_set_sort(&m->images);
	digest_set_sort(&m->layers);
	return r < 0 ? err_sys(e, r, "cannot read the records of the store") : 0;
}

static int mark_chunk(void *ctx, const struct chunk *c)
{
	struct live *l = ctx;
	uint32_t *mark = chunk_map_put(l->chunks, &c->digest);

	return mark ? 0 : -ENOMEM;
}

int live_update(struct live *l, struct err *e)
{
	_cleanup_(moment_done) struct moment m = {.before = l};
	int r = read_moment(&m, e);

	for (size_t i = 0; r == 0 && i < m.layers.n + m.images.n; i++) {
		bool layer = i < m.layers.n;
		const struct digest *d = layer ? &m.layers.v[i] : &m.images.v[i - m.layers.n];

		r = chunk_table_each(
			l->s, layer ? STORE_LAYER : STORE_IMAGE, d, mark_chunk, l, NULL, e);
		if (r >= 0)
			r = digest_set_add(layer ? &l->layers : &l->images, d->b);
		if (l->progress)
			l->progress(l->progress_ctx, i + 1, m.layers.n + m.images.n);
	}
	digest_set_sort(&l->layers);
	digest_set_sort(&l->images);
	return r < 0 ? err_sys(e, r, "cannot mark chunks") : 0;
}
