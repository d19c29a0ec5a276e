/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <stdbool.h>
#include <string.h>

static const char *const texts[] = {
	[ERR_INPUT - ERR_FIRST] = "invalid input",
	[ERR_DIGEST - ERR_FIRST] = "content does not match its digest",
	[ERR_UNSUPPORTED - ERR_FIRST] = "not supported",
	[ERR_ABSENT - ERR_FIRST] = "not found",
	[ERR_CONFLICT - ERR_FIRST] = "in use",
	[ERR_STORE - ERR_FIRST] = "the store is damaged",
};

const char *err_text(int code)
{
	int n = code < 0 ? -code : code;

	if (n >= ERR_FIRST && n < ERR_LAST)
		return texts[n - ERR_FIRST];
	return strerrordesc_np(n) ? strerrordesc_np(n) : "unknown error";
}

/*
 * A message is one line for a terminal, and quotes names from outside: control characters are
 * shown as '?', bytes above 0x7f are left alone.
 */
static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static int set_text(struct err *e, int code, bool with_code, const char *fmt, va_list ap)
{
	size_t n;

	if (!e || e->code)
		return code;
	e->code = code;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	n = strlen(e->text);
	if (with_code)
		snprintf(e->text + n, sizeof(e->text) - n, ": %s", err_text(code));
	make_printable(e->text);
	return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	code = set_text(e, code, false, fmt, ap);
	va_end(ap);
	return code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	code = set_text(e, code, true, fmt, ap);
	va_end(ap);
	return code;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
	char old[sizeof(e->text)];
	va_list ap;
	size_t n;

	if (!e)
		return code;
	memcpy(old, e->code ? e->text : err_text(code),
		e->code ? sizeof(old) : strlen(err_text(code)) + 1);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %.*s", (int)sizeof(old), old);
	make_printable(e->text);
	e->code = code;
	return code;
}
