/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay-format.h"

#include "util/bytes.h"

static const char *const names[][2] = {
	[OVERLAY_OPAQUE] = {"trusted.overlay.opaque", "user.overlay.opaque"},
	[OVERLAY_REDIRECT] = {"trusted.overlay.redirect", "user.overlay.redirect"},
	[OVERLAY_ORIGIN] = {"trusted.overlay.origin", "user.overlay.origin"},
	[OVERLAY_NLINK] = {"trusted.overlay.nlink", "user.overlay.nlink"},
	[OVERLAY_IMPURE] = {"trusted.overlay.impure", "user.overlay.impure"},
	[OVERLAY_METACOPY] = {"trusted.overlay.metacopy", "user.overlay.metacopy"},
	[OVERLAY_BLOCKS] = {"trusted.overlay.plyfs.blocks", "user.overlay.plyfs.blocks"},
	[OVERLAY_OWNER] = {"trusted.overlay.plyfs.owner", "user.overlay.plyfs.owner"},
	[OVERLAY_CAPABILITY] = {"trusted.overlay.plyfs.capability",
		"user.overlay.plyfs.capability"},
	[OVERLAY_CAN] = {"trusted.overlay.plyfs.can", "user.overlay.plyfs.can"},
};

/* The head of a handle as it is on disk: struct ovl_fb, fs/overlayfs/overlayfs.h of Linux. */
#define ORIGIN_VERSION    0
#define ORIGIN_MAGIC      0xfb
#define ORIGIN_BIG_ENDIAN 1 /* of the processor that wrote the identifier */
#define ORIGIN_HEAD       21
/* FILEID_INO64_GEN of include/linux/exportfs.h: the upper and the lower half of the number, and a
 * generation, which EROFS has not. */
#define ORIGIN_INO64_GEN 0x81
#define ORIGIN_SIZE      (ORIGIN_HEAD + 12)

static const uint8_t origin_flags = __BYTE_ORDER == __BIG_ENDIAN ? ORIGIN_BIG_ENDIAN : 0;

const char *overlay_xattr_name(enum overlay_xattr x, bool user)
{
	return names[x][user];
}

/* As overlayfs: all of the prefix. "overlay.overlay.x" there is a file's own "overlay.x", escaped,
 * which only matters to overlayfs upon overlayfs; here it stays hidden. */
bool overlay_xattr_is_private(const char *name, bool user)
{
	static const char trusted_prefix[] = "trusted.overlay.", user_prefix[] = "user.overlay.";

	if (user)
		return strncmp(name, user_prefix, sizeof(user_prefix) - 1) == 0;
	return strncmp(name, trusted_prefix, sizeof(trusted_prefix) - 1) == 0;
}

int overlay_origin_of_handle(
	const uint8_t uuid[16], int type, const void *handle, size_t n, struct overlay_origin *ret)
{
	const uint8_t head[5] = {ORIGIN_VERSION, ORIGIN_MAGIC, (uint8_t)(ORIGIN_HEAD + n),
		origin_flags, (uint8_t)type};

	if (n > OVERLAY_ORIGIN_MAX - ORIGIN_HEAD)
		return 1;
	memcpy(ret->bytes, head, sizeof(head));
	memcpy(ret->bytes + sizeof(head), uuid, 16);
	memcpy(ret->bytes + ORIGIN_HEAD, handle, n);
	ret->size = ORIGIN_HEAD + n;
	return 0;
}

void overlay_origin_of(const uint8_t uuid[16], uint64_t nid, struct overlay_origin *ret)
{
	const uint32_t fid[3] = {(uint32_t)(nid >> 32), (uint32_t)nid, 0};
	const uint8_t head[5] = {
		ORIGIN_VERSION, ORIGIN_MAGIC, ORIGIN_SIZE, origin_flags, ORIGIN_INO64_GEN};

	memcpy(ret->bytes, head, sizeof(head));
	memcpy(ret->bytes + sizeof(head), uuid, 16);
	memcpy(ret->bytes + ORIGIN_HEAD, fid, sizeof(fid));
	ret->size = ORIGIN_SIZE;
}

int overlay_origin_nid(const void *value, size_t size, const uint8_t uuid[16], uint64_t *ret_nid)
{
	struct overlay_origin o;
	uint32_t fid[3];
	uint64_t nid;

	if (size != ORIGIN_SIZE)
		return 1;
	memcpy(fid, (const uint8_t *)value + ORIGIN_HEAD, sizeof(fid));
	nid = (uint64_t)fid[0] << 32 | fid[1];
	overlay_origin_of(uuid, nid, &o);
	if (memcmp(o.bytes, value, size) != 0)
		return 1;
	*ret_nid = nid;
	return 0;
}

int overlay_origin_handle(
	const void *value, size_t size, const uint8_t uuid[16], int *ret_type, size_t *ret_at)
{
	const uint8_t *p = value;

	if (size <= ORIGIN_HEAD || size > OVERLAY_ORIGIN_MAX || p[0] != ORIGIN_VERSION ||
		p[1] != ORIGIN_MAGIC || p[2] != size || p[3] != origin_flags ||
		memcmp(p + 5, uuid, 16) != 0)
		return 1;
	*ret_type = p[4];
	*ret_at = ORIGIN_HEAD;
	return 0;
}
