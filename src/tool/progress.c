/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"
#include "util/clock.h"

#include <unistd.h>

struct progress tool_progress(const struct tool *t)
{
	return (struct progress){.on = !t->quiet && isatty(STDERR_FILENO), .start_ms = clock_ms()};
}

/* Whether it is time to draw. */
static bool due(struct progress *p, uint64_t delay_ms)
{
	uint64_t now = clock_ms();

	if (!p->on || now - p->last_ms < 100 || now - p->start_ms < delay_ms)
		return false;
	p->last_ms = now;
	p->drawn = true;
	return true;
}

void tool_progress_show(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	struct progress *p = ctx;

	if (!due(p, 0))
		return;
	fprintf(stderr, "\r\033[Klayer %zu of %zu: %s", layer + 1, layers, tool_size(done, a));
	if (total)
		fprintf(stderr, " of %s, %u %%", tool_size(total, b),
			(unsigned int)(done * 100 / total));
}

void tool_progress_phase(void *ctx, const char *what, uint64_t done, uint64_t total)
{
	if (total && due(ctx, 1000))
		fprintf(stderr, "\r\033[K%s: %u %%", what, (unsigned int)(done * 100 / total));
}

void tool_progress_bytes(struct progress *p, const char *what, uint64_t done, uint64_t total)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];

	if (due(p, 0))
		fprintf(stderr, "\r\033[K%s %s of %s, %u %%", what, tool_size(done, a),
			tool_size(total, b), (unsigned int)(total ? done * 100 / total : 100));
}

void tool_progress_end(struct progress *p)
{
	if (p->drawn)
		fprintf(stderr, "\r\033[K");
	p->drawn = false;
}
