/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two processes of a FUSE mount (fuse.h): started, watched, replaced.
 *
 *   starter ------- START ------->  supervisor  ------- START ------->  server
 *           <-- READY, FAILED ----              <-- BUILT -----------
 *                                    (mounts)   ------- GO --------->
 *                                               <-- READY, DONE, FAILED
 *
 * The supervisor does little, so that little can kill it: it opens /dev/fuse, mounts it once the
 * first server has opened the union, and keeps the descriptors: the device, the session, the
 * mount's description (serve-config.h), and what the starter gave it to hold, such as a container's
 * lock. The server has them, too.
 *
 * A server that dies, by whatever death, is replaced at once, from the same program file
 * (/proc/self/exe): the next attaches to the session, and no request is lost or fails. More than 10
 * deaths within 10 seconds end the mount. A kernel older than 6.9 cannot send requests again: there
 * the first death ends the mount, and what is in use of it gets ENOTCONN.
 *
 * A supervisor that dies is noticed by its server, which starts another and hands it all. Of the
 * descriptors nothing is lost as long as one of the two lives.
 *
 * SIGTERM to the supervisor unmounts lazily: both end when nothing in the mount is in use any more.
 * SIGHUP upgrades: the server pauses between two requests; the next is started from the installed
 * program (serve_config.program); if it takes the session over, the old server ends, and the
 * supervisor, too, for which the new server starts one of its own version. If it does not (a
 * session of another version is refused), the old server goes on.
 * Servers ignore signals that ask them to end.
 */
#pragma once

#include "serve-config.h"

#include <sys/types.h>

/* The hidden commands of the program, both without arguments: they call the two functions below. */
#define SUPERVISOR_COMMAND "fuse-supervisor"
#define SERVER_COMMAND     "fuse-server"

/*
 * Mounts: returns when the first request was answered, or with what the supervisor or the server
 * had to say. `c->program` is what is started. `others`: descriptors that both processes are to
 * hold (at most 8); the caller's own may be closed then. `log_fd`: standard error of both, -1:
 * /dev/null. `ret_pid` may be NULL.
 */
_must_check_ int supervisor_start(const struct serve_config *c, const int *others, size_t n_others,
	int log_fd, pid_t *ret_pid, struct err *e);

/* ---- supervisor-find.c: mounts that are there already, by their directory (absolute) ---- */
/* Processes are looked for in /proc: those of this pid namespace that we may look at. 1 = none. */
_must_check_ int supervisor_find(const char *dir, pid_t *ret_pid, struct err *e);
/* Asks for an upgrade, and waits until a new supervisor is there. 1 = there is no such mount;
 * -ETIMEDOUT: the log tells why it was not upgraded. */
_must_check_ int supervisor_upgrade(const char *dir, int timeout_ms, struct err *e);
/* After an unmount: until its processes are gone, and what they held is free. -ETIMEDOUT. */
_must_check_ int supervisor_wait(const char *dir, int timeout_ms, struct err *e);

/* ---- the commands' work: an exit code ---- */
int supervisor_main(void);
/* Opens what is to be served, in a session that is new or attached (serve.h). */
struct serve_ops {
	int (*open)(const struct serve_config *c, struct session *s, struct union_fs **ret,
		struct err *e);
	void (*close)(struct union_fs *u);
};
int server_main(const struct serve_ops *ops);
