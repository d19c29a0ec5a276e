/* SPDX-License-Identifier: Apache-2.0 */
#include "native.h"
#include "layer-tar.h"
#include "meter.h"

int layer_is_native(struct store *s, const struct digest *diff_id, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct digest index;
	int r = txn_begin(s, false, &txn, e);

	if (r == 0)
		r = record_layer(s, txn, diff_id, &index);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	return r == 0 && digest_equal(&index, diff_id);
}

/* A sink that forgets what it is given. */
struct nowhere {
	struct sink sink;
	uint8_t room[256 << 10];
};

static int nowhere_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct nowhere *w = (struct nowhere *)s;

	*ret_p = w->room;
	*ret_n = sizeof(w->room);
	return 0;
}

static int nowhere_fill(struct sink *s _unused_, size_t n _unused_)
{
	return 0;
}

int native_diff_id(struct store *s, const struct digest *name, struct digest *ret,
	uint64_t *ret_size, struct err *e)
{
	_cleanup_(digest_ctx_freep) struct digest_ctx *digest = digest_ctx_new();
	_cleanup_free_ struct nowhere *w = malloc(sizeof(*w));
	struct meter meter;
	int r;

	if (!digest || !w)
		return err_sys(e, -ENOMEM, "cannot read a layer");
	w->sink = (struct sink){nowhere_room, nowhere_fill};
	meter = meter_of(&w->sink);
	meter.digest = digest;
	r = layer_tar_write(s, name, &meter.sink, e);
	if (r < 0)
		return r;
	digest_ctx_final(digest, ret);
	*ret_size = meter.n;
	return 0;
}
