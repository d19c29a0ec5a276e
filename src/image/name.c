/* SPDX-License-Identifier: Apache-2.0 */
#include "name.h"

#include <ctype.h>

static bool lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* A path component: runs of [a-z0-9], joined by one '.', one or two '_', or any number of '-'. */
static size_t component_length(const char *p)
{
	size_t n = 0;

	for (;;) {
		size_t sep = 0;

		while (lower_or_digit(p[n]))
			n++;
		if (p[n] == '-')
			sep = strspn(p + n, "-");
		else if (p[n] == '.')
			sep = 1;
		else if (p[n] == '_')
			sep = p[n + 1] == '_' ? 2 : 1;
		if (!n || !sep || !lower_or_digit(p[n + sep]))
			return n;
		n += sep;
	}
}

/* Labels of letters, digits and inner '-', joined by '.'. */
static bool is_host(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool inner = i && i + 1 < n && p[i - 1] != '.' && p[i + 1] != '.';

		if (!isalnum((unsigned char)p[i]) && !(inner && (p[i] == '.' || p[i] == '-')))
			return false;
	}
	return true;
}

/* A registry: host[:port], where the host has a '.' or a port, or is "localhost". */
static size_t registry_length(const char *p)
{
	size_t slash = strcspn(p, "/"), host = strcspn(p, ":/");

	if (p[slash] != '/' || !host || !is_host(p, host))
		return 0;
	if (p[host] == ':' &&
		(host + 1 == slash || strspn(p + host + 1, "0123456789") != slash - host - 1))
		return 0;
	if (p[host] != ':' && !memchr(p, '.', host) &&
		(host != 9 || memcmp(p, "localhost", 9) != 0))
		return 0;
	return slash;
}

/* The length of [registry/]path at the beginning of `p`; 0 if there is none. */
static size_t path_length(const char *p)
{
	size_t n = registry_length(p);

	n += n > 0;
	for (;;) {
		size_t k = component_length(p + n);

		if (!k)
			return 0;
		n += k;
		if (p[n] != '/')
			return n;
		n++;
	}
}

static size_t tag_length(const char *p)
{
	size_t n = 0;

	if (!isalnum((unsigned char)p[0]) && p[0] != '_')
		return 0;
	while (isalnum((unsigned char)p[n]) || p[n] == '_' || p[n] == '.' || p[n] == '-')
		n++;
	return n <= 128 ? n : 0;
}

int image_name_parse(const char *text, char ret[IMAGE_NAME_MAX], struct err *e)
{
	size_t path = path_length(text), tag = 0;

	if (path && text[path] == ':')
		tag = tag_length(text + path + 1);
	if (strchr(text, '@'))
		return err_set(
			e, -ERR_INPUT, "'%s': a name that is given cannot hold a digest", text);
	if (!path || path > 255 || text[path + (tag ? tag + 1 : 0)])
		return err_set(e, -ERR_INPUT,
			"'%s' is no image name: lower-case path, then optionally ':' and a tag",
			text);
	snprintf(ret, IMAGE_NAME_MAX, "%.*s:%s", (int)path, text, tag ? text + path + 1 : "latest");
	return 0;
}

struct search {
	const char *hex;
	struct image_record found;
	int n;
};

static int match_prefix(void *ctx, const MDB_val *key, const MDB_val *value)
{
	char hex[DIGEST_HEX_SIZE + 1];
	struct search *q = ctx;
	struct digest d;

	if (key->mv_size != DIGEST_SIZE)
		return -ERR_STORE;
	memcpy(d.b, key->mv_data, DIGEST_SIZE);
	if (strncmp(digest_hex(&d, hex), q->hex, strlen(q->hex)) != 0)
		return 0;
	return q->n++ ? 1 : record_read_image(key, value, &q->found);
}

/* By the beginning of its digest. 1 = none. */
static int find_prefix(
	struct store *s, MDB_txn *txn, const char *text, struct image_record *ret, struct err *e)
{
	struct search q = {.hex = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text};
	size_t n = strlen(q.hex);
	int r;

	if (n < 4 || strspn(q.hex, "0123456789abcdef") != n)
		return 1;
	r = record_for_each(s, txn, s->images, match_prefix, &q);
	if (r < 0 || q.n > 1)
		image_record_done(&q.found);
	if (q.n > 1)
		return err_set(e, -ERR_INPUT, "'%s' fits several images", text);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	if (!q.n)
		return 1;
	*ret = q.found;
	return 0;
}

static int find_name(struct store *s, MDB_txn *txn, const char *text, struct image_record *ret)
{
	char name[IMAGE_NAME_MAX];
	const char *at = strchr(text, '@');
	struct digest d;
	int r;

	if (at) {
		r = digest_parse(at + 1, &d);
		return r < 0 ? 1 : record_image(s, txn, &d, ret);
	}
	if (image_name_parse(text, name, NULL) < 0)
		return 1;
	r = record_name(s, txn, name, &d);
	if (r)
		return r;
	r = record_image(s, txn, &d, ret);
	return r == 1 ? -ERR_STORE : r;
}

int image_find(struct store *s, const char *text, struct image_record *ret, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = txn_begin(s, false, &txn, e);

	if (r < 0)
		return r;
	r = find_name(s, txn, text, ret);
	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	if (r == 1)
		r = find_prefix(s, txn, text, ret, e);
	return r == 1 ? err_set(e, -ERR_ABSENT, "there is no image '%s'", text) : r;
}
