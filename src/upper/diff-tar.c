/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"
#include "container-image.h"
#include "format/tree-tar.h"
#include "image/quarantine.h"

static int begin(void *ctx, struct inode *i, struct err *e)
{
	int r = delta_hold(ctx, i, e);

	return r == 1 ? err_set(e, -ERR_CONFLICT, "it was removed while it was read") : r;
}

static int is_hole(void *ctx, struct inode *i, uint64_t k, struct err *e)
{
	return delta_is_hole(ctx, i, k, e);
}

static int put(
	void *ctx, struct inode *i, uint64_t off, uint64_t n, struct sink *out, struct err *e)
{
	while (n) {
		uint8_t *room;
		size_t k;
		int r = out->room(out, &room, &k);

		if (r < 0)
			return err_sys(e, r, "cannot write");
		k = k < n ? k : (size_t)n;
		r = delta_read(ctx, i, room, k, off, e);
		if (r < 0)
			return r;
		r = out->fill(out, k);
		if (r < 0)
			return err_sys(e, r, "cannot write");
		off += k;
		n -= k;
	}
	return 0;
}

/* What was written is written: nothing can be tried again. */
static int end(void *ctx, struct inode *i _unused_, struct err *e)
{
	int r = delta_changed(ctx, e);

	delta_release(ctx);
	return r == 1 ? err_set(e, -ERR_CONFLICT, "it was written to while it was read") : r;
}

int container_diff_tar(struct store *s, const struct container *c, const struct delta_live *live,
	struct sink *out, struct err *e)
{
	_cleanup_(container_delta_done) struct container_delta x = {0};
	struct tree_tar_content content = {
		.begin = begin, .is_hole = is_hole, .put = put, .end = end};
	int r = container_delta_open(s, c, live, &x, e);

	content.ctx = x.delta;
	if (r == 0)
		r = tree_tar_write(delta_tree(x.delta), out, &content, e);
	return r < 0 ? err_prefix(e, r, "container '%s'", c->id) : 0;
}
