/* SPDX-License-Identifier: Apache-2.0 */
#include "chunk-table.h"
#include "records.h"
#include "format/split.h"
#include "util/log.h"

static int known_damaged(struct store *s, enum store_file kind, const struct digest *name)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, NULL);

	return r < 0 ? r
		     : record_damaged(
			       s, txn, kind == STORE_LAYER ? DAMAGED_LAYER : DAMAGED_IMAGE, name);
}

static int open_index(struct store *s, enum store_file kind, const struct digest *name,
	struct index **ret, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = store_file_open(s, kind, name, &fd, e);

	return r < 0 ? r : index_open(fd, ret, e);
}

/* *ret_fd must stay open. */
static int open_split(struct store *s, const struct digest *diff_id, int *ret_fd,
	struct split **ret, struct err *e)
{
	int r = store_file_open(s, STORE_SPLIT, diff_id, ret_fd, e);

	return r < 0 ? r : split_open(*ret_fd, ret, e);
}

static int each_of_index(const struct index *x, chunk_table_fn each, void *ctx)
{
	int r = 0;

	for (uint64_t n = 0; r == 0 && n < index_info(x)->chunks; n++) {
		struct chunk c;

		index_chunk(x, n, &c);
		r = each(ctx, &c);
	}
	return r;
}

/* The chunks of a layer's tar that are in no index. */
static int each_of_split(const struct split *split, chunk_table_fn each, void *ctx)
{
	const struct chunk *extras;
	size_t n = 0;
	int r = 0;

	extras = split_extras(split, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = each(ctx, &extras[i]);
	return r;
}

static int read_index(struct store *s, enum store_file kind, const struct digest *name,
	chunk_table_fn each, void *ctx, struct index_info *ret_info, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	int r = open_index(s, kind, name, &x, e);

	if (r < 0)
		return r;
	r = each_of_index(x, each, ctx);
	if (ret_info)
		*ret_info = *index_info(x);
	return r < 0 ? err_sys(e, r, "cannot read the chunks of an index") : 0;
}

static int read_split(struct store *s, const struct digest *diff_id, chunk_table_fn each, void *ctx,
	struct err *e)
{
	_cleanup_(split_closep) struct split *split = NULL;
	_cleanup_close_ int fd = -1;
	int r = open_split(s, diff_id, &fd, &split, e);

	if (r == 0)
		r = each_of_split(split, each, ctx);
	return r < 0 ? err_sys(e, r, "cannot read the chunks of a layer") : 0;
}

int chunk_table_each(struct store *s, enum store_file kind, const struct digest *name,
	chunk_table_fn each, void *ctx, struct index_info *ret_info, struct err *e)
{
	struct err why = {0};
	int r = read_index(s, kind, name, each, ctx, ret_info, &why);

	if (r == 0 && kind == STORE_LAYER)
		r = read_split(s, name, each, ctx, &why);
	if (r < 0 && r != -ENOMEM && known_damaged(s, kind, name) == 0) {
		log_debug("%s", why.text);
		return 1;
	}
	return r < 0 ? err_set(e, r, "%s", why.text) : 0;
}

int chunk_table_each_readable(struct store *s, enum store_file kind, const struct digest *name,
	chunk_table_fn each, void *ctx)
{
	_cleanup_(split_closep) struct split *split = NULL;
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (open_index(s, kind, name, &x, NULL) == 0)
		r = each_of_index(x, each, ctx);
	if (r == 0 && kind == STORE_LAYER && open_split(s, name, &fd, &split, NULL) == 0)
		r = each_of_split(split, each, ctx);
	return r;
}
