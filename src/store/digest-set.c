/* SPDX-License-Identifier: Apache-2.0 */
#include "digest-set.h"
#include "util/array.h"

#include <errno.h>

int digest_set_add(struct digest_set *s, const void *digest)
{
	if (array_room(&s->v, s->n, &s->room, sizeof(*s->v)) < 0)
		return -ENOMEM;
	memcpy(s->v[s->n++].b, digest, DIGEST_SIZE);
	return 0;
}

void digest_set_sort(struct digest_set *s)
{
	size_t n = 0;

	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), digest_order);
	for (size_t i = 0; i < s->n; i++)
		if (!n || !digest_equal(&s->v[i], &s->v[n - 1]))
			s->v[n++] = s->v[i];
	s->n = n;
}

bool digest_set_has(const struct digest_set *s, const void *digest)
{
	return s->n && bsearch(digest, s->v, s->n, sizeof(*s->v), digest_order);
}

void digest_set_done(struct digest_set *s)
{
	free(s->v);
	*s = (struct digest_set){0};
}
