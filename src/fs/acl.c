/* SPDX-License-Identifier: Apache-2.0 */
#include "acl.h"

#include <endian.h>

/* struct posix_acl_xattr_header and _entry of <linux/posix_acl_xattr.h>. */
#define ACL_XATTR_VERSION 2
#define ACL_TAG_USER      0x02
#define ACL_TAG_GROUP     0x08
struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

static int check(const uint8_t *acl, size_t n)
{
	uint32_t version;

	if (n < sizeof(version) || (n - sizeof(version)) % sizeof(struct acl_entry) != 0)
		return -EINVAL;
	memcpy(&version, acl, sizeof(version));
	return le32toh(version) == ACL_XATTR_VERSION ? 0 : -EOPNOTSUPP;
}

static int map_ids(uint8_t *acl, size_t n, const struct id_map *uids, const struct id_map *gids,
	uint32_t (*map)(const struct id_map *m, uint32_t id))
{
	struct acl_entry e;
	int r = check(acl, n);

	for (size_t i = sizeof(uint32_t); r == 0 && i < n; i += sizeof(e)) {
		uint32_t id;

		memcpy(&e, acl + i, sizeof(e));
		if (le16toh(e.tag) != ACL_TAG_USER && le16toh(e.tag) != ACL_TAG_GROUP)
			continue;
		id = map(le16toh(e.tag) == ACL_TAG_USER ? uids : gids, le32toh(e.id));
		if (id == (uint32_t)-1)
			return -EINVAL;
		e.id = htole32(id);
		memcpy(acl + i, &e, sizeof(e));
	}
	return r;
}

int acl_ids_in(void *acl, size_t n, const struct id_map *uids, const struct id_map *gids)
{
	return map_ids(acl, n, uids, gids, id_in);
}

void acl_ids_out(void *acl, size_t n, const struct id_map *uids, const struct id_map *gids)
{
	(void)!map_ids(acl, n, uids, gids, id_out);
}
