/* SPDX-License-Identifier: Apache-2.0 */
#include "serve-config.h"
#include "util/buf.h"
#include "util/io.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CONFIG_MAX (1 << 24)

enum kind { TEXT, FLAG, NUMBER, LIST };

#define FIELD(name, kind) \
	{ \
#name, kind, offsetof(struct serve_config, name) \
	}
static const struct field {
	const char *key;
	enum kind kind;
	size_t at;
} fields[] = {
	FIELD(program, TEXT),
	FIELD(dir, TEXT),
	FIELD(source, TEXT),
	FIELD(mode, NUMBER),
	FIELD(allow_other, FLAG),
	FIELD(mount_flags, NUMBER),
	FIELD(debug, FLAG),
	FIELD(threads, NUMBER),
	FIELD(store, TEXT),
	FIELD(image, TEXT),
	FIELD(lowers, LIST),
	FIELD(user_xattrs, FLAG),
	FIELD(upper, TEXT),
	FIELD(work, TEXT),
	FIELD(block_copy, FLAG),
	FIELD(redirect, FLAG),
	FIELD(sync, FLAG),
	FIELD(uids, TEXT),
	FIELD(gids, TEXT),
	FIELD(squash_uid, FLAG),
	FIELD(squash_gid, FLAG),
	FIELD(uid, NUMBER),
	FIELD(gid, NUMBER),
};
#define N_FIELDS (sizeof(fields) / sizeof(*fields))
_Static_assert(sizeof(enum fuse_mode) == 4 && sizeof(unsigned int) == 4, "numbers have 32 bits");

static void *at(const struct serve_config *c, const struct field *f)
{
	return (uint8_t *)c + f->at;
}

void serve_config_done(struct serve_config *c)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (fields[i].kind == TEXT)
			free(*(char **)at(c, &fields[i]));
	for (size_t i = 0; i < c->n_lowers; i++)
		free(c->lowers[i]);
	free(c->lowers);
	*c = (struct serve_config){0};
}

static int put(struct buf *b, const char *key, const char *value)
{
	int r = buf_addf(b, "%s=", key);

	return r < 0 ? r : buf_add(b, value, strlen(value) + 1);
}

static int put_field(const struct serve_config *c, const struct field *f, struct buf *b)
{
	char number[16];
	int r = 0;

	switch (f->kind) {
	case TEXT:
		return *(char **)at(c, f) ? put(b, f->key, *(char **)at(c, f)) : 0;
	case FLAG:
		return *(bool *)at(c, f) ? put(b, f->key, "1") : 0;
	case NUMBER:
		snprintf(number, sizeof(number), "%u", *(uint32_t *)at(c, f));
		return put(b, f->key, number);
	case LIST:
		for (size_t i = 0; i < c->n_lowers && r == 0; i++)
			r = put(b, f->key, c->lowers[i]);
		return r;
	}
	return -EINVAL;
}

int serve_config_encode(const struct serve_config *c, struct buf *b)
{
	int r = 0;

	for (size_t i = 0; i < N_FIELDS && r == 0; i++)
		r = put_field(c, &fields[i], b);
	return r;
}

static int add_lower(struct serve_config *c, const char *value)
{
	char **v = reallocarray(c->lowers, c->n_lowers + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	c->lowers = v;
	v[c->n_lowers] = strdup(value);
	return v[c->n_lowers] ? (c->n_lowers++, 0) : -ENOMEM;
}

static int get_number(const char *value, uint32_t *ret)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || v > UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

static int get_text(const char *value, char **ret)
{
	char *s = strdup(value);

	if (!s)
		return -ENOMEM;
	free(*ret);
	*ret = s;
	return 0;
}

static int get_field(struct serve_config *c, const char *key, size_t len, const char *value)
{
	for (size_t i = 0; i < N_FIELDS; i++) {
		const struct field *f = &fields[i];

		if (strlen(f->key) != len || memcmp(f->key, key, len) != 0)
			continue;
		switch (f->kind) {
		case TEXT:
			return get_text(value, at(c, f));
		case FLAG:
			*(bool *)at(c, f) = strcmp(value, "1") == 0;
			return 0;
		case NUMBER:
			return get_number(value, at(c, f));
		case LIST:
			return add_lower(c, value);
		}
	}
	return -EINVAL;
}

int serve_config_decode(const void *p, size_t n, struct serve_config *ret, struct err *e)
{
	_cleanup_serve_config_ struct serve_config c = {0};
	const char *s = p, *end = s + n;

	while (s < end) {
		const char *z = memchr(s, 0, (size_t)(end - s));
		const char *eq = z ? memchr(s, '=', (size_t)(z - s)) : NULL;
		int r = eq ? get_field(&c, s, (size_t)(eq - s), eq + 1) : -EINVAL;

		if (r < 0)
			return err_sys(e, r, "a mount's description is not understood");
		s = z + 1;
	}
	if (!c.dir || !c.source || c.mode > FUSE_PASSTHROUGH_FILES || !c.upper != !c.work)
		return err_set(e, -EINVAL, "a mount's description is not complete");
	*ret = c;
	c = (struct serve_config){0};
	return 0;
}

int serve_config_to_fd(const struct serve_config *c, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("plyfs-mount", MFD_CLOEXEC);
	_cleanup_buf_ struct buf b = {0};
	int r = fd < 0 ? -errno : serve_config_encode(c, &b);

	if (r == 0)
		r = io_pwrite_full(fd, b.p, b.n, 0);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int serve_config_from_fd(int fd, struct serve_config *ret, struct err *e)
{
	_cleanup_buf_ struct buf b = {0};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || st.st_size > CONFIG_MAX)
		return err_set(e, -EINVAL, "a mount's description is not understood");
	r = buf_reserve(&b, (size_t)st.st_size + 1);
	if (r == 0)
		r = io_pread_full(fd, b.p, (size_t)st.st_size, 0);
	if (r < 0)
		return err_sys(e, r, "cannot read a mount's description");
	return serve_config_decode(b.p, (size_t)st.st_size, ret, e);
}
