/* SPDX-License-Identifier: Apache-2.0 */
#include "tar-pax.h"
#include "tar-header.h"
#include "util/bytes.h"

#include <string.h>

/* One record, in place: key and value end in NUL where '=' and the newline stood. */
struct record {
	char *key;
	char *value;
	size_t key_size, value_size;
	const uint8_t *raw; /* the whole of it */
	size_t raw_size;
};

/* A key that stands for itself, or (ending in '.') for all that start with it. */
struct keyword {
	const char *key;
	int (*set)(struct tar_pax *x, const struct record *rec);
};

int tar_decimal(const char *s, size_t n, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (n == 0)
		return -ERR_INPUT;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || v > max / 10)
			return -ERR_INPUT;
		v = v * 10 + (uint64_t)(s[i] - '0');
		if (v > max)
			return -ERR_INPUT;
	}
	*ret = v;
	return 0;
}

void tar_pax_done(struct tar_pax *x)
{
	tar_map_done(&x->map);
	free(x->found);
	free(x->xattrs);
	*x = (struct tar_pax){0};
}

/* Forgets everything but the memory. */
void tar_pax_reset(struct tar_pax *x)
{
	struct tar_pax old = *x;

	*x = (struct tar_pax){
		.map = old.map,
		.found = old.found,
		.room_found = old.room_found,
		.xattrs = old.xattrs,
		.room_xattrs = old.room_xattrs,
	};
	tar_map_reset(&x->map);
}

/* 1 = *ret is the next record, 0 = there is none left. */
static int record_next(struct bytes *text, struct record *ret)
{
	const char *start = (const char *)text->p;
	const char *space, *eq;
	uint64_t n;

	if (text->n == 0)
		return 0;
	space = memchr(start, ' ', text->n < 12 ? text->n : 12);
	if (!space || tar_decimal(start, (size_t)(space - start), text->n, &n) < 0)
		return -ERR_INPUT;
	if (n < (size_t)(space - start) + 4 || !bytes_take(text, (size_t)n) || start[n - 1] != '\n')
		return -ERR_INPUT;
	ret->key = (char *)(uintptr_t)(space + 1);
	eq = memchr(ret->key, '=', (size_t)(start + n - 1 - ret->key));
	if (!eq || eq == ret->key || memchr(ret->key, 0, (size_t)(eq - ret->key)))
		return -ERR_INPUT;
	ret->key_size = (size_t)(eq - ret->key);
	ret->value = ret->key + ret->key_size + 1;
	ret->value_size = (size_t)(start + n - 1 - ret->value);
	ret->raw = (const uint8_t *)start;
	ret->raw_size = (size_t)n;
	return 1;
}

/* --- what each key sets ------------------------------------------------------------------- */

static int set_text(const struct record *rec, const char **ret)
{
	if (memchr(rec->value, 0, rec->value_size))
		return -ERR_INPUT;
	*ret = rec->value_size ? rec->value : NULL;
	return 0;
}

static int set_number(const struct record *rec, uint64_t max, uint64_t *ret, bool *ret_has)
{
	*ret_has = rec->value_size > 0;
	return *ret_has ? tar_decimal(rec->value, rec->value_size, max, ret) : 0;
}

static int set_number32(const struct record *rec, uint64_t max, uint32_t *ret, bool *ret_has)
{
	uint64_t v = 0;
	int r = set_number(rec, max, &v, ret_has);

	if (r == 0)
		*ret = (uint32_t)v;
	return r;
}

static int set_path(struct tar_pax *x, const struct record *rec)
{
	return set_text(rec, &x->path);
}

static int set_link(struct tar_pax *x, const struct record *rec)
{
	return set_text(rec, &x->link);
}

static int set_size(struct tar_pax *x, const struct record *rec)
{
	return set_number(rec, INT64_MAX, &x->size, &x->has_size);
}

static int set_uid(struct tar_pax *x, const struct record *rec)
{
	return set_number32(rec, TAR_ID_MAX, &x->uid, &x->has_uid);
}

static int set_gid(struct tar_pax *x, const struct record *rec)
{
	return set_number32(rec, TAR_ID_MAX, &x->gid, &x->has_gid);
}

static int set_dev_major(struct tar_pax *x, const struct record *rec)
{
	return set_number32(rec, UINT32_MAX, &x->dev_major, &x->has_dev_major);
}

static int set_dev_minor(struct tar_pax *x, const struct record *rec)
{
	return set_number32(rec, UINT32_MAX, &x->dev_minor, &x->has_dev_minor);
}

/* The digits behind the point, as nanoseconds; further ones are cut off. */
static int parse_fraction(const char *p, size_t n, uint32_t *ret)
{
	uint32_t nsec = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return -ERR_INPUT;
	for (size_t i = 0; i < 9; i++)
		nsec = nsec * 10 + (i < n ? (uint32_t)(p[i] - '0') : 0);
	*ret = nsec;
	return 0;
}

int tar_pax_time(const char *s, size_t n, int64_t *ret_sec, uint32_t *ret_nsec)
{
	const bool negative = n && s[0] == '-';
	const char *p = s + negative, *end = s + n;
	const char *point = memchr(p, '.', (size_t)(end - p));
	uint32_t nsec = 0;
	uint64_t sec;

	if (point && parse_fraction(point + 1, (size_t)(end - point - 1), &nsec) < 0)
		return -ERR_INPUT;
	if (tar_decimal(p, (size_t)((point ? point : end) - p), INT64_MAX, &sec) < 0)
		return -ERR_INPUT;
	*ret_sec = negative ? -(int64_t)sec - (nsec > 0) : (int64_t)sec;
	*ret_nsec = negative && nsec ? 1000000000 - nsec : nsec;
	return 0;
}

static int set_mtime(struct tar_pax *x, const struct record *rec)
{
	x->has_mtime = rec->value_size > 0;
	if (!x->has_mtime)
		return 0;
	return tar_pax_time(rec->value, rec->value_size, &x->mtime, &x->mtime_nsec);
}

static int set_plyfs_type(struct tar_pax *x, const struct record *rec)
{
	x->socket = rec->value_size > 0;
	return x->socket && strcmp(rec->value, "socket") != 0 ? -ERR_INPUT : 0;
}

/* --- xattrs ------------------------------------------------------------------------------- */

static int add_xattr(
	struct tar_pax *x, const struct record *rec, char *name, size_t value_size, bool wins)
{
	const size_t room = x->room_found ? 2 * x->room_found : 16;
	struct tar_pax_xattr *v;

	if (!*name || strlen(name) > TAR_XATTR_NAME_MAX || value_size > TAR_XATTR_VALUE_MAX)
		return -ERR_INPUT;
	if (x->n_found == x->room_found) {
		v = reallocarray(x->found, room, sizeof(*v));
		if (!v)
			return -ENOMEM;
		x->found = v;
		x->room_found = room;
	}
	x->found[x->n_found] = (struct tar_pax_xattr){
		.x = {.name = name, .value = rec->value, .value_size = value_size},
		.rank = x->n_found + (wins ? SIZE_MAX / 2 : 0),
	};
	x->n_found++;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* GNU tar writes '=' in an attribute's name as "%3D" and '%' as "%25"; nothing else is escaped. */
static int set_schily_xattr(struct tar_pax *x, const struct record *rec)
{
	char *name = rec->key + strlen("SCHILY.xattr.");
	char *to = name;

	for (const char *p = name; *p; to++) {
		const char *escaped = strncmp(p, "%3D", 3) == 0 ? "=" : "%";

		if (strncmp(p, "%3D", 3) == 0 || strncmp(p, "%25", 3) == 0) {
			*to = *escaped;
			p += 3;
		} else {
			*to = *p++;
		}
	}
	*to = 0;
	return add_xattr(x, rec, name, rec->value_size, true);
}

static int url_decode(char *name)
{
	char *to = name;

	for (const char *p = name; *p; to++) {
		int hi, lo;

		if (*p != '%') {
			*to = *p++;
			continue;
		}
		hi = hex_digit(p[1]);
		lo = hi < 0 ? -1 : hex_digit(p[2]);
		if (lo < 0 || (hi == 0 && lo == 0))
			return -ERR_INPUT;
		*to = (char)(hi << 4 | lo);
		p += 3;
	}
	*to = 0;
	return 0;
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* In place. The padding may be missing, as it is in what libarchive writes. */
static int base64_decode(char *p, size_t n, size_t *ret_n)
{
	uint32_t bits = 0;
	size_t out = 0;

	for (size_t pad = 0; n && p[n - 1] == '=' && pad < 2; pad++)
		n--;
	if (n % 4 == 1)
		return -ERR_INPUT;
	for (size_t i = 0; i < n; i++) {
		int d = base64_digit(p[i]);

		if (d < 0)
			return -ERR_INPUT;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4)
			p[out++] = (char)(uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	*ret_n = out;
	return 0;
}

static int set_libarchive_xattr(struct tar_pax *x, const struct record *rec)
{
	char *name = rec->key + strlen("LIBARCHIVE.xattr.");
	size_t n = 0;

	if (url_decode(name) < 0 || base64_decode(rec->value, rec->value_size, &n) < 0)
		return -ERR_INPUT;
	return add_xattr(x, rec, name, n, false);
}

/* By name; of several with one name that comes first which counts. */
static int compare_xattrs(const void *a, const void *b)
{
	const struct tar_pax_xattr *p = a, *q = b;
	int r = strcmp(p->x.name, q->x.name);

	return r ? r : (p->rank < q->rank) - (p->rank > q->rank);
}

int tar_pax_finish(struct tar_pax *x, struct err *e)
{
	if (x->n_found > x->room_xattrs) {
		struct tar_xattr *v = reallocarray(x->xattrs, x->room_found, sizeof(*v));

		if (!v)
			return err_sys(e, -ENOMEM, "extended attributes");
		x->xattrs = v;
		x->room_xattrs = x->room_found;
	}
	if (x->n_found > 1)
		qsort(x->found, x->n_found, sizeof(*x->found), compare_xattrs);
	x->n_xattrs = 0;
	for (size_t i = 0; i < x->n_found; i++)
		if (i == 0 || strcmp(x->found[i].x.name, x->found[i - 1].x.name) != 0)
			x->xattrs[x->n_xattrs++] = x->found[i].x;
	return 0;
}

/* --- GNU.sparse --------------------------------------------------------------------------- */

static int set_sparse_major(struct tar_pax *x, const struct record *rec)
{
	return set_text(rec, &x->sparse_major);
}

static int set_sparse_minor(struct tar_pax *x, const struct record *rec)
{
	return set_text(rec, &x->sparse_minor);
}

static int set_sparse_name(struct tar_pax *x, const struct record *rec)
{
	return set_text(rec, &x->sparse_name);
}

static int set_sparse_size(struct tar_pax *x, const struct record *rec)
{
	return set_number(rec, INT64_MAX, &x->sparse_size, &x->has_sparse_size);
}

static int set_sparse_count(struct tar_pax *x, const struct record *rec)
{
	return set_number(rec, INT64_MAX, &x->sparse_count, &x->has_sparse_count);
}

/* Version 0.0: offset and numbytes take turns. */
static int set_sparse_offset(struct tar_pax *x, const struct record *rec)
{
	if (x->has_sparse_offset || rec->value_size == 0)
		return -ERR_INPUT;
	return set_number(rec, INT64_MAX, &x->sparse_offset, &x->has_sparse_offset);
}

static int set_sparse_numbytes(struct tar_pax *x, const struct record *rec)
{
	uint64_t n;

	if (!x->has_sparse_offset || tar_decimal(rec->value, rec->value_size, INT64_MAX, &n) < 0)
		return -ERR_INPUT;
	x->has_sparse_offset = false;
	x->has_map = true;
	x->map_count++;
	return tar_map_add(&x->map, x->sparse_offset, n);
}

/* Takes the digits up to the next comma; *p is behind it, or NULL at the end. */
static int map_number(const char **p, const char *end, uint64_t *ret)
{
	const char *start = *p;
	const char *comma = start ? memchr(start, ',', (size_t)(end - start)) : NULL;

	if (!start)
		return -ERR_INPUT;
	*p = comma ? comma + 1 : NULL;
	return tar_decimal(start, (size_t)((comma ? comma : end) - start), INT64_MAX, ret);
}

/* Version 0.1: "offset,numbytes,offset,numbytes...". */
static int set_sparse_map(struct tar_pax *x, const struct record *rec)
{
	const char *p = rec->value_size ? rec->value : NULL;
	const char *end = rec->value + rec->value_size;

	if (x->has_map)
		return -ERR_INPUT;
	x->has_map = true;
	while (p) {
		uint64_t offset, size;
		int r = map_number(&p, end, &offset);

		if (r == 0)
			r = map_number(&p, end, &size);
		if (r == 0)
			r = tar_map_add(&x->map, offset, size);
		if (r < 0)
			return r;
		x->map_count++;
	}
	return 0;
}

static int refuse(struct tar_pax *x _unused_, const struct record *rec _unused_)
{
	return -ERR_INPUT;
}

/* --- the table ---------------------------------------------------------------------------- */

static const struct keyword keywords[] = {
	{"path", set_path}, {"linkpath", set_link}, {"size", set_size}, {"uid", set_uid},
	{"gid", set_gid}, {"mtime", set_mtime}, {"SCHILY.xattr.", set_schily_xattr},
	{"LIBARCHIVE.xattr.", set_libarchive_xattr}, {"SCHILY.devmajor", set_dev_major},
	{"SCHILY.devminor", set_dev_minor}, {"PLYFS.type", set_plyfs_type},
	{"GNU.sparse.major", set_sparse_major}, {"GNU.sparse.minor", set_sparse_minor},
	{"GNU.sparse.name", set_sparse_name}, {"GNU.sparse.size", set_sparse_size},
	{"GNU.sparse.realsize", set_sparse_size}, {"GNU.sparse.numblocks", set_sparse_count},
	{"GNU.sparse.offset", set_sparse_offset}, {"GNU.sparse.numbytes", set_sparse_numbytes},
	{"GNU.sparse.map", set_sparse_map}, {"GNU.sparse.", refuse},
	{"GNU.volume.offset", refuse}, /* a part of a multi-volume archive */
};

static const struct keyword *keyword_find(const struct record *rec)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		const char *key = keywords[i].key;
		const size_t n = strlen(key);

		if (rec->key_size < n || memcmp(rec->key, key, n) != 0)
			continue;
		if (rec->key_size == n || key[n - 1] == '.')
			return &keywords[i];
	}
	return NULL;
}

static int apply_record(struct tar_pax *x, const struct record *rec, struct err *e)
{
	const struct keyword *k;
	int r;

	rec->key[rec->key_size] = 0;
	rec->value[rec->value_size] = 0;
	k = keyword_find(rec);
	if (!k)
		return 0;
	if (strncmp(k->key, "GNU.sparse.", 11) == 0)
		x->sparse = true;
	r = k->set(x, rec);
	if (r == -ENOMEM)
		return err_sys(e, r, "pax record '%s'", rec->key);
	return r < 0 ? err_set(e, r, "pax record '%s' has a bad value", rec->key) : 0;
}

int tar_pax_apply(struct tar_pax *x, struct buf *text, struct err *e)
{
	struct bytes b = bytes_of(text->p, text->n);
	struct record rec;

	for (;;) {
		int r = record_next(&b, &rec);

		if (r < 0)
			return err_set(e, r, "malformed pax record");
		if (r == 0)
			return 0;
		r = apply_record(x, &rec, e);
		if (r < 0)
			return r;
	}
}

/* Takes the record that has `rec`'s key, if any, out of `global`; counts the others. */
static int forget_global(struct buf *global, const struct record *rec, size_t *ret_count)
{
	struct bytes b = bytes_of(global->p, global->n);
	struct record old;
	size_t count = 0;
	int r;

	while ((r = record_next(&b, &old)) > 0) {
		size_t at = (size_t)(old.raw - global->p);

		if (old.key_size != rec->key_size || memcmp(old.key, rec->key, old.key_size) != 0) {
			count++;
			continue;
		}
		memmove(global->p + at, old.raw + old.raw_size, global->n - at - old.raw_size);
		global->n -= old.raw_size;
		b = bytes_of(global->p + at, global->n - at);
	}
	*ret_count = count;
	return r;
}

static int keep_record(struct buf *global, const struct record *rec, struct err *e)
{
	const struct keyword *k = keyword_find(rec);
	size_t count;
	int r;

	if (!k)
		return 0;
	if (strncmp(k->key, "GNU.", 4) == 0 || strncmp(k->key, "PLYFS.", 6) == 0)
		return err_set(e, -ERR_INPUT, "pax record '%s' in a global header", k->key);
	r = forget_global(global, rec, &count);
	if (r < 0)
		return err_set(e, r, "malformed pax record");
	if (count >= TAR_GLOBAL_COUNT || rec->raw_size > TAR_GLOBAL_MAX - global->n)
		return err_set(e, -ERR_INPUT, "too many global pax records");
	r = buf_add(global, rec->raw, rec->raw_size);
	return r < 0 ? err_sys(e, r, "global pax records") : 0;
}

int tar_pax_keep_global(struct buf *global, const struct buf *text, struct err *e)
{
	struct bytes b = bytes_of(text->p, text->n);
	struct record rec;

	for (;;) {
		int r = record_next(&b, &rec);

		if (r < 0)
			return err_set(e, r, "malformed pax record");
		if (r == 0)
			return 0;
		r = keep_record(global, &rec, e);
		if (r < 0)
			return r;
	}
}
