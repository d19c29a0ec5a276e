/* SPDX-License-Identifier: Apache-2.0 */
/* Who has which blocks of the packs, and whether the packs have them. */
#include "check.h"
#include "lock.h"
#include "pack.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

/* An extent that something has: a chunk, or (chunk NULL) a free or held span. */
struct owned {
	struct extent x;
	const struct place *chunk;
	const struct span *span;
};

static uint64_t extent_end(const struct extent *x)
{
	return (uint64_t)x->block + x->blocks;
}

static int order_of_spans(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	return extent_order(&a->x, &b->x);
}

/* The next extent in the order of places, out of both lists. */
static bool next_owned(const struct check *c, size_t *i, size_t *k, struct owned *ret)
{
	struct owned chunk = {0}, span = {0};

	if (*i < c->n_places) {
		struct chunk_record r = place_record(&c->places[*i]);

		chunk.chunk = &c->places[*i];
		chunk.x = (struct extent){r.pack, r.block, chunk_blocks(r.size)};
	}
	if (*k < c->n_spans)
		span = (struct owned){.x = c->spans[*k].x, .span = &c->spans[*k]};
	if (!chunk.chunk && !span.span)
		return false;
	if (chunk.chunk && (!span.span || extent_order(&span.x, &chunk.x) >= 0)) {
		*ret = chunk;
		++*i;
	} else {
		*ret = span;
		++*k;
	}
	return true;
}

static int note_place(struct check *c, const struct place *p, const char *why, bool misplaced)
{
	struct chunk_fault f = {.at = place_record(p), .why = why, .misplaced = misplaced};

	memcpy(f.digest.b, p->digest, DIGEST_SIZE);
	return check_note_chunk(c, &f);
}

static int verify(const struct check *c, const struct place *p, const char **ret_why)
{
	struct chunk_record at = place_record(p);
	struct digest d;
	bool padding;

	memcpy(d.b, p->digest, DIGEST_SIZE);
	return check_chunk(c->packs[at.pack], &d, &at, ret_why, &padding);
}

/* Of two chunks in one place, one at least is not there. */
static int note_chunks(struct check *c, const struct place *a, const struct place *b)
{
	const char *why = "its record says a place where another chunk is", *bad_a, *bad_b = NULL;
	int r = verify(c, a, &bad_a);

	if (r == 0)
		r = verify(c, b, &bad_b);
	if (r == 0 && bad_a)
		r = note_place(c, a, why, true);

	return r == 0 && (bad_b || !bad_a) ? note_place(c, b, why, true) : r;
}

static const char *owner(const struct owned *o)
{
	return o->chunk ? "a chunk" : o->span->held ? "held space" : "free space";
}

static int note_overlap(struct check *c, const struct owned *a, const struct owned *b)
{
	if (a->chunk && b->chunk)
		return note_chunks(c, a->chunk, b->chunk);
	return check_note(c, FINDING_SPACE, NULL, "packs/%u.pack: block %u belongs to %s and to %s",
		b->x.pack, b->x.block, owner(a), owner(b));
}

struct account {
	struct owned last;           /* of the pack, the one that ends last */
	uint64_t end[PACKS_MAX];     /* of all that is owned */
	uint64_t chunks[PACKS_MAX];  /* end of the last chunk */
	uint64_t unknown[PACKS_MAX]; /* blocks that nothing has */
};

static int take_owned(struct check *c, struct account *a, const struct owned *o)
{
	const uint16_t pack = o->x.pack;
	bool same = a->last.x.blocks && a->last.x.pack == pack;
	int r = 0;

	if (same && o->x.block < extent_end(&a->last.x))
		r = note_overlap(c, &a->last, o);
	if (o->x.block > a->end[pack])
		a->unknown[pack] += o->x.block - a->end[pack];
	if (!same || extent_end(&o->x) > extent_end(&a->last.x))
		a->last = *o;
	if (extent_end(&o->x) > a->end[pack])
		a->end[pack] = extent_end(&o->x);
	if (o->chunk && extent_end(&o->x) > a->chunks[pack])
		a->chunks[pack] = extent_end(&o->x);
	if (r == 0 && o->chunk && extent_end(&o->x) * PACK_BLOCK_SIZE > c->pack_bytes[pack])
		r = note_place(c, o->chunk, "it lies beyond the end of its pack", false);
	return r;
}

/* Space that holds no chunk may lie beyond the end: the pack is made longer when it is used. */
static int check_pack(struct check *c, const struct account *a, uint16_t pack)
{
	const uint64_t tail = c->tails[pack], used = a->chunks[pack];
	uint64_t unknown = a->unknown[pack];
	int r = 0;

	if (a->end[pack] > tail)
		r = check_note(c, FINDING_SPACE, NULL,
			"packs/%u.pack: used up to block %llu, but its record says %llu", pack,
			(unsigned long long)a->end[pack], (unsigned long long)tail);
	else
		unknown += tail - a->end[pack];
	if (r == 0 && used && c->packs[pack] < 0)
		r = check_note(c, FINDING_PACK, NULL, "packs/%u.pack is missing", pack);
	else if (r == 0 && used * PACK_BLOCK_SIZE > c->pack_bytes[pack])
		r = check_note(c, FINDING_PACK, NULL,
			"packs/%u.pack ends at %llu bytes, but is used up to %llu", pack,
			(unsigned long long)c->pack_bytes[pack],
			(unsigned long long)used * PACK_BLOCK_SIZE);
	if (r == 0 && unknown)
		r = check_note(c, FINDING_LEFTOVER, NULL,
			"packs/%u.pack: %llu blocks are neither used nor free", pack,
			(unsigned long long)unknown);
	return r;
}

struct search {
	uint64_t session;
	bool found;
};

static int search_session(void *ctx, const MDB_val *key, const MDB_val *value)
{
	struct search *q = ctx;
	uint64_t session;
	struct extent x;

	if (space_read_held(key, value, &session, &x) == 0 && session == q->session)
		q->found = true;
	return q->found;
}

/* Whether the session is dead, and holds something now: it may have ended well since the snapshot.
 */
static bool is_dead(struct store *s, uint64_t session)
{
	struct search q = {.session = session};
	_cleanup_txn_ MDB_txn *txn = NULL;

	return lock_test(s, LOCK_SESSION, session, NULL) == 0 &&
	       txn_begin(s, false, &txn, NULL) == 0 &&
	       record_for_each(s, txn, s->held, search_session, &q) >= 0 && q.found;
}

/* What dead sessions hold; one finding for each of them. */
static int check_held(struct check *c)
{
	int r = 0;

	for (size_t i = 0, k; r == 0 && i < c->n_spans; i = k) {
		uint64_t blocks = c->spans[i].x.blocks, session = c->spans[i].session;
		bool held = c->spans[i].held;

		for (k = i + 1; k < c->n_spans && c->spans[k].held && held &&
				c->spans[k].session == session;
			k++)
			blocks += c->spans[k].x.blocks;
		if (held && is_dead(c->s, session))
			r = check_note(c, FINDING_LEFTOVER, NULL,
				"session %016llx: %llu blocks, held by a command that was killed",
				(unsigned long long)session, (unsigned long long)blocks);
	}
	return r;
}

static int open_packs(struct check *c)
{
	for (uint16_t pack = 0; pack < PACKS_MAX; pack++) {
		char name[PACK_NAME_MAX];
		struct stat st;

		if (c->packs[pack] < 0) /* pack_open would make it */
			c->packs[pack] = openat(c->s->dirfd, pack_name(pack, name),
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (c->packs[pack] < 0 && check_is_passing(-errno))
			return -errno;
		c->pack_bytes[pack] = c->packs[pack] >= 0 && fstat(c->packs[pack], &st) == 0
					      ? (uint64_t)st.st_size
					      : 0;
	}
	return 0;
}

int check_space(struct check *c, struct err *e)
{
	struct account a = {0};
	struct owned o;
	size_t i = 0, k = 0;
	int r = open_packs(c);

	if (r == 0)
		r = check_held(c); /* as they were read: session by session */
	if (c->n_spans)
		qsort(c->spans, c->n_spans, sizeof(*c->spans), order_of_spans);
	while (r == 0 && next_owned(c, &i, &k, &o))
		r = take_owned(c, &a, &o);
	for (uint16_t pack = 0; r == 0 && pack < PACKS_MAX; pack++)
		r = check_pack(c, &a, pack);
	return r < 0 ? err_sys(e, r, "cannot check the store") : 0;
}

/* --- mending ------------------------------------------------------------------------------- */

static int set_tail(struct store *s, MDB_txn *txn, uint16_t pack, uint64_t tail)
{
	struct extent x = {pack, PACK_BLOCKS_MAX, (uint32_t)tail};

	return space_put(s, txn, &x);
}

/* All blocks of the packs that no chunk has, up to where each was ever used. */
static int hold_rest(struct store *s, MDB_txn *txn, struct check *c)
{
	uint64_t end[PACKS_MAX] = {0}, session = 0;
	int r = 0;

	if (getrandom(&session, sizeof(session), 0) != sizeof(session))
		return -errno;
	for (size_t i = 0; r == 0 && i <= c->n_places + PACKS_MAX; i++) {
		bool chunk = i < c->n_places;
		struct chunk_record at =
			chunk ? place_record(&c->places[i]) : (struct chunk_record){0};
		uint16_t pack = chunk ? at.pack : (uint16_t)(i - c->n_places);
		uint64_t from, to;

		if (pack >= PACKS_MAX)
			break;
		from = end[pack];
		to = chunk ? at.block : c->tails[pack];
		if (to > from) {
			struct extent x = {pack, (uint32_t)from, (uint32_t)(to - from)};

			r = space_hold_this(s, txn, session >> 4, &x);
		}
		to += chunk ? chunk_blocks(at.size) : 0;
		end[pack] = to > end[pack] ? to : end[pack];
	}
	for (uint16_t pack = 0; r == 0 && pack < PACKS_MAX; pack++)
		if (end[pack])
			r = set_tail(s, txn, pack, end[pack]);
	return r;
}

static int extend_packs(struct check *c, MDB_txn *txn, struct err *e)
{
	struct check now;
	int r;

	check_init(c->s, &now);
	now.txn = txn;
	r = check_records(&now, e);
	for (uint16_t pack = 0; r == 0 && pack < PACKS_MAX; pack++) {
		struct extent x = {pack, 0, now.tails[pack]};

		if (x.blocks)
			r = pack_extend(c->s, &x, e);
	}
	now.txn = NULL;
	check_done(&now);
	return r;
}

int check_mend_space(struct store *s, MDB_txn *txn, bool rebuild, struct err *e)
{
	struct check c;
	int r;

	check_init(s, &c);
	c.txn = txn;
	r = check_records(&c, e);
	if (r == 0 && rebuild) {
		r = store_code(mdb_drop(txn, s->space, 0));
		if (r == 0)
			r = store_code(mdb_drop(txn, s->held, 0));
		if (r == 0)
			r = hold_rest(s, txn, &c);
	}
	if (r == 0)
		r = extend_packs(&c, txn, e);
	c.txn = NULL; /* the caller's */
	check_done(&c);
	return r < 0 ? err_sys(e, r, "cannot mend the records of space") : 0;
}
