/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the next request without going to sleep.
 *
 * Where a client's requests come one after the other, most of a request's time is waking up: the
 * server's thread for the request, the client for the answer. A worker that looks for the next
 * request for some 50 us before it sleeps spares the first (docs/performance.md: from 23 to 14 us a
 * message). That pays only while requests come that fast, and while a processor has nothing better
 * to do: so a worker does it if the last request came as fast, one worker at a time, and not where
 * more wants to run than there are processors.
 */
#include "fuse-internal.h"
#include "util/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>

#define SPIN_US 50
#define LOOK_US 10000 /* how often it is looked who wants to run */
#define LOADAVG "/proc/loadavg"

void fuse_spin_init(struct fuse_spin *s)
{
	cpu_set_t set;

	s->loadavg = -1;
	s->processors = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	if (s->processors > 1)
		s->loadavg = open(LOADAVG, O_RDONLY | O_CLOEXEC);
}

void fuse_spin_done(struct fuse_spin *s)
{
	close_fdp(&s->loadavg);
}

/* "0.20 0.18 0.12 1/80 11206": one thread of 80 runs, or wants to. */
static bool is_idle(struct fuse_spin *s, uint64_t now)
{
	char text[128];
	const char *p = text;
	ssize_t n;

	if (now - s->looked < LOOK_US)
		return s->idle;
	s->looked = now;
	n = pread(s->loadavg, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	for (int i = 0; i < 3 && p; i++)
		p = strchr(p + 1, ' ');
	s->idle = p && strtol(p, NULL, 10) <= s->processors;
	return s->idle;
}

void fuse_spin(struct fuse_server *f, uint64_t waited_us)
{
	struct fuse_spin *s = &f->spin;
	struct pollfd p = {.fd = f->fd, .events = POLLIN};
	uint64_t now;

	if (s->loadavg < 0 || waited_us >= SPIN_US || atomic_exchange(&s->spinning, true))
		return;
	now = clock_us();
	if (is_idle(s, now))
		for (uint64_t end = now + SPIN_US; now < end && !f->stop; now = clock_us())
			if (poll(&p, 1, 0) != 0)
				break;
	s->spinning = false;
}
