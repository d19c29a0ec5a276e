/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest-text.h"
#include "util/err.h"

#include <string.h>

#define NAME_SIZE_MAX ((size_t)255)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool manifest_word(struct word *line, struct word *ret)
{
	size_t n = 0;

	while (line->n && is_blank(*line->p)) {
		line->p++;
		line->n--;
	}
	while (n < line->n && !is_blank(line->p[n]))
		n++;
	*ret = (struct word){.p = line->p, .n = n};
	line->p += n;
	line->n -= n;
	return n > 0;
}

/* The character of "\c" escapes; -1: none. */
static int short_escape(char c)
{
	switch (c) {
	case 's':
		return ' ';
	case 't':
		return '\t';
	case 'n':
		return '\n';
	case '\\':
	case '#':
		return c;
	default:
		return -1;
	}
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The byte of the escape at `p`, and how long its text is; -1: there is no such escape. */
static int escape(const char *p, const char *end, size_t *ret_n)
{
	if (end - p >= 4 && p[1] >= '0' && p[1] <= '3' && is_octal(p[2]) && is_octal(p[3])) {
		*ret_n = 4;
		return (p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0');
	}
	*ret_n = 2;
	return end - p >= 2 ? short_escape(p[1]) : -1;
}

int manifest_unescape(struct word *w)
{
	const char *end = w->p + w->n;
	char *to = w->p;

	for (const char *p = w->p; p < end;) {
		size_t n = 1;
		int c = (unsigned char)*p;

		if (c == '\\')
			c = escape(p, end, &n);
		if (c < 0)
			return -ERR_INPUT;
		*to++ = (char)c;
		p += n;
	}
	w->n = (size_t)(to - w->p);
	*to = 0;
	return 0;
}

static const char *check_name(const char *p, size_t n)
{
	if (n == 0)
		return "an empty name in the path";
	if (n > NAME_SIZE_MAX)
		return "a name longer than 255 bytes";
	if (*p == '.' && (n == 1 || (n == 2 && p[1] == '.')))
		return "'.' or '..' in the path";
	if (n >= 4 && memcmp(p, ".wh.", 4) == 0)
		return "a name that starts with '.wh.' (use type=whiteout or opaque)";
	return NULL;
}

const char *manifest_path(struct word *w)
{
	const char *p, *end;

	if (w->n == 0)
		return "an empty path";
	if (memchr(w->p, 0, w->n))
		return "a NUL byte in the path";
	if (*w->p == '.' && (w->n == 1 || w->p[1] == '/')) {
		w->p++;
		w->n--;
	}
	if (w->n && *w->p == '/') {
		w->p++;
		w->n--;
	}
	end = w->p + w->n;
	for (p = w->p; w->n;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		const char *wrong = check_name(p, (size_t)((slash ? slash : end) - p));

		if (wrong || !slash)
			return wrong;
		p = slash + 1;
	}
	return NULL;
}
