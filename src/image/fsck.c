/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck-internal.h"
#include "local.h"
#include "quarantine.h"
#include "repair.h"
#include "store/lock.h"
#include "store/pack.h"
#include "util/io.h"
#include "util/log.h"

/* What a check leaves behind: its findings, and what they touch. */
struct outcome {
	struct fsck f;
	struct touches touches;
};

static void outcome_done(struct outcome *o)
{
	touches_done(&o->touches);
	check_done(&o->f.c);
}
#define _cleanup_outcome_ _cleanup_(outcome_done)

static int check_within(struct outcome *o, const struct fsck_options *opt, bool data, struct err *e)
{
	struct check *c = &o->f.c;
	int r = check_records(c, e);

	if (r == 0)
		r = check_space(c, e);
	if (r == 0)
		r = check_files(c, e);
	if (r == 0 && data)
		r = check_data(c, opt->progress, opt->ctx, &o->f.stats.verified, e);
	if (r == 0)
		r = fsck_images(&o->f, e);
	if (r < 0)
		return r;
	o->f.stats.chunks = c->n_places;
	o->f.stats.unreferenced = check_unreferenced(c);
	return touches_find(&o->f, &o->touches, e);
}

static int check_all(struct store *s, const struct fsck_options *opt, bool data,
	struct outcome *ret, struct err *e)
{
	_cleanup_lock_ struct lock collect = LOCK_NONE, gc = LOCK_NONE;
	int r;

	ret->f.s = s;
	check_init(s, &ret->f.c);
	ret->f.container = opt->container;
	ret->f.container_ctx = s;
	r = lock_take(s, LOCK_COLLECT, 0, false, true, &collect, e);
	if (r == 0)
		r = lock_take(s, LOCK_GC, 0, false, true, &gc, e);
	if (r == 0)
		r = txn_begin(s, false, &ret->f.c.txn, e);
	if (r == 0)
		r = check_within(ret, opt, data, e);
	check_end(&ret->f.c);
	return r;
}

/* --- telling ------------------------------------------------------------------------------- */

static const char *const kinds[] = {
	[FINDING_RECORD] = "record",
	[FINDING_PACK] = "pack",
	[FINDING_SPACE] = "space",
	[FINDING_NAME] = "name",
	[FINDING_CONTAINER] = "container",
	[FINDING_LAYER] = "layer",
	[FINDING_IMAGE] = "image",
	[FINDING_LOCAL] = "local-index",
	[FINDING_LEFTOVER] = "leftover",
};

static int tell(const struct outcome *o, const struct fsck_options *opt, size_t fault,
	struct fsck_problem *p)
{
	_cleanup_free_ struct fsck_path *paths = NULL;
	const struct touch *t;
	size_t n = touches_of(&o->touches, fault, &t);

	paths = calloc(n + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		paths[i] = (struct fsck_path){o->touches.images[t[i].image].name, t[i].path};
	p->paths = paths;
	p->n_paths = n;
	opt->problem(opt->ctx, p);
	return 0;
}

static int tell_chunk(
	const struct outcome *o, const struct fsck_options *opt, size_t i, enum fsck_class class)
{
	const struct chunk_fault *f = &o->f.c.chunks[i];
	char text[256], digest[DIGEST_TEXT_MAX], pack[PACK_NAME_MAX];
	struct fsck_problem p = {.class = class, .kind = "chunk", .text = text};

	p.digest = digest_text(&f->digest, digest);
	if (f->at.size) {
		p.pack = pack_name(f->at.pack, pack);
		p.offset = (uint64_t)f->at.block * PACK_BLOCK_SIZE;
		snprintf(text, sizeof(text), "chunk %s, %u bytes in %s at %llu: %s", digest,
			f->at.size, pack, (unsigned long long)p.offset, f->why);
	} else {
		snprintf(text, sizeof(text), "chunk %s: %s", digest, f->why);
	}
	return tell(o, opt, i, &p);
}

static int tell_finding(
	const struct outcome *o, const struct fsck_options *opt, size_t i, enum fsck_class class)
{
	const struct finding *f = &o->f.c.findings[i];
	char digest[DIGEST_TEXT_MAX], text[256];
	struct fsck_problem p = {.class = class, .kind = kinds[f->kind], .text = f->text};

	if (f->kind == FINDING_LOCAL && class == FSCK_LEFT) { /* else it would have been mended */
		snprintf(text, sizeof(text), "%s, and in use: unmount the image, and repair again",
			f->text);
		p.text = text;
	}
	if (f->kind == FINDING_LAYER || f->kind == FINDING_IMAGE || f->kind == FINDING_LOCAL)
		p.digest = digest_text(&f->digest, digest);
	return tell(o, opt, o->f.c.n_chunks + i, &p);
}

/*
 * All that was found, as `class`. FSCK_LEFT: neither leftovers nor what has been taken out of the
 * quarantine.
 */
static int tell_all(const struct outcome *o, const struct fsck_options *opt, enum fsck_class class,
	uint64_t *ret_damaged, uint64_t *ret_leftovers, struct err *e)
{
	const struct check *c = &o->f.c;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_findings; i++) {
		bool leftover = c->findings[i].kind == FINDING_LEFTOVER;

		if (class == FSCK_LEFT && (leftover || c->findings[i].sound))
			continue;
		++*(leftover ? ret_leftovers : ret_damaged);
		r = tell_finding(o, opt, i, leftover ? FSCK_LEFTOVER : class);
	}
	for (size_t i = 0; r == 0 && i < c->n_chunks; i++) {
		if (class == FSCK_LEFT && c->chunks[i].sound)
			continue;
		++*ret_damaged;
		r = tell_chunk(o, opt, i, class);
	}
	return r < 0 ? err_sys(e, r, "cannot check the store") : 0;
}

/* --- quarantine ---------------------------------------------------------------------------- */

/*
 * A chunk whose record is wrong gets another place when it is healed, so the record goes, and the
 * local indexes that have the address. 1 = one of these is in use: all stays as it is.
 */
static int drop_record(struct outcome *o, MDB_txn *txn, size_t fault)
{
	const struct chunk_fault *f = &o->f.c.chunks[fault];
	MDB_val key = {DIGEST_SIZE, (void *)(uintptr_t)f->digest.b};
	const struct touch *t = NULL;
	size_t n = touches_of(&o->touches, fault, &t);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct image_record rec = {.manifest = o->touches.images[t[i].image].manifest};

		r = local_drop(o->f.s, &rec, NULL);
	}
	if (r < 0)
		return r == -ERR_CONFLICT ? 1 : r;
	r = mdb_del(txn, o->f.s->chunks, &key, NULL);
	return r == MDB_NOTFOUND ? 0 : store_code(r);
}

/* Whether the record is still what the check saw: gc and imports may have come since. */
static bool unchanged(struct store *s, MDB_txn *txn, const struct chunk_fault *f)
{
	struct chunk_record now;
	int r = record_chunk(s, txn, &f->digest, &now);

	if (r)
		return !f->at.size;
	return now.pack == f->at.pack && now.block == f->at.block && now.size == f->at.size;
}

static int quarantine_chunks(struct outcome *o, MDB_txn *txn)
{
	char text[DIGEST_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < o->f.c.n_chunks; i++) {
		const struct chunk_fault *f = &o->f.c.chunks[i];

		if (f->sound || !unchanged(o->f.s, txn, f))
			continue;
		r = f->misplaced ? drop_record(o, txn, i) : 0;
		if (r == 1)
			log_warn("%s is in an image that is in use: unmount it, and repair again",
				digest_text(&f->digest, text));
		if (r == 0)
			r = record_put_damaged(o->f.s, txn, DAMAGED_CHUNK, &f->digest);
	}
	return r < 0 ? r : 0;
}

static int quarantine_files(struct outcome *o, MDB_txn *txn)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->f.c.n_findings; i++) {
		const struct finding *f = &o->f.c.findings[i];

		if (f->sound || (f->kind != FINDING_LAYER && f->kind != FINDING_IMAGE))
			continue;
		r = record_put_damaged(o->f.s, txn,
			f->kind == FINDING_LAYER ? DAMAGED_LAYER : DAMAGED_IMAGE, &f->digest);
	}
	return r;
}

static bool found(const struct outcome *o, enum finding_kind kind)
{
	for (size_t i = 0; i < o->f.c.n_findings; i++)
		if (o->f.c.findings[i].kind == kind)
			return true;
	return false;
}

/* Names that nobody could say, to remove them. */
static int drop_bad_names(struct store *s, MDB_txn *txn)
{
	char name[IMAGE_NAME_MAX];
	MDB_val key, value;
	MDB_cursor *c;
	int r = mdb_cursor_open(txn, s->names, &c);

	if (r)
		return store_code(r);
	for (r = mdb_cursor_get(c, &key, &value, MDB_FIRST); r == 0;) {
		if (!fsck_is_name(&key, name))
			r = mdb_cursor_del(c, 0);
		if (r == 0)
			r = mdb_cursor_get(c, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(c);
	return r == MDB_NOTFOUND ? 0 : store_code(r);
}

/* Local indexes that are wrong are made again; one that is in use says so at the second check. */
static int mend_locals(struct outcome *o, struct err *e)
{
	for (size_t i = 0; i < o->f.c.n_findings; i++) {
		const struct finding *f = &o->f.c.findings[i];
		struct image_record rec = {.manifest = f->digest};
		int r = f->kind == FINDING_LOCAL ? local_drop(o->f.s, &rec, NULL) : 0;

		if (r < 0 && r != -ERR_CONFLICT)
			return err_sys(e, r, "cannot mend a local index");
	}
	return 0;
}

static int quarantine(struct outcome *o, struct err *e)
{
	_cleanup_lock_ struct lock collect = LOCK_NONE, turn = LOCK_NONE, gc = LOCK_NONE;
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct store *s = o->f.s;
	int r = lock_take(s, LOCK_COLLECT, 0, true, true, &collect, e); /* nobody frees space */

	if (r == 0)
		r = lock_take(s, LOCK_TURN, 0, true, true, &turn, e); /* new imports wait, too */
	if (r == 0)
		r = lock_take(s, LOCK_GC, 0, true, true, &gc, e);
	if (r == 0)
		r = txn_begin(s, true, &txn, e);
	if (r == 0)
		r = check_drop_malformed(s, txn);
	if (r == 0 && found(o, FINDING_NAME))
		r = drop_bad_names(s, txn);
	if (r == 0)
		r = quarantine_chunks(o, txn);
	if (r == 0)
		r = quarantine_files(o, txn);
	if (r == 0 && (found(o, FINDING_SPACE) || found(o, FINDING_PACK)))
		r = check_mend_space(s, txn, found(o, FINDING_SPACE), e);
	if (r < 0)
		return err_sys(e, r, "cannot record the damage");
	r = txn_commit(&txn, e);
	return r < 0 ? r : mend_locals(o, e);
}

/* --- healing ------------------------------------------------------------------------------- */

/* Images whose layers and documents are sound need no source. */
static int heal_images(struct store *s, const struct outcome *o, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < o->f.c.n_findings; i++)
		if (o->f.c.findings[i].kind == FINDING_IMAGE && !o->f.c.findings[i].sound)
			r = repair_image(s, &o->f.c.findings[i].digest, e);
	return r < 0 ? r : 0;
}

static int zero_padding(struct store *s, const struct chunk_fault *f, struct err *e)
{
	static const uint8_t zeros[PACK_BLOCK_SIZE];
	uint64_t end = (uint64_t)f->at.block * PACK_BLOCK_SIZE + f->at.size;
	int fd, r = pack_open(s, f->at.pack, &fd, e);

	if (r == 0)
		r = io_pwrite_full(fd, zeros, -f->at.size & (PACK_BLOCK_SIZE - 1), end);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "cannot write packs/%u.pack", f->at.pack) : 0;
}

/* Takes what turned out to be sound out of the quarantine, and out of the findings. */
static int release(struct outcome *o, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	struct check *c = &o->f.c;
	int r = txn_begin(o->f.s, true, &txn, e);

	for (size_t i = 0; r >= 0 && i < c->n_chunks; i++)
		if (c->chunks[i].sound)
			r = record_delete_damaged(o->f.s, txn, DAMAGED_CHUNK, &c->chunks[i].digest);
	for (size_t i = 0; r >= 0 && i < c->n_findings; i++)
		if (c->findings[i].sound)
			r = record_delete_damaged(o->f.s, txn,
				c->findings[i].kind == FINDING_LAYER ? DAMAGED_LAYER
								     : DAMAGED_IMAGE,
				&c->findings[i].digest);
	if (r < 0)
		return err_sys(e, r, "cannot write the records of the store");
	return txn_commit(&txn, e);
}

/* What fills up a block needs no source. */
static int heal_padding(struct store *s, struct chunk_fault *f, struct err *e)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	bool padding = false;
	const char *why;
	int fd, r = txn_begin(s, false, &txn, e);

	if (r == 0 && !unchanged(s, txn, f))
		return 0;
	if (r == 0)
		r = pack_open(s, f->at.pack, &fd, e);
	if (r < 0)
		return r;
	r = check_chunk(fd, &f->digest, &f->at, &why, &padding);
	if (r < 0)
		return err_sys(e, r, "cannot repair");
	r = padding ? zero_padding(s, f, e) : 0;
	f->sound = padding && r == 0;
	return r;
}

static int heal_paddings(struct store *s, struct outcome *o, struct err *e)
{
	_cleanup_lock_ struct lock gc = LOCK_NONE; /* so that the places stay what they are */
	int r = lock_take(s, LOCK_GC, 0, false, true, &gc, e);

	for (size_t i = 0; r == 0 && i < o->f.c.n_chunks; i++) {
		struct chunk_fault *f = &o->f.c.chunks[i];

		if (!f->sound && !f->misplaced && strcmp(f->why, CHECK_PADDING) == 0)
			r = heal_padding(s, f, e);
	}
	return r;
}

static int heal_all(
	struct outcome *first, const struct fsck_options *opt, uint64_t *ret_chunks, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < opt->n_sources; i++) {
		uint64_t n = 0;

		r = repair_from(first->f.s, opt->sources[i], &first->f.cuts, NULL, &n, e);
		*ret_chunks += n;
	}
	return r < 0 ? r : heal_images(first->f.s, first, e);
}

/* --- after a repair ------------------------------------------------------------------------ */

static int order_of_faults(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

static bool has_chunk(const struct check *c, const struct digest *d)
{
	const struct chunk_fault *f =
		c->n_chunks ? bsearch(d, c->chunks, c->n_chunks, sizeof(*f), order_of_faults)
			    : NULL;

	return f && !f->sound;
}

static bool has_finding(const struct check *c, const struct finding *f)
{
	for (size_t i = 0; i < c->n_findings; i++)
		if (c->findings[i].kind == f->kind && !c->findings[i].sound &&
			(f->kind < FINDING_LAYER
					? strcmp(c->findings[i].text, f->text) == 0
					: digest_equal(&c->findings[i].digest, &f->digest)))
			return true;
	return false;
}

/* What the first check found and the second did not. */
static int tell_healed(const struct outcome *first, const struct outcome *second,
	const struct fsck_options *opt, uint64_t *ret_n, struct err *e)
{
	const struct check *c = &first->f.c;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_findings; i++) {
		if (c->findings[i].kind == FINDING_LEFTOVER ||
			has_finding(&second->f.c, &c->findings[i]))
			continue;
		++*ret_n;
		r = tell_finding(first, opt, i, FSCK_HEALED);
	}
	for (size_t i = 0; r == 0 && i < c->n_chunks; i++) {
		if (has_chunk(&second->f.c, &c->chunks[i].digest))
			continue;
		++*ret_n;
		r = tell_chunk(first, opt, i, FSCK_HEALED);
	}
	return r < 0 ? err_sys(e, r, "cannot check the store") : 0;
}

/* Makes the local indexes again that were wrong; else the next use of the image does. */
static void make_locals(const struct outcome *first)
{
	for (size_t i = 0; i < first->f.c.n_findings; i++) {
		_cleanup_image_record_ struct image_record rec = {0};
		_cleanup_close_ int fd = -1;
		_cleanup_txn_ MDB_txn *txn = NULL;

		if (first->f.c.findings[i].kind == FINDING_LOCAL &&
			txn_begin(first->f.s, false, &txn, NULL) == 0 &&
			record_image(first->f.s, txn, &first->f.c.findings[i].digest, &rec) == 0 &&
			image_check_quarantine(first->f.s, &rec, "", NULL) == 0 &&
			local_open(first->f.s, &rec, &fd, NULL) < 0)
			log_debug("fsck: the next use of an image makes its local index");
	}
}

static int repair(struct outcome *first, const struct fsck_options *opt, struct fsck_stats *ret,
	struct err *e)
{
	_cleanup_outcome_ struct outcome second = {0};
	struct store *s = first->f.s;
	struct err source = {0};
	uint64_t leftovers = 0;
	int healed, r = ret->damaged ? quarantine(first, e) : 0;

	if (r < 0)
		return r;
	healed = heal_all(first, opt, &ret->healed_chunks, &source);
	r = check_all(s, opt, false, &second, e);
	if (r == 0)
		r = heal_paddings(s, &second, e);
	if (r == 0)
		r = release(&second, e);
	if (r < 0)
		return r;
	make_locals(first);
	r = tell_healed(first, &second, opt, &ret->healed, e);
	if (r == 0)
		r = tell_all(&second, opt, FSCK_LEFT, &ret->left, &leftovers, e);
	if (r == 0 && healed < 0)
		return err_set(e, healed, "%s", source.text);
	return r;
}

int store_fsck(
	struct store *s, const struct fsck_options *opt, struct fsck_stats *ret, struct err *e)
{
	_cleanup_outcome_ struct outcome first = {0};
	int r = check_all(s, opt, opt->data, &first, e);

	if (r < 0)
		return r;
	*ret = first.f.stats;
	r = tell_all(&first, opt, FSCK_DAMAGE, &ret->damaged, &ret->leftovers, e);
	if (r < 0 || !opt->repair || (!ret->damaged && !opt->n_sources))
		return r;
	return repair(&first, opt, ret, e);
}
