/* SPDX-License-Identifier: Apache-2.0 */
#include "number-map.h"

#include <errno.h>

void number_map_done(struct number_map *m)
{
	free(m->slots);
	*m = (struct number_map){0};
}

static struct number_slot *slot_of(struct number_slot *slots, size_t room, uint64_t key)
{
	size_t i = (size_t)((key * 0x9e3779b97f4a7c15ull) >> 16) & (room - 1);

	while (slots[i].value && slots[i].key != key)
		i = (i + 1) & (room - 1);
	return &slots[i];
}

void *number_map_find(const struct number_map *m, uint64_t key)
{
	return m->room ? slot_of(m->slots, m->room, key)->value : NULL;
}

static int grow(struct number_map *m)
{
	size_t room = m->room ? 2 * m->room : 64;
	struct number_slot *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->room; i++)
		if (m->slots[i].value)
			*slot_of(slots, room, m->slots[i].key) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->room = room;
	return 0;
}

int number_map_put(struct number_map *m, uint64_t key, void *value)
{
	struct number_slot *s;

	if (2 * m->n >= m->room && grow(m) < 0)
		return -ENOMEM;
	s = slot_of(m->slots, m->room, key);
	m->n += !s->value;
	*s = (struct number_slot){key, value};
	return 0;
}
