/* SPDX-License-Identifier: Apache-2.0 */
#include "link-table.h"

#include <errno.h>
#include <string.h>

void link_table_done(struct link_table *t)
{
	arena_done(&t->arena);
	free(t->slots);
	*t = (struct link_table){0};
}

/* The file's slot, or the free one where it belongs. There is always a free one. */
static struct link_slot *find(const struct link_table *t, dev_t dev, ino_t ino)
{
	uint64_t hash = (ino ^ dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = (size_t)(hash >> 32);; i++) {
		struct link_slot *s = &t->slots[i & (t->room - 1)];

		if (!s->path || (s->dev == dev && s->ino == ino))
			return s;
	}
}

static int grow(struct link_table *t)
{
	struct link_table bigger = *t;

	bigger.room = t->room ? 2 * t->room : 256;
	bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->room; i++)
		if (t->slots[i].path)
			*find(&bigger, t->slots[i].dev, t->slots[i].ino) = t->slots[i];
	free(t->slots);
	*t = bigger;
	return 0;
}

int link_table_add(
	struct link_table *t, dev_t dev, ino_t ino, const char *path, const char **ret_first)
{
	struct link_slot *s;
	const char *copy;

	if (t->n >= t->room / 2 && grow(t) < 0)
		return -ENOMEM;
	s = find(t, dev, ino);
	*ret_first = s->path;
	if (s->path)
		return 0;
	copy = arena_copy(&t->arena, path, strlen(path) + 1);
	if (!copy)
		return -ENOMEM;
	*s = (struct link_slot){.dev = dev, .ino = ino, .path = copy};
	t->n++;
	return 0;
}
