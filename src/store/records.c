/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"
#include "util/bytes.h"

#include <fcntl.h>

/* Pages of LMDB. A transaction of gc changes some 4096 at most. */
#define SPARE_LEAST     ((size_t)64)
#define SPARE_MOST      ((size_t)4096)
#define RECORDS_ON_PAGE 16 /* of chunks, at least */

int txn_begin(struct store *s, bool write, MDB_txn **ret, struct err *e)
{
	int r = store_begin(s, write, ret);

	if (r == 1)
		r = -ERR_STORE;
	return r ? err_sys(e, r, "cannot read the records of the store") : 0;
}

int txn_commit(MDB_txn **txn, struct err *e)
{
	int r = mdb_txn_commit(TAKE_PTR(*txn));

	return r ? err_sys(e, store_code(r), "cannot write the records of the store") : 0;
}

int records_reserve(struct store *s, size_t chunks, struct err *e)
{
	size_t used, more, spare;
	MDB_envinfo info;
	MDB_stat st;
	int fd = -1, r = mdb_env_info(s->env, &info);

	if (r == 0)
		r = mdb_env_stat(s->env, &st);
	if (r == 0)
		r = mdb_env_get_fd(s->env, &fd);
	if (r)
		return err_sys(e, store_code(r), "cannot read the records of the store");
	used = info.me_last_pgno + 1;
	more = SPARE_LEAST + chunks / RECORDS_ON_PAGE + (chunks < used ? chunks : used);
	spare = SPARE_LEAST + (used + more < SPARE_MOST ? used + more : SPARE_MOST);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)((used + more + spare) * st.ms_psize)) <
			0 &&
		errno != EOPNOTSUPP)
		return err_sys(e, -errno, "cannot write the records of the store");
	return 0;
}

static MDB_val val(const void *p, size_t n)
{
	return (MDB_val){.mv_data = (void *)(uintptr_t)p, .mv_size = n};
}

static int get(MDB_txn *txn, MDB_dbi dbi, MDB_val key, MDB_val *ret)
{
	int r = mdb_get(txn, dbi, &key, ret);

	return r == MDB_NOTFOUND ? 1 : store_code(r);
}

static int put(MDB_txn *txn, MDB_dbi dbi, MDB_val key, MDB_val value)
{
	return store_code(mdb_put(txn, dbi, &key, &value, 0));
}

int record_read_chunk(const MDB_val *value, struct chunk_record *ret)
{
	struct bytes b = bytes_of(value->mv_data, value->mv_size);

	ret->block = bytes_le32(&b);
	ret->size = bytes_le32(&b);
	ret->pack = bytes_le16(&b);
	return b.bad || b.n || ret->pack >= PACKS_MAX ? -ERR_STORE : 0;
}

int record_chunk(struct store *s, MDB_txn *txn, const struct digest *d, struct chunk_record *ret)
{
	MDB_val v;
	int r = get(txn, s->chunks, val(d->b, DIGEST_SIZE), &v);

	return r ? r : record_read_chunk(&v, ret);
}

int record_put_chunk(
	struct store *s, MDB_txn *txn, const struct digest *d, const struct chunk_record *c)
{
	struct {
		uint32_t block, size;
		uint16_t pack;
	} __attribute__((packed)) v = {htole32(c->block), htole32(c->size), htole16(c->pack)};
	MDB_val key = val(d->b, DIGEST_SIZE), value = val(&v, sizeof(v));
	int r = mdb_put(txn, s->chunks, &key, &value, MDB_NOOVERWRITE);

	return r == MDB_KEYEXIST ? 1 : store_code(r);
}

int record_layer(
	struct store *s, MDB_txn *txn, const struct digest *diff_id, struct digest *ret_index)
{
	MDB_val v;
	int r = get(txn, s->layers, val(diff_id->b, DIGEST_SIZE), &v);

	if (r)
		return r;
	if (v.mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	memcpy(ret_index->b, v.mv_data, DIGEST_SIZE);
	return 0;
}

int record_put_layer(
	struct store *s, MDB_txn *txn, const struct digest *diff_id, const struct digest *index)
{
	return put(txn, s->layers, val(diff_id->b, DIGEST_SIZE), val(index->b, DIGEST_SIZE));
}

void image_record_done(struct image_record *r)
{
	free(r->diff_ids);
	r->diff_ids = NULL;
}

int record_read_image(const MDB_val *key, const MDB_val *value, struct image_record *ret)
{
	struct image_record rec = {0};
	size_t n = value->mv_size / DIGEST_SIZE;
	const struct digest *d = value->mv_data; /* bytes only: no alignment needed */

	if (key->mv_size != DIGEST_SIZE || value->mv_size % DIGEST_SIZE || n < 2)
		return -ERR_STORE;
	memcpy(rec.manifest.b, key->mv_data, DIGEST_SIZE);
	rec.index = d[0];
	rec.config = d[1];
	rec.n_diff_ids = n - 2;
	rec.diff_ids = calloc(n, sizeof(*rec.diff_ids));
	if (!rec.diff_ids)
		return -ENOMEM;
	memcpy(rec.diff_ids, d + 2, (n - 2) * DIGEST_SIZE);
	*ret = rec;
	return 0;
}

int record_image(
	struct store *s, MDB_txn *txn, const struct digest *manifest, struct image_record *ret)
{
	MDB_val key = val(manifest->b, DIGEST_SIZE), v;
	int r = get(txn, s->images, key, &v);

	return r ? r : record_read_image(&key, &v, ret);
}

int record_put_image(struct store *s, MDB_txn *txn, const struct image_record *rec)
{
	size_t n = rec->n_diff_ids + 2;
	_cleanup_free_ struct digest *d = calloc(n, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d[0] = rec->index;
	d[1] = rec->config;
	memcpy(d + 2, rec->diff_ids, rec->n_diff_ids * DIGEST_SIZE);
	return put(txn, s->images, val(rec->manifest.b, DIGEST_SIZE), val(d, n * DIGEST_SIZE));
}

int record_name(struct store *s, MDB_txn *txn, const char *name, struct digest *ret_manifest)
{
	MDB_val v;
	int r = get(txn, s->names, val(name, strlen(name)), &v);

	if (r)
		return r;
	if (v.mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	memcpy(ret_manifest->b, v.mv_data, DIGEST_SIZE);
	return 0;
}

int record_put_name(struct store *s, MDB_txn *txn, const char *name, const struct digest *manifest)
{
	return put(txn, s->names, val(name, strlen(name)), val(manifest->b, DIGEST_SIZE));
}

int record_delete_name(struct store *s, MDB_txn *txn, const char *name)
{
	MDB_val key = val(name, strlen(name));
	int r = mdb_del(txn, s->names, &key, NULL);

	return r == MDB_NOTFOUND ? 1 : store_code(r);
}

struct damaged_key {
	uint8_t kind;
	uint8_t digest[DIGEST_SIZE];
};

static struct damaged_key damaged_key(enum damaged_kind kind, const struct digest *d)
{
	struct damaged_key k = {.kind = (uint8_t)kind};

	memcpy(k.digest, d->b, DIGEST_SIZE);
	return k;
}

int record_damaged(struct store *s, MDB_txn *txn, enum damaged_kind kind, const struct digest *d)
{
	struct damaged_key k = damaged_key(kind, d);
	MDB_val v;

	return get(txn, s->damaged, val(&k, sizeof(k)), &v);
}

int record_count_damaged(struct store *s, MDB_txn *txn, size_t *ret)
{
	MDB_stat st;
	int r = store_code(mdb_stat(txn, s->damaged, &st));

	*ret = r == 0 ? st.ms_entries : 0;
	return r;
}

int record_put_damaged(
	struct store *s, MDB_txn *txn, enum damaged_kind kind, const struct digest *d)
{
	struct damaged_key k = damaged_key(kind, d);

	return put(txn, s->damaged, val(&k, sizeof(k)), val(NULL, 0));
}

int record_delete_damaged(
	struct store *s, MDB_txn *txn, enum damaged_kind kind, const struct digest *d)
{
	struct damaged_key k = damaged_key(kind, d);
	MDB_val key = val(&k, sizeof(k));
	int r = mdb_del(txn, s->damaged, &key, NULL);

	return r == MDB_NOTFOUND ? 1 : store_code(r);
}

int record_for_each(
	struct store *s _unused_, MDB_txn *txn, MDB_dbi dbi, record_each each, void *ctx)
{
	MDB_val key, value;
	MDB_cursor *c;
	int r = mdb_cursor_open(txn, dbi, &c);

	if (r)
		return store_code(r);
	for (r = mdb_cursor_get(c, &key, &value, MDB_FIRST); r == 0;
		r = mdb_cursor_get(c, &key, &value, MDB_NEXT)) {
		int stop = each(ctx, &key, &value);

		if (stop) {
			mdb_cursor_close(c);
			return stop;
		}
	}
	mdb_cursor_close(c);
	return r == MDB_NOTFOUND ? 0 : store_code(r);
}
