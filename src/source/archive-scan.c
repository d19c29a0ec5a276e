/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a plain tar, one after another. */
#include "archive-internal.h"
#include "util/array.h"
#include "util/io.h"

#include <string.h>

#define BLOCK 512
/* Extension records (pax, long names); in image archives these hold one name. */
#define EXTENSION_MAX 65536

/* POSIX.1-2017, pax, "ustar Interchange Format". */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
	char type;
	char link[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8];
	char prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "tar header");

/* What extension headers say about the next entry. */
struct extension {
	char *name, *link; /* NULL: nothing */
	bool has_size;
	uint64_t size;
};

struct scan {
	struct archive_index *a;
	int fd;
	uint64_t at, end; /* of the file, bytes */
	struct extension ext;
	struct err *e;
};

static int bad(const struct scan *s, const char *what)
{
	return err_set(
		s->e, -ERR_INPUT, "tar archive, byte %llu: %s", (unsigned long long)s->at, what);
}

/* Digits end at a space, a NUL or the field's end; base-256 (GNU) for what octal cannot hold. */
static bool parse_number(const char *field, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if ((unsigned char)field[0] == 0x80) {
		for (i = 1; i < n; i++) {
			if (v >> 56)
				return false;
			v = v << 8 | (unsigned char)field[i];
		}
		*ret = v;
		return true;
	}
	while (i < n && field[i] == ' ')
		i++;
	for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0');
	if (i < n && field[i] != ' ' && field[i] != 0)
		return false;
	*ret = v;
	return true;
}

/* The sum of all bytes, the checksum field itself counted as spaces. */
static bool checksum_right(const struct header *h)
{
	const uint8_t *p = (const uint8_t *)h;
	uint64_t stored, sum = 8 * ' ';

	for (size_t i = 0; i < BLOCK; i++)
		sum += p[i];
	for (size_t i = 0; i < sizeof(h->checksum); i++)
		sum -= (uint8_t)h->checksum[i];
	return parse_number(h->checksum, sizeof(h->checksum), &stored) && stored == sum;
}

static void extension_done(struct extension *x)
{
	free(x->name);
	free(x->link);
	*x = (struct extension){0};
}

static int add_entry(struct scan *s, const struct archive_entry *entry)
{
	struct archive_index *a = s->a;

	if (a->n == ARCHIVE_ENTRIES_MAX)
		return bad(s, "more files than an image archive has");
	if (array_room(&a->entries, a->n, &a->room, sizeof(*a->entries)) < 0)
		return -ENOMEM;
	a->entries[a->n++] = *entry;
	return 0;
}

/* A copy of header text, or of what an extension has said in its place; cleaned if a name. */
static const char *take_text(struct scan *s, const char *extension, const char *text)
{
	const char *from = extension ? extension : text;

	return arena_copy(&s->a->arena, from, strlen(from) + 1);
}

static const char *entry_name(struct scan *s, const struct header *h)
{
	bool ustar = memcmp(h->magic, "ustar", 6) == 0;
	char text[sizeof(h->prefix) + 1 + sizeof(h->name) + 1];
	char *name;

	snprintf(text, sizeof(text), "%.*s%s%.*s", ustar ? (int)sizeof(h->prefix) : 0, h->prefix,
		ustar && h->prefix[0] ? "/" : "", (int)sizeof(h->name), h->name);
	name = (char *)(uintptr_t)take_text(s, s->ext.name, text);
	if (name)
		archive_clean_name(name);
	return name;
}

static int add_file(struct scan *s, const struct header *h, uint64_t size)
{
	struct archive_entry entry = {
		.offset = s->at + BLOCK, .size = size, .name = entry_name(s, h)};

	return entry.name ? add_entry(s, &entry) : -ENOMEM;
}

static int add_link(struct scan *s, const struct header *h)
{
	struct archive_entry entry = {.hardlink = h->type == '1', .name = entry_name(s, h)};
	char text[sizeof(h->link) + 1];

	snprintf(text, sizeof(text), "%.*s", (int)sizeof(h->link), h->link);
	entry.link = take_text(s, s->ext.link, text);
	return entry.name && entry.link ? add_entry(s, &entry) : -ENOMEM;
}

/* The payload of an extension header, with a NUL behind. */
static int read_extension(struct scan *s, uint64_t size, char **ret)
{
	_cleanup_free_ char *p = NULL;
	int r;

	if (size > EXTENSION_MAX)
		return bad(s, "an extension header is too large");
	p = calloc(1, size + 1);
	if (!p)
		return -ENOMEM;
	r = io_pread_full(s->fd, p, size, s->at + BLOCK);
	if (r < 0)
		return err_sys(s->e, r, "reading the tar archive");
	*ret = TAKE_PTR(p);
	return 0;
}

static int read_long_text(struct scan *s, uint64_t size, char **field)
{
	free(TAKE_PTR(*field));
	return read_extension(s, size, field);
}

static int set_pax_text(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : -ENOMEM;
}

static int apply_pax(struct scan *s, const char *key, const char *value)
{
	char *end;

	if (strcmp(key, "path") == 0)
		return set_pax_text(&s->ext.name, value);
	if (strcmp(key, "linkpath") == 0)
		return set_pax_text(&s->ext.link, value);
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		return bad(s, "a sparse file in an image archive");
	if (strcmp(key, "size") != 0)
		return 0;
	if (*value < '0' || *value > '9')
		return bad(s, "pax size is not a number");
	errno = 0;
	s->ext.size = strtoull(value, &end, 10);
	s->ext.has_size = true;
	return errno || *end ? bad(s, "pax size is not a number") : 0;
}

/* One record, "LENGTH KEY=VALUE\n", at *p; moves *p and *n behind it. */
static int read_pax_record(struct scan *s, char **p, size_t *n)
{
	char *end, *key, *value;
	size_t length;

	if (**p < '0' || **p > '9')
		return bad(s, "a pax record has no length");
	length = strtoul(*p, &end, 10);
	if (*end != ' ' || length > *n || length <= (size_t)(end + 1 - *p))
		return bad(s, "a pax record's length is wrong");
	key = end + 1;
	end = *p + length - 1;
	value = memchr(key, '=', (size_t)(end - key));
	if (*end != '\n' || !value)
		return bad(s, "a pax record is not KEY=VALUE");
	*value++ = 0;
	*end = 0;
	*p += length;
	*n -= length;
	if (strlen(value) != (size_t)(end - value) &&
		(strcmp(key, "path") == 0 || strcmp(key, "linkpath") == 0))
		return bad(s, "a name holds a NUL");
	return apply_pax(s, key, value);
}

static int read_pax(struct scan *s, uint64_t size)
{
	_cleanup_free_ char *records = NULL;
	char *p;
	size_t n = (size_t)size;
	int r = read_extension(s, size, &records);

	for (p = records; r == 0 && n;)
		r = read_pax_record(s, &p, &n);
	return r;
}

/* An entry proper: files and links are noted, what is of no use is not. */
static int read_entry(struct scan *s, const struct header *h, uint64_t size)
{
	switch (h->type) {
	case 0:
	case '0':
		return add_file(s, h, size);
	case '1':
	case '2':
		return size ? bad(s, "a link with content") : add_link(s, h);
	case '5':
		return size ? bad(s, "a directory with content") : 0;
	default:
		return err_set(s->e, -ERR_INPUT,
			"tar archive, byte %llu: entry type '%c' in an image archive",
			(unsigned long long)s->at, h->type);
	}
}

/* 0: the header was an extension; 1: it was an entry, which has used the extensions up. */
static int read_by_type(struct scan *s, const struct header *h, uint64_t size)
{
	int r;

	switch (h->type) {
	case 'x':
		return read_pax(s, size);
	case 'g':
		return 0; /* comments; what it says of names and sizes is meant for nothing here */
	case 'L':
		return read_long_text(s, size, &s->ext.name);
	case 'K':
		return read_long_text(s, size, &s->ext.link);
	default:
		r = read_entry(s, h, size);
		extension_done(&s->ext);
		return r;
	}
}

static bool is_extension(char type)
{
	return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

static int read_header(struct scan *s, const struct header *h)
{
	uint64_t size, left = s->end - s->at - BLOCK;
	int r;

	if (!checksum_right(h))
		return bad(s, "not a tar header (wrong checksum)");
	if (!parse_number(h->size, sizeof(h->size), &size))
		return bad(s, "a size is not a number");
	if (s->ext.has_size && !is_extension(h->type))
		size = s->ext.size;
	if (size > left)
		return bad(s, "the archive ends inside an entry");
	r = read_by_type(s, h, size);
	if (r < 0)
		return r;
	/* The last entry's padding may be missing. */
	size = (size + BLOCK - 1) / BLOCK * BLOCK;
	s->at += BLOCK + (size < left ? size : left);
	return 0;
}

static bool is_zero(const struct header *h)
{
	static const struct header zero;

	return memcmp(h, &zero, BLOCK) == 0;
}

/* Ends at a block of zeros, or where the file does. */
static int scan_all(struct scan *s)
{
	struct header h;
	int r = 0;

	while (r == 0 && s->at < s->end) {
		if (s->end - s->at < BLOCK)
			return bad(s, "the archive ends inside a header");
		r = io_pread_full(s->fd, &h, BLOCK, s->at);
		if (r < 0)
			return err_sys(s->e, r, "reading the tar archive");
		if (is_zero(&h))
			break;
		r = read_header(s, &h);
	}
	return r;
}

int archive_scan(int fd, uint64_t size, struct archive_index *a, struct err *e)
{
	struct scan s = {.a = a, .fd = fd, .end = size, .e = e};
	int r = scan_all(&s);

	extension_done(&s.ext);
	return r;
}
