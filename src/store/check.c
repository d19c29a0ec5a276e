/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "containers.h"
#include "util/array.h"

void check_init(struct store *s, struct check *c)
{
	*c = (struct check){.s = s};
	memset(c->packs, 0xff, sizeof(c->packs));
	pthread_mutex_init(&c->lock, NULL);
}

void check_end(struct check *c)
{
	if (c->txn)
		mdb_txn_abort(TAKE_PTR(c->txn));
	free(TAKE_PTR(c->places));
	free(TAKE_PTR(c->referenced));
	chunk_map_free(TAKE_PTR(c->numbers));
	free(TAKE_PTR(c->spans));
	c->n_places = c->n_spans = 0;
}

void check_done(struct check *c)
{
	check_end(c);
	for (size_t i = 0; i < PACKS_MAX; i++)
		if (c->s && c->packs[i] >= 0)
			close(c->packs[i]);
	for (size_t i = 0; i < c->n_findings; i++)
		free(c->findings[i].text);
	free(c->findings);
	free(c->chunks);
}

int check_note(
	struct check *c, enum finding_kind kind, const struct digest *d, const char *fmt, ...)
{
	struct finding *f;
	va_list ap;
	int r = array_room(&c->findings, c->n_findings, &c->room_findings, sizeof(*f));

	if (r < 0)
		return r;
	f = &c->findings[c->n_findings];
	*f = (struct finding){.kind = kind};
	if (d)
		f->digest = *d;
	va_start(ap, fmt);
	r = vasprintf(&f->text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return -ENOMEM;
	c->n_findings++;
	return 0;
}

int check_note_chunk(struct check *c, const struct chunk_fault *f)
{
	int r;

	pthread_mutex_lock(&c->lock);
	r = array_room(&c->chunks, c->n_chunks, &c->room_chunks, sizeof(*f));
	if (r == 0)
		c->chunks[c->n_chunks++] = *f;
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Of several faults of a chunk, what its record is comes first. */
static int order_of_faults(const void *pa, const void *pb)
{
	const struct chunk_fault *a = pa, *b = pb;
	int c = memcmp(a->digest.b, b->digest.b, DIGEST_SIZE);

	return c ? c : (int)b->misplaced - (int)a->misplaced;
}

void check_sort_chunks(struct check *c)
{
	size_t n = 0;

	if (c->n_chunks)
		qsort(c->chunks, c->n_chunks, sizeof(*c->chunks), order_of_faults);
	for (size_t i = 0; i < c->n_chunks; i++)
		if (!n || !digest_equal(&c->chunks[i].digest, &c->chunks[n - 1].digest))
			c->chunks[n++] = c->chunks[i];
	c->n_chunks = n;
}

static bool chunk_form(const MDB_val *key, const MDB_val *value)
{
	struct chunk_record r;

	return key->mv_size == DIGEST_SIZE && record_read_chunk(value, &r) == 0 && r.size &&
	       r.size <= 1u << CHUNK_BITS_MAX && r.block < PACK_BLOCKS_MAX &&
	       chunk_blocks(r.size) <= PACK_BLOCKS_MAX - r.block;
}

static bool space_form(const MDB_val *key, const MDB_val *value)
{
	struct extent x;

	if (space_read(key, value, &x) < 0 || x.block > PACK_BLOCKS_MAX)
		return false;
	if (x.block == PACK_BLOCKS_MAX)
		return x.blocks <= PACK_BLOCKS_MAX;
	return x.blocks && x.blocks <= PACK_BLOCKS_MAX - x.block;
}

static bool held_form(const MDB_val *key, const MDB_val *value)
{
	uint64_t session;
	struct extent x;

	return space_read_held(key, value, &session, &x) == 0 && x.blocks &&
	       x.block < PACK_BLOCKS_MAX && x.blocks <= PACK_BLOCKS_MAX - x.block;
}

static bool layer_form(const MDB_val *key, const MDB_val *value)
{
	return key->mv_size == DIGEST_SIZE && value->mv_size == DIGEST_SIZE;
}

static bool image_form(const MDB_val *key, const MDB_val *value)
{
	return key->mv_size == DIGEST_SIZE && value->mv_size >= 2 * DIGEST_SIZE &&
	       value->mv_size % DIGEST_SIZE == 0;
}

static bool name_form(const MDB_val *key, const MDB_val *value)
{
	return key->mv_size && !memchr(key->mv_data, 0, key->mv_size) &&
	       value->mv_size == DIGEST_SIZE;
}

static bool damaged_form(const MDB_val *key, const MDB_val *value _unused_)
{
	const char kinds[] = {DAMAGED_CHUNK, DAMAGED_LAYER, DAMAGED_IMAGE};

	return key->mv_size == DIGEST_SIZE + 1 &&
	       memchr(kinds, *(char *)key->mv_data, sizeof(kinds));
}

static bool container_form(const MDB_val *key, const MDB_val *value)
{
	struct container c;

	return record_read_container(key, value, &c) == 0;
}

#define N_DATABASES 8
struct database {
	const char *name;
	MDB_dbi dbi;
	bool (*form)(const MDB_val *key, const MDB_val *value);
};

static void databases(const struct store *s, struct database ret[N_DATABASES])
{
	const struct database all[N_DATABASES] = {
		{"chunks", s->chunks, chunk_form},
		{"space", s->space, space_form},
		{"held", s->held, held_form},
		{"layers", s->layers, layer_form},
		{"images", s->images, image_form},
		{"names", s->names, name_form},
		{"damaged", s->damaged, damaged_form},
		{"containers", s->containers, container_form},
	};

	memcpy(ret, all, sizeof(all));
}

struct scan {
	struct check *c;
	const struct database *db;
};

static int take_place(struct check *c, const MDB_val *key, const MDB_val *value)
{
	struct chunk_record r;

	if (record_read_chunk(value, &r) < 0 || c->n_places == c->room_places)
		return -ERR_STORE;
	c->places[c->n_places++] = (struct place){
		(uint64_t)r.pack << 56 | (uint64_t)r.block << 25 | r.size, key->mv_data};
	return 0;
}

static int take_span(struct check *c, const MDB_val *key, const MDB_val *value, bool held)
{
	struct span span = {.held = held};
	int r = array_room(&c->spans, c->n_spans, &c->room_spans, sizeof(span));

	if (r == 0)
		r = held ? space_read_held(key, value, &span.session, &span.x)
			 : space_read(key, value, &span.x);
	if (r < 0)
		return r;
	if (span.x.block == PACK_BLOCKS_MAX)
		c->tails[span.x.pack] = span.x.blocks;
	else
		c->spans[c->n_spans++] = span;
	return 0;
}

static int note_malformed(const struct scan *q, const MDB_val *key)
{
	struct chunk_fault f = {.why = "its record has the wrong form", .misplaced = true};

	if (q->db->dbi == q->c->s->chunks && key->mv_size == DIGEST_SIZE) {
		memcpy(f.digest.b, key->mv_data, DIGEST_SIZE);
		return check_note_chunk(q->c, &f);
	}
	return check_note(q->c, FINDING_RECORD, NULL,
		"chunks.lmdb: a record of '%s' has the wrong form", q->db->name);
}

static int scan_record(void *ctx, const MDB_val *key, const MDB_val *value)
{
	const struct scan *q = ctx;
	const struct store *s = q->c->s;

	if (!q->db->form(key, value))
		return note_malformed(q, key);
	if (q->db->dbi == s->chunks)
		return take_place(q->c, key, value);
	if (q->db->dbi == s->space || q->db->dbi == s->held)
		return take_span(q->c, key, value, q->db->dbi == s->held);
	return 0;
}

static int order_of_places(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	return (a->at > b->at) - (a->at < b->at);
}

/* So that references are found without LMDB's tree: there are many more of them than chunks. */
static int number_places(struct check *c)
{
	c->numbers = chunk_map_new(c->n_places);
	if (!c->numbers)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_places; i++) {
		struct digest d;
		uint32_t *number;

		memcpy(d.b, c->places[i].digest, DIGEST_SIZE);
		number = chunk_map_put(c->numbers, &d);
		if (!number)
			return -ENOMEM;
		*number = (uint32_t)i;
	}
	return 0;
}

int check_records(struct check *c, struct err *e)
{
	struct database all[N_DATABASES];
	MDB_stat st;
	int r = store_code(mdb_stat(c->txn, c->s->chunks, &st));

	if (r < 0)
		return err_sys(e, r, "cannot read the records of the store");
	c->places = calloc(st.ms_entries + 1, sizeof(*c->places));
	c->room_places = st.ms_entries;
	c->referenced = calloc(st.ms_entries / 64 + 1, sizeof(*c->referenced));
	if (!c->places || !c->referenced)
		return err_sys(e, -ENOMEM, "cannot check the store");
	databases(c->s, all);
	for (size_t i = 0; r == 0 && i < N_DATABASES; i++) {
		struct scan q = {c, &all[i]};

		r = record_for_each(c->s, c->txn, all[i].dbi, scan_record, &q);
		if (r < 0 && r != -ENOMEM)
			r = check_note(c, FINDING_RECORD, NULL,
				"chunks.lmdb: '%s' cannot be read: %s", all[i].name, err_text(r));
	}
	if (r < 0)
		return err_sys(e, r, "cannot check the store");
	if (c->n_places)
		qsort(c->places, c->n_places, sizeof(*c->places), order_of_places);
	return number_places(c) < 0 ? err_sys(e, -ENOMEM, "cannot check the store") : 0;
}

int check_drop_malformed(struct store *s, MDB_txn *txn)
{
	struct database all[N_DATABASES];

	databases(s, all);
	for (size_t i = 0; i < N_DATABASES; i++) {
		MDB_val key, value;
		MDB_cursor *cursor;
		int r = mdb_cursor_open(txn, all[i].dbi, &cursor);

		if (r)
			return store_code(r);
		for (r = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); r == 0;) {
			if (!all[i].form(&key, &value))
				r = mdb_cursor_del(cursor, 0);
			if (r == 0)
				r = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		}
		mdb_cursor_close(cursor);
		if (r != MDB_NOTFOUND)
			return store_code(r);
	}
	return 0;
}

static void mark_place(struct check *c, const struct chunk_record *r)
{
	const struct place p = {.at = (uint64_t)r->pack << 56 | (uint64_t)r->block << 25 | r->size};
	const struct place *found = bsearch(&p, c->places, c->n_places, sizeof(p), order_of_places);

	if (found)
		c->referenced[(found - c->places) / 64] |= 1ull << (found - c->places) % 64;
}

/* The usual case: the record is there, and its size is right. */
static bool mark_numbered(struct check *c, const struct chunk *chunk)
{
	const uint32_t *i = chunk_map_find(c->numbers, &chunk->digest);
	const struct place *p = i ? &c->places[*i] : NULL;

	if (!p || memcmp(p->digest, chunk->digest.b, DIGEST_SIZE) != 0 ||
		place_record(p).size != chunk->size)
		return false;
	c->referenced[*i / 64] |= 1ull << *i % 64;
	return true;
}

int check_reference(struct check *c, const struct chunk *chunk)
{
	struct chunk_fault f = {.digest = chunk->digest, .misplaced = true};
	struct chunk_record rec;
	int r;

	if (mark_numbered(c, chunk))
		return 0;
	r = record_chunk(c->s, c->txn, &chunk->digest, &rec);
	if (r == -ERR_STORE) /* noted when the records were read */
		return 0;
	if (r < 0)
		return r;
	if (r == 0 && rec.size == chunk->size) {
		mark_place(c, &rec);
		return 0;
	}
	f.why = r == 1 ? "it has no record" : "its record has another size";
	if (r == 0)
		f.at = rec;
	return check_note_chunk(c, &f);
}

size_t check_unreferenced(const struct check *c)
{
	size_t n = c->n_places;

	for (size_t i = 0; i <= c->n_places / 64 && c->referenced; i++)
		n -= (size_t)__builtin_popcountll(c->referenced[i]);
	return n;
}
