/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdbool.h>
#include <string.h>

#define DEFAULT_DOMAIN "docker.io"

/* The length of the domain in front, without the '/'; 0 if `name` has none. */
static size_t domain_length(const char *name)
{
	size_t n = strcspn(name, "/");

	if (!name[n])
		return 0;
	if (n == strlen("localhost") && strncmp(name, "localhost", n) == 0)
		return n;
	return memchr(name, '.', n) || memchr(name, ':', n) ? n : 0;
}

static bool domain_is_default(const char *name, size_t n)
{
	return n == 0 || (n == strlen(DEFAULT_DOMAIN) && strncmp(name, DEFAULT_DOMAIN, n) == 0) ||
	       (n == strlen("index." DEFAULT_DOMAIN) &&
		       strncmp(name, "index." DEFAULT_DOMAIN, n) == 0);
}

static bool has_tag_or_digest(const char *path)
{
	const char *last = strrchr(path, '/');

	return strpbrk(last ? last : path, ":@") != NULL;
}

int reference_expand(const char *name, struct buf *ret)
{
	size_t domain = domain_length(name);
	const char *path = domain ? name + domain + 1 : name;
	const char *tag = has_tag_or_digest(path) ? "" : ":latest";

	if (!domain_is_default(name, domain))
		return buf_addf(ret, "%s%s", name, tag);
	return buf_addf(
		ret, DEFAULT_DOMAIN "/%s%s%s", strchr(path, '/') ? "" : "library/", path, tag);
}
