/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every number stands in the ustar header, in base-256 where octal has no room, and again in a
 * pax record then: a reader that knows only one of the two reads the same.
 */
#include "tar-header.h"
#include "tar.h"
#include "util/buf.h"

#include <string.h>
#include <sys/stat.h>

#define BUF_TRY(expr) \
	do { \
		int _r = (expr); \
		if (_r < 0) \
			return _r; \
	} while (0)

/* What one entry becomes: pax records, its header, and a sparse file's map. */
struct plan {
	struct tar_header header;
	struct buf path; /* with the '/' that ends a directory's */
	struct buf pax;
	struct buf map;
	bool binary; /* some name is not UTF-8 */
};

static void plan_done(struct plan *p)
{
	buf_done(&p->path);
	buf_done(&p->pax);
	buf_done(&p->map);
}

/* --- checks ------------------------------------------------------------------------------- */

static int bad(const struct tar_entry *x, struct err *e, const char *what)
{
	return err_set(e, -ERR_INPUT, "tar: '%.200s': %s", x->path, what);
}

static int check_xattrs(const struct tar_entry *x, struct err *e)
{
	for (size_t i = 0; i < x->n_xattrs; i++) {
		const struct tar_xattr *a = &x->xattrs[i];

		if (!*a->name || strlen(a->name) > TAR_XATTR_NAME_MAX)
			return bad(x, e, "bad name of an extended attribute");
		if (a->value_size > TAR_XATTR_VALUE_MAX)
			return bad(x, e, "extended attribute larger than 64 KiB");
	}
	return 0;
}

static int check_extents(const struct tar_entry *x, struct err *e)
{
	uint64_t end = 0;

	for (size_t i = 0; x->sparse && i < x->n_extents; i++) {
		const struct tar_extent *t = &x->extents[i];

		if (t->offset < end || t->size == 0 || t->offset > x->size ||
			t->size > x->size - t->offset)
			return bad(x, e, "bad sparse map");
		end = t->offset + t->size;
	}
	return 0;
}

static int check_link(const struct tar_entry *x, struct err *e)
{
	if (!x->hardlink && !S_ISLNK(x->mode))
		return 0;
	if (!x->link || !*x->link)
		return bad(x, e, "empty link target");
	if (!x->hardlink && strlen(x->link) > TAR_LINK_MAX)
		return bad(x, e, "symlink target longer than 4095 bytes");
	return 0;
}

static int check_entry(const struct tar_entry *x, struct err *e)
{
	const size_t n = strlen(x->path);
	int r;

	if (n == 0)
		return bad(x, e, "empty path");
	if (x->path[n - 1] == '/' && !S_ISDIR(x->mode))
		return bad(x, e, "a name that ends in '/' and is no directory");
	if (x->uid > TAR_ID_MAX || x->gid > TAR_ID_MAX)
		return bad(x, e, "owner is not in 0 to 2^32 - 2");
	if (x->size > INT64_MAX || x->mtime == INT64_MIN || x->mtime_nsec >= 1000000000)
		return bad(x, e, "size or time out of range");
	r = check_link(x, e);
	if (r == 0)
		r = check_extents(x, e);
	return r < 0 ? r : check_xattrs(x, e);
}

/* --- pax records -------------------------------------------------------------------------- */

static size_t digits_of(size_t n)
{
	size_t d = 1;

	while (n /= 10)
		d++;
	return d;
}

/* A record's length counts its own digits. */
static int add_record(struct buf *b, const char *key, const void *value, size_t value_size)
{
	const size_t rest = strlen(key) + value_size + 3;
	size_t n = rest + digits_of(rest);

	if (digits_of(n) != digits_of(rest))
		n = rest + digits_of(n);
	BUF_TRY(buf_addf(b, "%zu %s=", n, key));
	BUF_TRY(buf_add(b, value, value_size));
	return buf_add(b, "\n", 1);
}

static int add_text(struct buf *b, const char *key, const char *value)
{
	return add_record(b, key, value, strlen(value));
}

static int add_number(struct buf *b, const char *key, uint64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%ju", (uintmax_t)v);

	return add_record(b, key, text, (size_t)n);
}

static int add_id(struct buf *b, const char *key, uint32_t id)
{
	return tar_number_is_octal(sizeof(((struct tar_header *)0)->uid), id)
		       ? 0
		       : add_number(b, key, id);
}

/* Second -2 and 750,000,000 ns is "-1.25". */
static int add_mtime(struct buf *b, const struct tar_entry *x)
{
	const bool negative = x->mtime < 0;
	uint64_t sec = negative ? -(uint64_t)x->mtime : (uint64_t)x->mtime;
	uint32_t nsec = x->mtime_nsec;
	char text[40];
	int n;

	if (!nsec && tar_number_is_octal(sizeof(((struct tar_header *)0)->mtime), x->mtime))
		return 0;
	if (negative && nsec) {
		sec--;
		nsec = 1000000000 - nsec;
	}
	n = snprintf(text, sizeof(text), "%s%ju.%09u", negative ? "-" : "", (uintmax_t)sec, nsec);
	while (text[n - 1] == '0')
		n--;
	return add_record(b, "mtime", text, (size_t)(n - (text[n - 1] == '.')));
}

static int compare_xattrs(const void *a, const void *b)
{
	const struct tar_xattr *const *p = a, *const *q = b;

	return strcmp((*p)->name, (*q)->name);
}

/* '=' would end the key: escaped as GNU tar does it. */
static int add_xattr(struct buf *b, const struct tar_xattr *a)
{
	char key[sizeof("SCHILY.xattr.") + 3 * TAR_XATTR_NAME_MAX] = "SCHILY.xattr.";
	char *to = key + strlen(key);

	for (const char *p = a->name; *p; p++) {
		if (*p == '=' || *p == '%')
			to = stpcpy(to, *p == '=' ? "%3D" : "%25");
		else
			*to++ = *p;
	}
	*to = 0;
	return add_record(b, key, a->value, a->value_size);
}

static int add_xattrs(struct buf *b, const struct tar_entry *x)
{
	_cleanup_free_ const struct tar_xattr **sorted = NULL;

	if (!x->n_xattrs)
		return 0;
	sorted = reallocarray(NULL, x->n_xattrs, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < x->n_xattrs; i++)
		sorted[i] = &x->xattrs[i];
	qsort(sorted, x->n_xattrs, sizeof(*sorted), compare_xattrs);
	for (size_t i = 0; i < x->n_xattrs; i++)
		BUF_TRY(add_xattr(b, sorted[i]));
	return 0;
}

/* --- names -------------------------------------------------------------------------------- */

/* Bytes of the character at `s` if it is valid UTF-8 (RFC 3629), else 0. */
static size_t utf8_char(const uint8_t *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
	uint32_t c = n == 1 ? *s : *s & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return n && c >= least[n] && c <= 0x10ffff && c >> 11 != 0x1b ? n : 0;
}

static bool is_utf8(const char *s)
{
	for (const uint8_t *p = (const uint8_t *)s; *p;) {
		size_t n = utf8_char(p);

		if (!n)
			return false;
		p += n;
	}
	return true;
}

static bool is_ascii(const char *s)
{
	while (*s && (uint8_t)*s < 0x80)
		s++;
	return *s == 0;
}

static void put_field(char *field, size_t size, const char *s, size_t n)
{
	memcpy(field, s, n < size ? n : size);
}

/* Splits the path at the first '/' that leaves a name short enough. False: it does not fit. */
static bool put_path(struct tar_header *h, const char *path, size_t n)
{
	const char *slash;

	if (n <= sizeof(h->name)) {
		put_field(h->name, sizeof(h->name), path, n);
		return true;
	}
	slash = memchr(path + n - sizeof(h->name) - 1, '/', sizeof(h->name));
	if (!slash || slash == path || (size_t)(slash - path) > sizeof(h->prefix)) {
		put_field(h->name, sizeof(h->name), path, n);
		return false;
	}
	put_field(h->prefix, sizeof(h->prefix), path, (size_t)(slash - path));
	put_field(h->name, sizeof(h->name), slash + 1, n - (size_t)(slash - path) - 1);
	return true;
}

static int plan_names(struct plan *p, const struct tar_entry *x)
{
	const char *path;

	BUF_TRY(buf_add(&p->path, x->path, strlen(x->path)));
	if (S_ISDIR(x->mode) && p->path.p[p->path.n - 1] != '/')
		BUF_TRY(buf_add(&p->path, "/", 1));
	path = (const char *)p->path.p;
	p->binary = !is_utf8(path) || (x->link && !is_utf8(x->link));
	if (x->link && (strlen(x->link) > sizeof(p->header.link) || !is_ascii(x->link)))
		BUF_TRY(add_text(&p->pax, "linkpath", x->link));
	if (x->link)
		put_field(p->header.link, sizeof(p->header.link), x->link, strlen(x->link));
	if (!x->sparse) {
		if (!put_path(&p->header, path, p->path.n) || !is_ascii(path))
			BUF_TRY(add_text(&p->pax, "path", path));
		return 0;
	}
	snprintf(p->header.name, sizeof(p->header.name), "GNUSparseFile.0/%.64s", basename(path));
	return add_text(&p->pax, "GNU.sparse.name", path);
}

/* --- headers ------------------------------------------------------------------------------ */

static char type_of(const struct tar_entry *x)
{
	if (x->hardlink)
		return '1';
	switch (x->mode & S_IFMT) {
	case S_IFREG:
	case S_IFSOCK:
		return '0';
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return 0;
	}
}

static uint64_t data_size(const struct tar_entry *x)
{
	uint64_t n = 0;

	if (x->hardlink || !S_ISREG(x->mode))
		return 0;
	if (!x->sparse)
		return x->size;
	for (size_t i = 0; i < x->n_extents; i++)
		n += x->extents[i].size;
	return n;
}

static void put_header(struct tar_header *h, const struct tar_entry *x, uint64_t size)
{
	tar_number_put(h->mode, sizeof(h->mode), x->mode & 07777);
	tar_number_put(h->uid, sizeof(h->uid), x->uid);
	tar_number_put(h->gid, sizeof(h->gid), x->gid);
	tar_number_put(h->size, sizeof(h->size), (int64_t)size);
	tar_number_put(h->mtime, sizeof(h->mtime), x->mtime);
	if (S_ISCHR(x->mode) || S_ISBLK(x->mode)) {
		tar_number_put(h->dev_major, sizeof(h->dev_major), x->dev_major);
		tar_number_put(h->dev_minor, sizeof(h->dev_minor), x->dev_minor);
	} else {
		tar_number_put(h->dev_major, sizeof(h->dev_major), 0);
		tar_number_put(h->dev_minor, sizeof(h->dev_minor), 0);
	}
	memcpy(h->magic, "ustar\00000", sizeof(h->magic));
	tar_checksum_put(h);
}

/* The pax 1.0 map: the number of extents, each one's offset and size, padded to a block. */
static int plan_map(struct plan *p, const struct tar_entry *x)
{
	struct buf *b = &p->map;
	const bool hole_at_end =
		!x->n_extents ||
		x->extents[x->n_extents - 1].offset + x->extents[x->n_extents - 1].size < x->size;

	BUF_TRY(buf_addf(b, "%zu\n", x->n_extents + hole_at_end));
	for (size_t i = 0; i < x->n_extents; i++)
		BUF_TRY(buf_addf(b, "%ju\n%ju\n", (uintmax_t)x->extents[i].offset,
			(uintmax_t)x->extents[i].size));
	if (hole_at_end) /* GNU tar ends the map so */
		BUF_TRY(buf_addf(b, "%ju\n0\n", (uintmax_t)x->size));
	return buf_add_zero(b, tar_padding(b->n));
}

static int plan_sparse(struct plan *p, const struct tar_entry *x)
{
	if (!x->sparse)
		return 0;
	BUF_TRY(plan_map(p, x));
	BUF_TRY(add_text(&p->pax, "GNU.sparse.major", "1"));
	BUF_TRY(add_text(&p->pax, "GNU.sparse.minor", "0"));
	return add_number(&p->pax, "GNU.sparse.realsize", x->size);
}

static int plan_entry(struct plan *p, const struct tar_entry *x)
{
	uint64_t size;

	BUF_TRY(plan_names(p, x));
	BUF_TRY(plan_sparse(p, x));
	size = p->map.n + data_size(x);
	if (!tar_number_is_octal(sizeof(p->header.size), (int64_t)size))
		BUF_TRY(add_number(&p->pax, "size", size));
	BUF_TRY(add_id(&p->pax, "uid", x->uid));
	BUF_TRY(add_id(&p->pax, "gid", x->gid));
	BUF_TRY(add_mtime(&p->pax, x));
	if (S_ISSOCK(x->mode) && !x->hardlink)
		BUF_TRY(add_text(&p->pax, "PLYFS.type", "socket"));
	BUF_TRY(add_xattrs(&p->pax, x));
	p->header.type = type_of(x);
	put_header(&p->header, x, size);
	return 0;
}

/* --- output ------------------------------------------------------------------------------- */

static int write_zero(struct sink *out, size_t n)
{
	static const uint8_t zero[2 * TAR_BLOCK];

	return sink_write(out, zero, n);
}

/* Names that are not UTF-8 are announced first: the record counts for those behind it. */
static int write_pax(struct sink *out, const struct plan *p)
{
	static const char binary[] = "21 hdrcharset=BINARY\n";
	const size_t n_binary = p->binary ? sizeof(binary) - 1 : 0;
	const size_t n = n_binary + p->pax.n;
	struct tar_header h = {.name = "././@PaxHeader", .type = 'x'};

	if (!n)
		return 0;
	put_header(&h, &(struct tar_entry){.mode = S_IFREG | 0644}, n);
	BUF_TRY(sink_write(out, &h, sizeof(h)));
	BUF_TRY(sink_write(out, binary, n_binary));
	BUF_TRY(sink_write(out, p->pax.p, p->pax.n));
	return write_zero(out, tar_padding(n));
}

static int write_plan(struct sink *out, const struct plan *p)
{
	BUF_TRY(write_pax(out, p));
	BUF_TRY(sink_write(out, &p->header, sizeof(p->header)));
	return sink_write(out, p->map.p, p->map.n);
}

int tar_write_entry(struct sink *out, const struct tar_entry *entry, struct err *e)
{
	_cleanup_(plan_done) struct plan p = {0};
	struct tar_entry x = *entry;
	int r;

	if (x.hardlink || !S_ISREG(x.mode))
		x.sparse = false;
	if (!x.hardlink && !S_ISLNK(x.mode))
		x.link = NULL;
	if (!type_of(&x))
		return bad(&x, e, "unknown type");
	r = check_entry(&x, e);
	if (r < 0)
		return r;
	r = plan_entry(&p, &x);
	if (r == 0 && (p.pax.n > TAR_EXT_MAX - 64 || p.map.n > TAR_EXT_MAX))
		return bad(&x, e, "more than 4 MiB of extended attributes or sparse map");
	if (r == 0)
		r = write_plan(out, &p);
	return r < 0 ? err_sys(e, r, "tar: '%.200s'", x.path) : 0;
}

int tar_write_padding(struct sink *out, const struct tar_entry *entry)
{
	return write_zero(out, tar_padding(data_size(entry)));
}

int tar_write_end(struct sink *out)
{
	return write_zero(out, 2 * TAR_BLOCK);
}
