/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"
#include "image/local.h"
#include "image/name.h"
#include "mount/kernel.h"
#include "store/pack.h"

static void free_paths(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
}

static int mount_index(
	struct store *s, const struct image_record *rec, int fd, const char *dir, struct err *e)
{
	_cleanup_(index_closep) struct index *x = NULL;
	_cleanup_free_ char *index_path = NULL;
	char name[STORE_NAME_MAX], *packs[INDEX_DEVICES_MAX] = {NULL};
	size_t n = 0;
	int r = index_open(fd, &x, e); /* reads its first block alone */

	if (r < 0)
		return r;
	if (asprintf(&index_path, "%s/%s", s->path,
		    store_file_name(STORE_LOCAL, &rec->manifest, name)) < 0)
		return err_sys(e, -ENOMEM, "cannot mount");
	for (; n < index_info(x)->devices; n++) {
		char pack[PACK_NAME_MAX];

		if (asprintf(&packs[n], "%s/%s", s->path, pack_name((uint16_t)n, pack)) < 0) {
			packs[n] = NULL;
			free_paths(packs, n);
			return err_sys(e, -ENOMEM, "cannot mount");
		}
	}
	r = kernel_mount(index_path, packs, n, dir, e);
	free_paths(packs, n);
	return r;
}

PUBLIC int plyfs_mount(
	struct plyfs_store *store, const char *image, const char *dir, struct plyfs_error *error)
{
	_cleanup_image_record_ struct image_record rec = {0};
	_cleanup_close_ int fd = -1;
	struct err e = {0};
	struct stat st;
	int r = 0;

	if (stat(dir, &st) < 0)
		r = err_sys(&e, -errno, "cannot mount on %s", dir);
	else if (!S_ISDIR(st.st_mode))
		r = err_sys(&e, -ENOTDIR, "cannot mount on %s", dir);
	if (r == 0)
		r = lib_find_open(store->s, image, &rec, &fd, &e);
	if (r == 0)
		r = mount_index(store->s, &rec, fd, dir, &e);
	return lib_error(r, &e, error);
}

/* The digest of the image that a mount's source is the local index of; false if it is not ours. */
static bool source_digest(const struct store *s, const char *source, struct digest *ret)
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

PUBLIC int plyfs_mounts(struct plyfs_store *store,
	int (*each)(void *ctx, const char *dir, const char *digest), void *ctx,
	struct plyfs_error *error)
{
	struct mount_entry *v;
	struct err e = {0};
	size_t n;
	int r = kernel_mounts(&v, &n, &e);

	if (r < 0)
		return lib_error(r, &e, error);
	for (size_t i = 0; r == 0 && i < n; i++) {
		char text[DIGEST_TEXT_MAX];
		struct digest d;

		if (source_digest(store->s, v[i].source, &d))
			r = each(ctx, v[i].dir, digest_text(&d, text));
	}
	mount_entries_free(v, n);
	return r;
}

static int umount_ours(struct store *s, const char *dir, bool lazy, struct err *e)
{
	_cleanup_free_ char *real = realpath(dir, NULL);
	struct mount_entry *v;
	struct digest d;
	bool ours = false;
	size_t n;
	int r;

	if (!real)
		return err_sys(e, -errno, "%s", dir);
	r = kernel_mounts(&v, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].dir, real) == 0)
			ours = source_digest(s, v[i].source, &d);
	mount_entries_free(v, n);
	if (!ours)
		return err_set(e, -EINVAL, "%s is no mount of an image of %s", dir, s->path);
	return kernel_umount(real, lazy, e);
}

PUBLIC int plyfs_umount(
	struct plyfs_store *store, const char *dir, int lazy, struct plyfs_error *error)
{
	struct err e = {0};
	int r = umount_ours(store->s, dir, lazy, &e);

	return lib_error(r, &e, error);
}
