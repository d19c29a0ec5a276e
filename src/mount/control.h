/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a commit asks the server of a mounted container to hold files: a socket in the work
 * directory, WORK/control, on which each packet is a request or an answer, as text:
 *
 *   where         ok PID DIR    the server, and where it is mounted in PID's mount namespace
 *   hold PATH     ok            from the root, no '/' in front; step 1 of fuse.h
 *   flushed       ok            step 3
 *   unhold        ok            step 4
 *
 * or "error ERRNO". A connection holds one file at a time. Closing it lets go, as does the server
 * by itself after CONTROL_HOLD_SECONDS ("unhold" is answered with ESTALE then: what was read may be
 * of several moments). Only the server's user and root are listened to.
 */
#pragma once

#include "fuse.h"

#define CONTROL_NAME         "control"
#define CONTROL_HOLD_SECONDS 30

/* ---- the server: a thread that listens. The work directory is that of the upper one ---- */
struct control;
_must_check_ int control_start(struct fuse_server *f, const char *work, const char *dir,
	struct control **ret, struct err *e);
/* Lets go of everything. */
void control_stop(struct control *c);
DEFINE_CLEANUP(struct control *, control_stop);

/* ---- the client ---- */
struct control_client;
/* 1 = no server has this work directory mounted. One that died meanwhile is waited for, here and in
 * what follows, for two seconds. */
_must_check_ int control_connect(const char *work, struct control_client **ret, struct err *e);
void control_close(struct control_client *c);
DEFINE_CLEANUP(struct control_client *, control_close);
/* What was written to the mount so far is in the upper directory afterwards: syncfs(2) there. */
_must_check_ int control_sync(struct control_client *c, struct err *e);
/*
 * All that was written to the file is in the upper directory, and nothing of it changes until
 * control_unhold. Waits for what the kernel has to write, and for another who holds it. 1 = there
 * is no such file. -EBUSY: it is open for passthrough.
 */
_must_check_ int control_hold(struct control_client *c, const char *path, struct err *e);
/* -ESTALE: it was not held all the time. */
_must_check_ int control_unhold(struct control_client *c, struct err *e);
