/* SPDX-License-Identifier: Apache-2.0 */
/* Owners and types of files that their user could not give them: OVERLAY_OWNER. */
#include "upper.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

size_t upper_owner_encode(const struct upper_owner *o, char ret[UPPER_OWNER_SIZE])
{
	int n = snprintf(ret, UPPER_OWNER_SIZE, "%u:%u:%o", o->uid, o->gid, o->mode);

	if (S_ISCHR(o->mode) || S_ISBLK(o->mode))
		n += snprintf(ret + n, UPPER_OWNER_SIZE - (size_t)n, ":%u:%u", major(o->rdev),
			minor(o->rdev));
	return (size_t)n;
}

/* Takes digits of a base up to the end, or a ':' that something follows. */
static int take_number(const char **p, const char *end, unsigned int base, uint32_t *ret)
{
	uint64_t v = 0;
	const char *q = *p;

	for (; q < end && *q >= '0' && *q < (char)('0' + base) && v <= UINT32_MAX; q++)
		v = v * base + (uint64_t)(*q - '0');
	if (q == *p || v > UINT32_MAX || (q < end && (*q != ':' || q + 1 == end)))
		return -EINVAL;
	*p = q < end ? q + 1 : q;
	*ret = (uint32_t)v;
	return 0;
}

int upper_owner_decode(const char *p, size_t n, struct upper_owner *ret)
{
	const char *end = p + n;
	struct upper_owner o = {0};
	uint32_t maj = 0, min = 0;
	int r;

	r = take_number(&p, end, 10, &o.uid);
	if (r == 0)
		r = take_number(&p, end, 10, &o.gid);
	if (r == 0)
		r = take_number(&p, end, 8, &o.mode);
	if (r == 0 && (S_ISCHR(o.mode) || S_ISBLK(o.mode))) {
		r = take_number(&p, end, 10, &maj);
		if (r == 0)
			r = take_number(&p, end, 10, &min);
		o.rdev = makedev(maj, min);
	}
	if (r < 0 || p != end || (o.mode & ~(uint32_t)(S_IFMT | 07777)))
		return -EINVAL;
	*ret = o;
	return 0;
}

/* What a file really is, it stays; an empty file may stand for a device, a FIFO or a socket. */
static bool may_be(const struct stat *st, uint32_t mode)
{
	if ((st->st_mode & S_IFMT) == (mode & S_IFMT))
		return true;
	return S_ISREG(st->st_mode) && st->st_size == 0 &&
	       (S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode));
}

int upper_owner_apply(struct upper *up, int dirfd, const char *name, struct stat *st)
{
	char value[UPPER_OWNER_SIZE];
	struct upper_owner o;
	size_t n;
	int r;

	if (!upper_has_owners(up) || S_ISLNK(st->st_mode))
		return 0;
	r = upper_mark_get(up, dirfd, name, OVERLAY_OWNER, value, sizeof(value), &n);
	if (r != 0)
		return r < 0 && r != -ERANGE ? r : 0;
	if (upper_owner_decode(value, n, &o) < 0 || !may_be(st, o.mode))
		return 0;
	st->st_uid = o.uid;
	st->st_gid = o.gid;
	st->st_mode = o.mode;
	st->st_rdev = o.rdev;
	return 0;
}
