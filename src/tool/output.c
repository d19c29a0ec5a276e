/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"
#include "util/buf.h"

#include <string.h>

int tool_json(json_t *value)
{
	int r = value ? json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) : -1;

	json_decref(value);
	if (r < 0)
		return tool_fail_text("cannot write the output");
	putchar('\n');
	return 0;
}

/* The length of the UTF-8 character at `s`, 0 if there is none. */
static size_t utf8_length(const char *s)
{
	static const size_t lengths[] = {4, 3, 2};

	if (!(*s & 0x80))
		return 1;
	for (size_t i = 0; i < 3; i++) {
		json_t *j;

		if (strnlen(s, lengths[i]) < lengths[i])
			continue;
		j = json_stringn(s, lengths[i]); /* checks it */
		json_decref(j);
		if (j)
			return lengths[i];
	}
	return 0;
}

/*
 * jansson writes UTF-8 only. A lone surrogate cannot be written through it either, so a byte that
 * is no UTF-8 becomes "\xHH" as text, and a backslash in such a name "\\".
 */
json_t *tool_json_bytes(const char *s)
{
	_cleanup_buf_ struct buf b = {0};
	json_t *j = json_string(s);
	int r = 0;

	if (j)
		return j;
	while (r == 0 && *s) {
		size_t n = utf8_length(s);

		if (n == 1 && *s == '\\')
			r = buf_addf(&b, "\\\\");
		else if (n)
			r = buf_add(&b, s, n);
		else
			r = buf_addf(&b, "\\x%02x", (unsigned char)*s);
		s += n ? n : 1;
	}
	return r < 0 ? NULL : json_stringn((char *)b.p, b.n);
}

char *tool_size(uint64_t bytes, char text[SIZE_TEXT_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	snprintf(text, SIZE_TEXT_MAX, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return text;
}

void tool_put_name(const char *name)
{
	bool terminal = isatty(STDOUT_FILENO);

	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (terminal && (c < 0x20 || c == 0x7f || c == '\\'))
			printf("\\%03o", c);
		else
			putchar(c);
	}
}
