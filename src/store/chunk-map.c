/* SPDX-License-Identifier: Apache-2.0 */
#include "chunk-map.h"
#include "util/cleanup.h"

#include <string.h>
#include <sys/random.h>

struct slot {
	uint64_t key; /* 0: free */
	uint32_t value;
} __attribute__((packed, aligned(4)));

struct chunk_map {
	struct slot *slots;
	unsigned int bits; /* log2 of the slots */
	uint64_t odd;      /* spreads the keys: digests may be chosen by an enemy */
	size_t n;
};

static int allocate(struct chunk_map *m, unsigned int bits)
{
	struct slot *slots = calloc((size_t)1 << bits, sizeof(*slots));

	if (!slots)
		return -1;
	m->slots = slots;
	m->bits = bits;
	return 0;
}

struct chunk_map *chunk_map_new(size_t expected)
{
	struct chunk_map *m = calloc(1, sizeof(*m));
	unsigned int bits = 10;

	while (((size_t)3 << bits) / 4 < expected)
		bits++;
	if (!m || allocate(m, bits) < 0 ||
		getrandom(&m->odd, sizeof(m->odd), 0) != sizeof(m->odd)) {
		chunk_map_free(m);
		return NULL;
	}
	m->odd |= 1;
	return m;
}

void chunk_map_free(struct chunk_map *m)
{
	if (m)
		free(m->slots);
	free(m);
}

size_t chunk_map_count(const struct chunk_map *m)
{
	return m->n;
}

static uint64_t key_of(const struct digest *d)
{
	uint64_t key;

	memcpy(&key, d->b, sizeof(key));
	return key ? key : 1;
}

static struct slot *slot_of(const struct chunk_map *m, uint64_t key)
{
	const size_t mask = ((size_t)1 << m->bits) - 1;
	size_t i = (size_t)(key * m->odd >> (64 - m->bits));

	while (m->slots[i].key && m->slots[i].key != key)
		i = (i + 1) & mask;
	return &m->slots[i];
}

static int grow(struct chunk_map *m)
{
	struct slot *old = m->slots;
	const size_t n = (size_t)1 << m->bits;

	if (allocate(m, m->bits + 1) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (old[i].key)
			*slot_of(m, old[i].key) = old[i];
	free(old);
	return 0;
}

uint32_t *chunk_map_put(struct chunk_map *m, const struct digest *d)
{
	const uint64_t key = key_of(d);
	struct slot *s = slot_of(m, key);

	if (!s->key) {
		if (m->n >= ((size_t)3 << m->bits) / 4) {
			if (grow(m) < 0)
				return NULL;
			s = slot_of(m, key);
		}
		s->key = key;
		m->n++;
	}
	return &s->value;
}

uint32_t *chunk_map_find(const struct chunk_map *m, const struct digest *d)
{
	struct slot *s = slot_of(m, key_of(d));

	return s->key ? &s->value : NULL;
}
