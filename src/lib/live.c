/* SPDX-License-Identifier: Apache-2.0 */
/* A container that is mounted by FUSE, and read meanwhile: through its server (control.h). */
#include "lib.h"
#include "mount/control.h"

static int sync_all(void *ctx, struct err *e)
{
	return control_sync(ctx, e);
}

static int hold(void *ctx, const char *path, void **ret_hold, struct err *e)
{
	int r = control_hold(ctx, path, e);

	if (r == 0)
		*ret_hold = ctx;
	return r;
}

static int unhold(void *ctx, void *held _unused_)
{
	return control_unhold(ctx, NULL);
}

int lib_live_connect(
	struct store *s, const struct container *c, struct lib_live *ret, struct err *e)
{
	_cleanup_free_ char *upper = NULL, *work = NULL;
	struct control_client *client = NULL;
	int r = container_paths(s, c, &upper, &work, e);

	if (r == 0)
		r = control_connect(work, &client, e);
	if (r == 1)
		return lib_container_busy(s, c, e);
	if (r < 0)
		return r;
	ret->client = client;
	ret->live = (struct delta_live){
		.ctx = client, .sync = sync_all, .hold = hold, .unhold = unhold};
	return 0;
}

void lib_live_done(struct lib_live *l)
{
	if (l->client)
		control_close(TAKE_PTR(l->client));
}
