/* SPDX-License-Identifier: Apache-2.0 */
#include "cuts.h"
#include "index-walk.h"

static void add_file(struct cuts *c, const struct index_inode *i)
{
	if (i->layout != INDEX_CHUNKS || i->chunk_bits > CHUNK_BITS_MAX)
		return;
	if (!c->shortest[i->chunk_bits] || i->size < c->shortest[i->chunk_bits])
		c->shortest[i->chunk_bits] = i->size;
	if (i->size > c->longest[i->chunk_bits])
		c->longest[i->chunk_bits] = i->size;
}

int cuts_add(struct cuts *c, const struct index *x, struct err *e)
{
	_cleanup_(index_walk_freep) struct index_walk *walk = index_walk_new(x, false);
	struct walk_entry w;
	int r;

	if (!walk)
		return err_sys(e, -ENOMEM, "cannot walk an index");
	while ((r = index_walk_next(walk, &w, e)) == 1)
		if (!w.leave)
			add_file(c, &w.inode);
	return r;
}

size_t cuts_wanted(const struct cuts *c, unsigned int ret_bits[CHUNK_BITS_MAX + 1])
{
	size_t n = 0;

	for (unsigned int b = CHUNK_BITS_MIN; b <= CHUNK_BITS_MAX; b++) {
		bool follows = !c->longest[b];

		for (size_t k = 0; !follows && k < n; k++)
			follows = chunk_bits_for(c->shortest[b], ret_bits[k]) == b &&
				  chunk_bits_for(c->longest[b], ret_bits[k]) == b;
		if (!follows)
			ret_bits[n++] = b;
	}
	return n;
}
