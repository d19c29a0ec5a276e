/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "mount/mounts.h"
#include "mount/overlay.h"
#include "upper/container.h"

void lib_mount_list_done(struct lib_mount_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].dir);
		free(l->v[i].source);
		free(l->v[i].container);
	}
	free(l->v);
}

/* The image whose local index the source is; false if it is none of ours. */
static bool index_digest(const struct store *s, const char *source, struct digest *ret)
{
	char hex[DIGEST_HEX_SIZE + 1] = {0};
	size_t n = strlen(s->path);
	const char *name;

	if (strncmp(source, s->path, n) != 0 || strncmp(source + n, "/local/", 7) != 0)
		return false;
	name = source + n + 7;
	if (strcspn(name, ".") != DIGEST_HEX_SIZE)
		return false;
	memcpy(hex, name, DIGEST_HEX_SIZE);
	return digest_parse_hex(hex, ret) == 0;
}

/* 1 = a mount of this store. The strings stay the entry's. */
static int read_entry(const struct lib_mount_list *l, struct store *s, const struct mount_entry *m,
	struct lib_mount *ret)
{
	const char *id = overlay_source_id(m->source, s->path);
	bool fuse = strncmp(m->type, "fuse", 4) == 0;

	*ret = (struct lib_mount){.dev = m->dev, .fuse = fuse};
	if (strcmp(m->type, "erofs") == 0) {
		ret->driver = "kernel";
		return index_digest(s, m->source, &ret->image) ? ret->known = true, 1 : 0;
	}
	if (!id)
		return 0;
	if (fuse && digest_parse(id, &ret->image) == 0) {
		ret->driver = "fuse";
		ret->known = true;
		return 1;
	}
	ret->driver = fuse ? "cow" : "overlay";
	for (size_t i = 0; i < l->n_containers; i++)
		if (strcmp(l->containers[i].id, id) == 0) {
			ret->image = l->containers[i].image;
			ret->known = true;
		}
	ret->container = strdup(id);
	return ret->container ? 1 : -ENOMEM;
}

int lib_mounts(struct store *s, struct lib_mount_list *ret, struct err *e)
{
	_cleanup_(lib_mount_list_done) struct lib_mount_list l = {0};
	_cleanup_free_ struct container *containers = NULL;
	struct mount_entry *v = NULL;
	size_t n = 0;
	int r = mount_entries(&v, &n, e);

	if (r == 0)
		r = container_list(s, &containers, &l.n_containers, e);
	l.containers = containers;
	l.v = r == 0 ? calloc(n + 1, sizeof(*l.v)) : NULL;
	if (r == 0 && !l.v)
		r = err_sys(e, -ENOMEM, "cannot list the mounts");
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = read_entry(&l, s, &v[i], &l.v[l.n]);
		if (r == 1) {
			l.v[l.n].source = TAKE_PTR(v[i].source);
			l.v[l.n++].dir = TAKE_PTR(v[i].dir);
			r = 0;
		}
	}
	mount_entries_free(v, n);
	if (r < 0)
		return err_sys(e, r, "cannot list the mounts");
	*ret = l;
	ret->containers = NULL;
	l = (struct lib_mount_list){0};
	return 0;
}

PUBLIC int plyfs_mounts(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_mount *mount), void *ctx,
	struct plyfs_error *error)
{
	_cleanup_(lib_mount_list_done) struct lib_mount_list l = {0};
	struct err e = {0};
	int r = lib_mounts(store->s, &l, &e);

	if (r < 0)
		return lib_error(r, &e, error);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		char text[DIGEST_TEXT_MAX] = "";
		struct plyfs_mount m = {
			.dir = l.v[i].dir,
			.driver = l.v[i].driver,
			.digest = l.v[i].known ? digest_text(&l.v[i].image, text) : "",
			.container = l.v[i].container,
		};

		r = each(ctx, &m);
	}
	return r;
}

static int umount_ours(struct store *s, const char *dir, bool lazy, struct err *e)
{
	_cleanup_(lib_mount_list_done) struct lib_mount_list l = {0};
	_cleanup_free_ char *real = realpath(dir, NULL);
	const struct lib_mount *m = NULL;
	int r;

	if (!real)
		return err_sys(e, -errno, "%s", dir);
	r = lib_mounts(s, &l, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++)
		if (strcmp(l.v[i].dir, real) == 0)
			m = &l.v[i];
	if (!m)
		return err_set(e, -EINVAL, "%s is no mount of an image of %s", dir, s->path);
	return m->fuse ? lib_fuse_umount(&l, m, lazy, e) : mount_remove(real, lazy, e);
}

PUBLIC int plyfs_umount(
	struct plyfs_store *store, const char *dir, int lazy, struct plyfs_error *error)
{
	struct err e = {0};
	int r = umount_ours(store->s, dir, lazy, &e);

	return lib_error(r, &e, error);
}
