/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the FUSE server, for fuse-*.c only.
 *
 * Each worker thread reads a request from the device, which all share, and answers it before it
 * reads the next: so at any instant at most as many requests are unanswered as there are workers,
 * and a stop is a stop between two requests. Nothing here blocks for long, but what waits for a
 * held file, and that is put aside (fuse-hold.c).
 *
 * A process that is killed while the kernel copies from or to its memory makes that request fail
 * (EIO), unless all pages are there. So buffers are populated when they are made, and content is
 * populated (MADV_POPULATE_READ) before a reply is written from where it is mapped.
 */
#pragma once

#include "fuse.h"
#include "fuse-wire.h"
#include "util/bytes.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/uio.h>

#define FUSE_MAX_WRITE   ((uint32_t)1 << 20)
#define FUSE_BUFFER_SIZE (FUSE_MAX_WRITE + 4096) /* the largest request, with its headers */
/* How long the kernel may believe what it was told: for ever. Only we change the tree. */
#define FUSE_FOREVER ((uint64_t)1 << 32) /* seconds */

struct fuse_agreed {
	_Atomic uint32_t done; /* FUSE_AGREED_DONE once INIT was answered */
	uint32_t minor;
	uint64_t flags;
	uint32_t mode;
	uint32_t writable;
};
#define FUSE_AGREED_DONE 0x706c7901u

struct fuse_worker {
	struct fuse_server *f;
	pthread_t thread;
	_Atomic uint32_t busy; /* odd while a request is being answered */
	_Atomic bool ended;
	uint8_t *in, *out; /* FUSE_BUFFER_SIZE each */
};

struct fuse_spin {
	int loadavg; /* -1: there is one processor only */
	int processors;
	_Atomic bool spinning; /* who has it set has the rest */
	bool idle;
	uint64_t looked;
};

struct fuse_server {
	int fd;
	struct session *session;
	struct union_fs *u;
	struct fuse_options options;
	struct fuse_agreed *agreed;

	struct fuse_worker *workers; /* n_workers, and one more for what had been put aside */
	unsigned int n_workers;
	sem_t wake;          /* fuse_server_run: something has happened */
	_Atomic bool stop;   /* fuse_server_stop */
	_Atomic bool ended;  /* unmounted */
	_Atomic int failure; /* of reading the device */
	struct fuse_spin spin;
	void (*ready)(void *ctx);
	void *ready_ctx;
	_Atomic bool is_ready;

	pthread_mutex_t opens;   /* node_record.backing, and the count of its opens */
	_Atomic bool no_backing; /* the kernel refused a backing file: not root */

	struct fuse_holds *holds;
	struct fuse_times *times;
};

struct fuse_request {
	struct fuse_server *f;
	struct fuse_worker *w;
	const struct fuse_in_header *h;
	const void *arg; /* the opcode's struct, complete */
	struct bytes in; /* what is behind it */
	struct union_op op;
};

/* A handler replies and returns 0, or returns -errno, with which its caller replies. */
typedef int (*fuse_handler)(struct fuse_request *q);

enum fuse_op_flag {
	FUSE_OP_CHANGES = 1, /* EROFS where it is read-only */
	FUSE_OP_NAMES = 2,   /* changes names */
	FUSE_OP_CONTENT = 4, /* changes the node: waits while that is held and flushed */
	FUSE_OP_LOOKS = 8,   /* waits while the node is held at all */
};
struct fuse_op {
	fuse_handler run;
	uint16_t arg_size;
	uint16_t flags; /* enum fuse_op_flag */
};
/* NULL: no such opcode, ENOSYS. */
const struct fuse_op *fuse_op_of(uint32_t opcode);

/* ---- fuse-server.c ---- */
/* One request of `n` bytes, as read. Malformed ones are refused (EIO). */
void fuse_serve(struct fuse_worker *w, const void *p, size_t n);
void fuse_run_request(struct fuse_request *q, const struct fuse_op *op);

/* ---- fuse-spin.c ---- */
void fuse_spin_init(struct fuse_spin *s);
void fuse_spin_done(struct fuse_spin *s);
/* After a request that was waited for `waited_us`: until the next is there, or for a little. */
void fuse_spin(struct fuse_server *f, uint64_t waited_us);

/* ---- fuse-reply.c ---- */
int fuse_reply(struct fuse_request *q, const void *p, size_t n);
/* `v[0]` is left free for the header. */
int fuse_reply_iov(struct fuse_request *q, struct iovec *v, int n);
void fuse_reply_error(struct fuse_request *q, int code);
int fuse_reply_entry(struct fuse_request *q, const struct union_entry *e);
int fuse_reply_attr(struct fuse_request *q, const struct stat *st);
void fuse_fill_entry(const struct union_entry *e, struct fuse_entry_out *ret);
_must_check_ int fuse_notify(struct fuse_server *f, int code, const void *p, size_t n);
/* Takes a name (or, `path`, a symlink's target) off the request. */
_must_check_ int fuse_take_name(struct bytes *b, const char **ret);
_must_check_ int fuse_take_target(struct bytes *b, const char **ret);

/* ---- fuse-times.c ---- */
_must_check_ int fuse_times_new(struct fuse_times **ret);
void fuse_times_free(struct fuse_times *t);
/* union_setattr of the request's node. */
_must_check_ int fuse_times_set(
	struct fuse_request *q, const struct stat *st, unsigned int what, struct stat *ret);
/* Before and after a WRITE from the kernel's cache. */
_must_check_ int fuse_times_keep(struct fuse_request *q);
_must_check_ int fuse_times_restore(struct fuse_request *q);
void fuse_times_forget(struct fuse_server *f, uint64_t node);

/* ---- handlers ---- */
int fuse_do_init(struct fuse_request *q);

int fuse_do_lookup(struct fuse_request *q);
int fuse_do_forget(struct fuse_request *q);
int fuse_do_batch_forget(struct fuse_request *q);
int fuse_do_getattr(struct fuse_request *q);
int fuse_do_readlink(struct fuse_request *q);
int fuse_do_getxattr(struct fuse_request *q);
int fuse_do_listxattr(struct fuse_request *q);
int fuse_do_statfs(struct fuse_request *q);
int fuse_do_readdir(struct fuse_request *q);
int fuse_do_readdirplus(struct fuse_request *q);

int fuse_do_setattr(struct fuse_request *q);
int fuse_do_mknod(struct fuse_request *q);
int fuse_do_mkdir(struct fuse_request *q);
int fuse_do_symlink(struct fuse_request *q);
int fuse_do_link(struct fuse_request *q);
int fuse_do_unlink(struct fuse_request *q);
int fuse_do_rmdir(struct fuse_request *q);
int fuse_do_rename(struct fuse_request *q);
int fuse_do_rename2(struct fuse_request *q);
int fuse_do_setxattr(struct fuse_request *q);
int fuse_do_removexattr(struct fuse_request *q);

int fuse_do_open(struct fuse_request *q);
int fuse_do_create(struct fuse_request *q);
int fuse_do_tmpfile(struct fuse_request *q);
int fuse_do_release(struct fuse_request *q);
int fuse_do_opendir(struct fuse_request *q);
int fuse_do_releasedir(struct fuse_request *q);
int fuse_do_read(struct fuse_request *q);
int fuse_do_write(struct fuse_request *q);
int fuse_do_fsync(struct fuse_request *q);
int fuse_do_syncfs(struct fuse_request *q);
int fuse_do_fallocate(struct fuse_request *q);
int fuse_do_lseek(struct fuse_request *q);
int fuse_do_copy_file_range(struct fuse_request *q);

/* ---- fuse-hold.c ---- */
_must_check_ int fuse_holds_new(struct fuse_server *f);
void fuse_holds_free(struct fuse_server *f);
/* 1 = the request was put aside, and will be answered later. -ENOMEM. */
int fuse_hold_check(struct fuse_request *q, const struct fuse_op *op);
/* Everything that is held is let go, and what was put aside is answered. */
void fuse_holds_drop(struct fuse_server *f);
bool fuse_holds_any(struct fuse_server *f);
