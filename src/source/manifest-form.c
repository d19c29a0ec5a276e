/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest-form.h"
#include "format/tar-header.h"
#include "format/tar-pax.h"
#include "util/array.h"

#include <string.h>

/* What a line may say besides its path; bits, to see what it did say. */
enum key {
	KEY_TYPE = 1 << 0,
	KEY_MODE = 1 << 1,
	KEY_UID = 1 << 2,
	KEY_GID = 1 << 3,
	KEY_TIME = 1 << 4,
	KEY_CONTENT = 1 << 5,
	KEY_INLINE = 1 << 6,
	KEY_LINK = 1 << 7,
	KEY_DEVICE = 1 << 8,
	KEY_OPAQUE = 1 << 9,
	KEY_XATTR = 1 << 10,
};
#define KEYS_DEFAULT (KEY_TYPE | KEY_MODE | KEY_UID | KEY_GID | KEY_TIME) /* what /set takes */

static const struct type_rule {
	const char *name;
	unsigned allowed; /* besides KEY_TYPE */
	unsigned needed;
	uint32_t mode; /* where none is said */
} type_rules[] = {
#define META (KEY_MODE | KEY_UID | KEY_GID | KEY_TIME | KEY_XATTR)
	[MANIFEST_FILE] = {"file", META | KEY_CONTENT | KEY_INLINE, 0, 0644},
	[MANIFEST_DIR] = {"dir", META | KEY_OPAQUE, 0, 0755},
	[MANIFEST_LINK] = {"link", META | KEY_LINK, KEY_LINK, 0777},
	[MANIFEST_HARDLINK] = {"hardlink", KEY_LINK, KEY_LINK, 0},
	[MANIFEST_CHAR] = {"char", META | KEY_DEVICE, KEY_DEVICE, 0644},
	[MANIFEST_BLOCK] = {"block", META | KEY_DEVICE, KEY_DEVICE, 0644},
	[MANIFEST_FIFO] = {"fifo", META, 0, 0644},
	[MANIFEST_SOCKET] = {"socket", META, 0, 0644},
	[MANIFEST_WHITEOUT] = {"whiteout", 0, 0, 0},
#undef META
};
#define N_TYPES (sizeof(type_rules) / sizeof(type_rules[0]))

struct parser {
	struct manifest_form *form;
	struct err *e;
	size_t line;
	struct manifest_entry x;        /* the line's entry, or the defaults of a /set line */
	unsigned seen;                  /* keys of this line */
	enum manifest_type device;      /* what this line's device= is */
	struct manifest_entry defaults; /* of /set */
	unsigned defaults_seen;
	struct tar_xattr *xattrs; /* of this line */
	size_t n_xattrs, room_xattrs;
};

static void parser_done(struct parser *p)
{
	free(p->xattrs);
}

void manifest_form_done(struct manifest_form *f)
{
	arena_done(&f->arena);
	free(f->entries);
	*f = (struct manifest_form){0};
}

static int bad(const struct parser *p, const char *what)
{
	return err_set(p->e, -ERR_INPUT, "line %zu: %s", p->line, what);
}

static int bad_word(const struct parser *p, const char *what, const char *word)
{
	return err_set(p->e, -ERR_INPUT, "line %zu: %s '%.100s'", p->line, what, word);
}

static int no_memory(const struct parser *p)
{
	return err_sys(p->e, -ENOMEM, "line %zu", p->line);
}

/* --- what each key sets ------------------------------------------------------------------- */

static int set_type(struct parser *p, struct word v)
{
	for (size_t i = 1; i < N_TYPES; i++)
		if (strcmp(v.p, type_rules[i].name) == 0) {
			p->x.type = (enum manifest_type)i;
			return 0;
		}
	return -ERR_INPUT;
}

static int set_mode(struct parser *p, struct word v)
{
	uint32_t mode = 0;

	if (v.n == 0 || v.n > 5)
		return -ERR_INPUT;
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '7')
			return -ERR_INPUT;
		mode = mode << 3 | (uint32_t)(v.p[i] - '0');
	}
	p->x.mode = mode;
	return mode > 07777 ? -ERR_INPUT : 0;
}

static int parse_number(const char *s, size_t n, uint64_t max, uint32_t *ret)
{
	uint64_t v;

	if (tar_decimal(s, n, max, &v) < 0)
		return -ERR_INPUT;
	*ret = (uint32_t)v;
	return 0;
}

static int set_uid(struct parser *p, struct word v)
{
	return parse_number(v.p, v.n, TAR_ID_MAX, &p->x.uid);
}

static int set_gid(struct parser *p, struct word v)
{
	return parse_number(v.p, v.n, TAR_ID_MAX, &p->x.gid);
}

static int set_time(struct parser *p, struct word v)
{
	const char *point = memchr(v.p, '.', v.n);

	if (point && (v.p + v.n == point + 1 || v.p + v.n > point + 10))
		return -ERR_INPUT;
	return tar_pax_time(v.p, v.n, &p->x.mtime, &p->x.mtime_nsec);
}

static int set_content(struct parser *p, struct word v)
{
	p->x.content = v.p;
	return v.n == 0 || memchr(v.p, 0, v.n) ? -ERR_INPUT : 0;
}

static int set_inline(struct parser *p, struct word v)
{
	p->x.text = v;
	return 0;
}

static int set_link(struct parser *p, struct word v)
{
	p->x.link = v.p;
	return v.n == 0 || memchr(v.p, 0, v.n) ? -ERR_INPUT : 0;
}

/* "c:MAJOR:MINOR" or "b:..."; the letter may stand for the type. */
static int set_device(struct parser *p, struct word v)
{
	const char *end = v.p + v.n;
	const char *colon = v.n > 2 ? memchr(v.p + 2, ':', v.n - 2) : NULL;

	p->device = v.p[0] == 'c' ? MANIFEST_CHAR : MANIFEST_BLOCK;
	if (!colon || (v.p[0] != 'c' && v.p[0] != 'b') || v.p[1] != ':')
		return -ERR_INPUT;
	if (!(p->seen & KEY_TYPE))
		p->x.type = p->device;
	if (parse_number(v.p + 2, (size_t)(colon - v.p) - 2, UINT32_MAX, &p->x.dev_major) < 0)
		return -ERR_INPUT;
	return parse_number(colon + 1, (size_t)(end - colon) - 1, UINT32_MAX, &p->x.dev_minor);
}

static int set_opaque(struct parser *p, struct word v)
{
	p->x.opaque = true;
	return v.p ? -ERR_INPUT : 0;
}

static const struct keyword {
	const char *name;
	enum key key;
	int (*set)(struct parser *p, struct word v);
} keywords[] = {
	{"type", KEY_TYPE, set_type},
	{"mode", KEY_MODE, set_mode},
	{"uid", KEY_UID, set_uid},
	{"gid", KEY_GID, set_gid},
	{"time", KEY_TIME, set_time},
	{"content", KEY_CONTENT, set_content},
	{"inline", KEY_INLINE, set_inline},
	{"link", KEY_LINK, set_link},
	{"device", KEY_DEVICE, set_device},
	{"opaque", KEY_OPAQUE, set_opaque},
};

static const struct keyword *keyword_find(const char *name)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	return NULL;
}

/* --- lines -------------------------------------------------------------------------------- */

static int add_xattr(struct parser *p, const char *name, size_t n, struct word v)
{
	if (n == 0 || n > TAR_XATTR_NAME_MAX || memchr(name, 0, n))
		return bad(p, "bad name of an extended attribute");
	if (!v.p || v.n > TAR_XATTR_VALUE_MAX)
		return bad_word(p, "no value, or one longer than 64 KiB, for", name);
	if (p->n_xattrs == MANIFEST_XATTRS_MAX)
		return bad(p, "more than 1024 extended attributes");
	for (size_t i = 0; i < p->n_xattrs; i++)
		if (strcmp(p->xattrs[i].name, name) == 0)
			return bad_word(p, "two values for the extended attribute", name);
	if (array_room(&p->xattrs, p->n_xattrs, &p->room_xattrs, sizeof(*p->xattrs)) < 0)
		return no_memory(p);
	p->xattrs[p->n_xattrs++] =
		(struct tar_xattr){.name = name, .value = v.p, .value_size = v.n};
	p->seen |= KEY_XATTR;
	return 0;
}

/* Splits "key=value" and resolves the escapes; no '=': value->p is NULL. */
static int split_pair(
	const struct parser *p, struct word pair, struct word *key, struct word *value)
{
	char *eq = memchr(pair.p, '=', pair.n);

	*key = pair;
	*value = (struct word){0};
	if (eq) {
		key->n = (size_t)(eq - pair.p);
		*value = (struct word){.p = eq + 1, .n = pair.n - key->n - 1};
	}
	/* The value first: the NUL behind the key goes where the '=' was. */
	if ((eq && manifest_unescape(value) < 0) || manifest_unescape(key) < 0)
		return bad(p, "unknown escape (there are \\ooo \\s \\t \\n \\\\ \\#)");
	return 0;
}

static int apply_pair(struct parser *p, struct word pair, unsigned allowed)
{
	const struct keyword *k;
	struct word key, value;
	int r = split_pair(p, pair, &key, &value);

	if (r < 0)
		return r;
	if ((allowed & KEY_XATTR) && key.n >= 6 && memcmp(key.p, "xattr.", 6) == 0)
		return add_xattr(p, key.p + 6, key.n - 6, value);
	k = keyword_find(key.p);
	if (!k || !(k->key & allowed) || strlen(key.p) != key.n)
		return bad_word(p, "unknown keyword", key.p);
	if (p->seen & k->key)
		return bad_word(p, "this keyword stands there twice:", key.p);
	if ((!value.p && k->key != KEY_OPAQUE) || k->set(p, value) < 0)
		return bad_word(p, "bad value for keyword", key.p);
	p->seen |= k->key;
	return 0;
}

static int apply_pairs(struct parser *p, struct word *line, unsigned allowed)
{
	struct word pair;

	while (manifest_word(line, &pair)) {
		/* The byte behind a word is a blank, or the end of the line: it may become NUL. */
		const bool more = line->n > 0;
		int r;

		if (more) {
			line->p++;
			line->n--;
		}
		r = apply_pair(p, pair, allowed);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_set(struct parser *p, struct word *line)
{
	int r;

	p->x = p->defaults;
	p->seen = 0;
	r = apply_pairs(p, line, KEYS_DEFAULT);
	p->defaults = p->x;
	p->defaults_seen |= p->seen;
	return r;
}

static int parse_unset(struct parser *p, struct word *line)
{
	struct word w;

	while (manifest_word(line, &w)) {
		const struct keyword *k = NULL;

		for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]) && !k; i++)
			if (strlen(keywords[i].name) == w.n &&
				memcmp(keywords[i].name, w.p, w.n) == 0)
				k = &keywords[i];
		if (!k || !(k->key & KEYS_DEFAULT))
			return bad(p, "unknown keyword behind /unset");
		p->defaults_seen &= ~(unsigned)k->key;
	}
	return 0;
}

/* What /set said, with what it did not say at its first value. */
static struct manifest_entry default_entry(const struct parser *p)
{
	const unsigned seen = p->defaults_seen;
	const struct manifest_entry *d = &p->defaults;

	return (struct manifest_entry){
		.line = p->line,
		.type = seen & KEY_TYPE ? d->type : MANIFEST_NONE,
		.mode = d->mode,
		.uid = seen & KEY_UID ? d->uid : 0,
		.gid = seen & KEY_GID ? d->gid : 0,
		.mtime = seen & KEY_TIME ? d->mtime : 0,
		.mtime_nsec = seen & KEY_TIME ? d->mtime_nsec : 0,
	};
}

/* A line's keys must fit its type. */
static int check_keys(struct parser *p)
{
	const struct type_rule *rule = &type_rules[p->x.type];

	if (p->x.type == MANIFEST_NONE)
		return bad(p, "no type");
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		const struct keyword *k = &keywords[i];

		if (p->seen & k->key & ~rule->allowed & ~(unsigned)KEY_TYPE)
			return err_set(p->e, -ERR_INPUT, "line %zu: '%s' does not go with type=%s",
				p->line, k->name, rule->name);
		if (~p->seen & k->key & rule->needed)
			return err_set(p->e, -ERR_INPUT, "line %zu: type=%s needs '%s'", p->line,
				rule->name, k->name);
	}
	if (p->seen & KEY_XATTR & ~rule->allowed)
		return bad_word(p, "extended attributes do not go with type", rule->name);
	if ((p->seen & KEY_DEVICE) && p->device != p->x.type)
		return bad(p, "'type' and 'device' differ");
	if ((p->seen & KEY_CONTENT) && (p->seen & KEY_INLINE))
		return bad(p, "both 'content' and 'inline'");
	return 0;
}

static int check_link(struct parser *p)
{
	struct word w = {.p = (char *)(uintptr_t)p->x.link};
	const char *wrong = NULL;

	if (!w.p)
		return 0;
	w.n = strlen(w.p);
	if (p->x.type == MANIFEST_HARDLINK)
		wrong = manifest_path(&w);
	else if (w.n > TAR_LINK_MAX)
		wrong = "longer than 4095 bytes";
	p->x.link = w.p;
	return wrong ? bad_word(p, "bad link target:", wrong) : 0;
}

static int check_path(struct parser *p)
{
	const char *slash = strrchr(p->x.path, '/');
	const char *name = slash ? slash + 1 : p->x.path;

	if (!*p->x.path && p->x.type != MANIFEST_DIR)
		return bad(p, "the root is no directory");
	if (p->x.type == MANIFEST_WHITEOUT && strlen(name) > 255 - strlen(".wh."))
		return bad(p, "a whiteout of a name longer than 251 bytes");
	return 0;
}

static int keep_entry(struct parser *p)
{
	struct manifest_form *f = p->form;
	struct manifest_entry *x;

	if (f->n == MANIFEST_ENTRIES_MAX)
		return bad(p, "too many entries");
	if (array_room(&f->entries, f->n, &f->room, sizeof(*f->entries)) < 0)
		return no_memory(p);
	p->x.n_xattrs = p->n_xattrs;
	p->x.xattrs = arena_copy(&f->arena, p->xattrs, p->n_xattrs * sizeof(*p->xattrs));
	x = arena_copy(&f->arena, &p->x, sizeof(p->x));
	if (!x || !p->x.xattrs)
		return no_memory(p);
	f->entries[f->n++] = x;
	return 0;
}

static int parse_entry(struct parser *p, struct word path, struct word *line)
{
	const char *wrong;
	int r;

	if (manifest_unescape(&path) < 0)
		return bad(p, "unknown escape (there are \\ooo \\s \\t \\n \\\\ \\#)");
	wrong = manifest_path(&path);
	if (wrong)
		return bad(p, wrong);
	p->x = default_entry(p);
	p->x.path = path.p;
	p->seen = 0;
	p->n_xattrs = 0;
	r = apply_pairs(p, line, ~0u);
	if (r == 0)
		r = check_keys(p);
	if (r == 0)
		r = check_link(p);
	if (r == 0)
		r = check_path(p);
	if (r < 0)
		return r;
	if (!((p->seen | p->defaults_seen) & KEY_MODE))
		p->x.mode = type_rules[p->x.type].mode;
	return keep_entry(p);
}

static bool word_is(struct word w, const char *s)
{
	return w.n == strlen(s) && memcmp(w.p, s, w.n) == 0;
}

static int parse_line(struct parser *p, struct word line)
{
	struct word first;

	if (line.n > MANIFEST_LINE_MAX)
		return bad(p, "longer than 1 MiB");
	if (memchr(line.p, 0, line.n))
		return bad(p, "a NUL byte");
	if (!manifest_word(&line, &first) || *first.p == '#')
		return 0;
	if (line.n) { /* the blank behind the word, which may become NUL */
		line.p++;
		line.n--;
	}
	if (word_is(first, "/set"))
		return parse_set(p, &line);
	if (word_is(first, "/unset"))
		return parse_unset(p, &line);
	return parse_entry(p, first, &line);
}

int manifest_form_parse(struct manifest_form *f, char *text, size_t n, struct err *e)
{
	_cleanup_(parser_done) struct parser p = {.form = f, .e = e};

	while (n) {
		char *newline = memchr(text, '\n', n);
		const size_t size = newline ? (size_t)(newline - text) : n;
		int r;

		p.line++;
		r = parse_line(&p, (struct word){.p = text, .n = size});
		if (r < 0)
			return r;
		text += size + (newline != NULL);
		n -= size + (newline != NULL);
	}
	return manifest_form_check(f, e);
}
