/* SPDX-License-Identifier: Apache-2.0 */
#include "buf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void buf_done(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

int buf_reserve(struct buf *b, size_t more)
{
	size_t room = b->room ? b->room : 64;
	uint8_t *p;

	if (more >= SIZE_MAX / 4 - b->n)
		return -ENOMEM;
	while (room < b->n + more + 1)
		room *= 2;
	if (room == b->room)
		return 0;
	p = realloc(b->p, room);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->room = room;
	return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = 0;
	return 0;
}

int buf_add_zero(struct buf *b, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	memset(b->p + b->n, 0, n + 1);
	b->n += n;
	return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	r = buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
	return 0;
}
