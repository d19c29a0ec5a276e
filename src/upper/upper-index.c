/* SPDX-License-Identifier: Apache-2.0 */
/* WORK/index: copied-up files of several names; and how many names they have. */
#include "upper.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const char *upper_index_name(const struct overlay_origin *o, char ret[UPPER_INDEX_NAME_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < o->size; i++) {
		ret[2 * i] = digits[o->bytes[i] >> 4];
		ret[2 * i + 1] = digits[o->bytes[i] & 15];
	}
	ret[2 * i] = 0;
	return ret;
}

int upper_index_stat(struct upper *up, const struct overlay_origin *o, struct stat *ret)
{
	char name[UPPER_INDEX_NAME_SIZE];
	struct stat st;

	if (!up->has_index)
		return 1;
	if (fstatat(up->index_fd, upper_index_name(o, name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -errno;
	if (S_ISDIR(st.st_mode) || overlay_is_whiteout(&st)) /* overlayfs's nfs_export */
		return 1;
	*ret = st;
	return 0;
}

int upper_index_add(struct upper *up, const struct overlay_origin *o, const char *scratch)
{
	char name[UPPER_INDEX_NAME_SIZE];

	up->has_index = true;
	return renameat(up->scratch_fd, scratch, up->index_fd, upper_index_name(o, name)) < 0
		       ? -errno
		       : 0;
}

int upper_index_link(struct upper *up, const struct overlay_origin *o, int dirfd, const char *name)
{
	char index[UPPER_INDEX_NAME_SIZE];

	return linkat(up->index_fd, upper_index_name(o, index), dirfd, name, 0) < 0 ? -errno : 0;
}

int upper_index_remove(struct upper *up, const struct overlay_origin *o)
{
	char name[UPPER_INDEX_NAME_SIZE];

	if (unlinkat(up->index_fd, upper_index_name(o, name), 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/* "U+1", "L-2" */
static int parse_note(const char *p, size_t n, char *ret_base, int64_t *ret)
{
	int64_t v = 0;
	size_t i;

	if (n < 3 || n > 12 || (p[0] != 'U' && p[0] != 'L') || (p[1] != '+' && p[1] != '-'))
		return -EINVAL;
	for (i = 2; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EINVAL;
		v = v * 10 + (p[i] - '0');
	}
	*ret_base = p[0];
	*ret = p[1] == '-' ? -v : v;
	return 0;
}

/* A note that makes no sense counts as none, as for overlayfs. */
int upper_nlink(struct upper *up, int dirfd, const char *name, uint32_t upper, uint32_t lower,
	uint32_t *ret)
{
	char value[16], base;
	int64_t difference;
	size_t n;
	int r;

	*ret = upper;
	r = upper_mark_get(up, dirfd, name, OVERLAY_NLINK, value, sizeof(value), &n);
	if (r != 0 || parse_note(value, n, &base, &difference) < 0)
		return r < 0 && r != -ERANGE ? r : 0;
	difference += base == 'U' ? upper : lower;
	if (difference > 0 && difference <= UINT32_MAX)
		*ret = (uint32_t)difference;
	return 0;
}

bool upper_nlink_is_lower(struct upper *up, int dirfd, const char *name)
{
	char value[16], base;
	int64_t difference;
	size_t n;

	return upper_mark_get(up, dirfd, name, OVERLAY_NLINK, value, sizeof(value), &n) == 0 &&
	       parse_note(value, n, &base, &difference) == 0 && base == 'L';
}

int upper_nlink_note(struct upper *up, int dirfd, const char *name, char base, int64_t difference)
{
	char value[32];
	const int n = snprintf(value, sizeof(value), "%c%+lld", base, (long long)difference);
	const int r = upper_mark_set(up, dirfd, name, OVERLAY_NLINK, value, (size_t)n);

	return r > 0 ? -EOPNOTSUPP : r;
}
