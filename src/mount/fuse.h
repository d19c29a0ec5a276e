/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plyfs's FUSE server: serves a union (fs/union.h) to the kernel, by the protocol of
 * <linux/fuse.h> on /dev/fuse. Why not through libfuse: docs/design.md.
 *
 * Two processes belong to a mount. The *supervisor* opens /dev/fuse, mounts, and holds what must
 * not be lost: the device, the session (fs/session.h), the container's lock. The *server* answers.
 * When the server dies, the supervisor starts another, which attaches to the session and has the
 * kernel send again what was not answered (FUSE_NOTIFY_RESEND, Linux 6.9). When the supervisor
 * dies, the server starts another. Both end when the file system is unmounted.
 */
#pragma once

#include "fs/union.h"

/* How files are opened and cached; docs/performance.md has the measurements. */
enum fuse_mode {
	/* Nobody tells us about opens (OPEN is answered with ENOSYS): a file that is in the page
	 * cache is opened and read without a message. If writable, with the kernel's writeback
	 * cache. */
	FUSE_CACHED,
	/* Each open is a message, and files that are whole in the upper directory (read-only
	 * mounts: files that the lower layer can open) are read and written past the server. Needs
	 * root. */
	FUSE_PASSTHROUGH_FILES,
};

struct fuse_options {
	enum fuse_mode mode;
	bool writable;
	bool sync;            /* FSYNC is passed on: the union was opened with `sync` */
	unsigned int threads; /* 0: as many as processors, at least 2 and at most 8 */
};

/* What was agreed upon with the kernel; in the session's room for the transport. */
struct fuse_agreed;

struct fuse_server;
/*
 * A server on `fd` (/dev/fuse, mounted). A new session is begun with the kernel's INIT; with one
 * that was attached, it goes on and asks for what was not answered.
 */
_must_check_ int fuse_server_new(int fd, struct session *s, struct union_fs *u,
	const struct fuse_options *o, struct fuse_server **ret, struct err *e);
/*
 * Answers until the file system is unmounted (0), or until fuse_server_stop (1: it may be called
 * again). `ready` is called once, when the first request has been answered or the session goes on.
 */
_must_check_ int fuse_server_run(
	struct fuse_server *f, void (*ready)(void *ctx), void *ctx, struct err *e);
/* Ends fuse_server_run after the requests at hand: for an upgrade. From a signal handler, too. */
void fuse_server_stop(struct fuse_server *f);
/* Whether the kernel sends again what a dead server did not answer. */
bool fuse_server_can_resume(const struct fuse_server *f);
void fuse_server_free(struct fuse_server *f);
DEFINE_CLEANUP(struct fuse_server *, fuse_server_free);

/*
 * Holding a file, so that a commit reads it as of one moment while the container runs. With the
 * kernel's writeback cache, what was written may be in the kernel only; and it comes to us in
 * pieces, of which some may belong to one write(2). So there are two steps:
 *
 *   1. fuse_server_hold: the kernel is told to forget the file's attributes. Each write(2) begins
 * by asking for them (size and mode), and that question (GETATTR) is put aside, not answered: so no
 *      new write(2) begins, while those that have begun end, in the kernel alone.
 *   2. The caller has the kernel write out what it has: fsync(2) of the file through the mount, by
 * a descriptor that was opened before step 1 (open(2) asks for attributes, too). These WRITEs, and
 *      the SETATTR of the times, are let through.
 *   3. fuse_server_hold_flushed: from now on everything that changes the node, and everything that
 *      changes any name, is put aside, and what was begun is waited for. Then the union is told
 *      (union_hold).
 *   4. fuse_server_unhold: what was put aside is answered.
 *
 * What escapes step 1 is writing through mmap(2), and a write(2) that had its attributes from a
 * look-up meanwhile. Their bytes come after step 3, or before it: then the file is as a program
 * sees it that reads it while another writes. Nothing that is written after step 3 is seen
 * before 4.
 *
 * What is put aside is a copy in our memory, and the thread goes on: any number may wait. When the
 * server dies, the hold is gone, and the kernel sends all of it again. A file that is open for
 * passthrough cannot be held: -EBUSY. Nor is one held twice. -EAGAIN: the server is being stopped.
 */
_must_check_ int fuse_server_hold(struct fuse_server *f, const char *path, uint64_t *ret_node);
/* -ESTALE: `path` is another file now. The hold stays, in step 1. */
_must_check_ int fuse_server_hold_flushed(struct fuse_server *f, const char *path, uint64_t node);
void fuse_server_unhold(struct fuse_server *f, uint64_t node);
