/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The union: lower layers and, if it is writable, an upper directory, as one file system, without
 * a kernel in sight. What a FUSE server answers is decided here.
 *
 * Files are told by node ids, as FUSE does: 1 is the root; others come from union_lookup and the
 * like, which count, and live until union_forget has taken as many. All functions may be called
 * by any number of threads at once. They return 0 or -errno, and with some, 1.
 *
 * A union lives in a session (session.h): shared memory that outlives the process. One that is
 * opened on a session that another process left behind, by whatever death, goes on with all nodes;
 * operations that were not answered come again, `resent` (union_op), and are done once.
 *
 * Opens are not told to the union, unless it is asked for passthrough: a file lives, nameless or
 * not, until it is forgotten.
 */
#pragma once

#include "ids.h"
#include "lower.h"
#include "session.h"
#include "upper/upper.h"

#include <sys/statvfs.h>

#define UNION_ROOT 1

struct union_config {
	struct lower **lowers; /* top first; the union closes them. n_lowers >= 1 */
	size_t n_lowers;
	struct upper *upper; /* NULL: read-only. The union closes it */
	bool block_copy;     /* copy blocks, not files, when a lower file is written to */
	bool redirect;       /* renamed lower directories get a redirect; else -EXDEV */
	bool sync;           /* fsync is done */
	/* Ids as the union's user sees them -> ids of the layers. NULL: the same. */
	const struct id_map *uids, *gids;
	bool squash_uid, squash_gid; /* all files belong to these */
	uint32_t uid, gid;
};

struct union_fs;
/* `s` is new, or left behind by a process that is dead; the caller keeps it open. */
_must_check_ int union_open(
	const struct union_config *c, struct session *s, struct union_fs **ret, struct err *e);
void union_close(struct union_fs *u);
/* Before union_close, when the file system is unmounted: nobody has anything open, and there will
 * be no other process for this session. What was only kept for that goes. */
void union_end(struct union_fs *u);
DEFINE_CLEANUP(struct union_fs *, union_close);

/* Who asks, and for which request. */
struct union_op {
	uint64_t unique; /* of the FUSE request */
	bool resent;     /* it may have been done, wholly or in part, and not been answered */
	uint32_t uid, gid;
	uint32_t
		umask; /* for what is created; the upper file system applies it, or a default ACL */
};

struct union_entry {
	uint64_t node;
	uint64_t generation;
	struct stat st;
};

/* ---- union-look.c: looking ---------------------------------------------------------------- */
/* 1 = there is no such name. Counts the node. */
_must_check_ int union_lookup(
	struct union_fs *u, uint64_t parent, const char *name, struct union_entry *ret);
void union_forget(struct union_fs *u, uint64_t node, uint64_t n);
_must_check_ int union_getattr(struct union_fs *u, uint64_t node, struct stat *ret);
_must_check_ int union_readlink(
	struct union_fs *u, uint64_t node, char *p, size_t n, size_t *ret_n);
_must_check_ int union_getxattr(
	struct union_fs *u, uint64_t node, const char *name, void *p, size_t n, size_t *ret_n);
_must_check_ int union_listxattr(
	struct union_fs *u, uint64_t node, char *p, size_t n, size_t *ret_n);
_must_check_ int union_statfs(struct union_fs *u, struct statvfs *ret);

/*
 * The names of a directory from `off` on (0: the beginning, and a fresh look), "." and ".." among
 * them. `fill` gets a name, where to go on behind it, and with `plus` the entry (counted; of "."
 * and ".." and of what has gone meanwhile node is 0); it returns non-zero when it has no room, and
 * then that name counts as not given.
 */
struct union_name {
	const char *name;
	size_t len;
	uint64_t ino;
	uint8_t type; /* DT_* */
	uint64_t next;
	const struct union_entry *entry; /* with `plus` */
};
typedef int (*union_fill)(void *ctx, const struct union_name *n);
_must_check_ int union_readdir(
	struct union_fs *u, uint64_t dir, uint64_t off, bool plus, union_fill fill, void *ctx);

/* ---- union-change.c: changing names and attributes ----------------------------------------- */
#define UNION_SET_MODE      (1 << 0)
#define UNION_SET_UID       (1 << 1)
#define UNION_SET_GID       (1 << 2)
#define UNION_SET_SIZE      (1 << 3)
#define UNION_SET_ATIME     (1 << 4)
#define UNION_SET_MTIME     (1 << 5)
#define UNION_SET_ATIME_NOW (1 << 6)
#define UNION_SET_MTIME_NOW (1 << 7)
#define UNION_KILL_SUIDGID \
	(1 << 8) /* with SIZE, UID, GID: drop setuid and setgid, as chown does \
		  */
_must_check_ int union_setattr(struct union_fs *u, const struct union_op *op, uint64_t node,
	const struct stat *st, unsigned int what, struct stat *ret);
_must_check_ int union_mkdir(struct union_fs *u, const struct union_op *op, uint64_t parent,
	const char *name, uint32_t mode, struct union_entry *ret);
/* Files, devices, fifos, sockets. */
_must_check_ int union_mknod(struct union_fs *u, const struct union_op *op, uint64_t parent,
	const char *name, uint32_t mode, dev_t dev, struct union_entry *ret);
_must_check_ int union_symlink(struct union_fs *u, const struct union_op *op, uint64_t parent,
	const char *name, const char *target, struct union_entry *ret);
/* A new regular file without a name; union_link may give it one. */
_must_check_ int union_tmpfile(struct union_fs *u, const struct union_op *op, uint64_t parent,
	uint32_t mode, struct union_entry *ret);
_must_check_ int union_link(struct union_fs *u, const struct union_op *op, uint64_t node,
	uint64_t parent, const char *name, struct union_entry *ret);
_must_check_ int union_unlink(
	struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name);
_must_check_ int union_rmdir(
	struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name);
/* `flags` of renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
_must_check_ int union_rename(struct union_fs *u, const struct union_op *op, uint64_t from,
	const char *name, uint64_t to, const char *new_name, unsigned int flags);
_must_check_ int union_setxattr(struct union_fs *u, const struct union_op *op, uint64_t node,
	const char *name, const void *p, size_t n, int flags, bool kill_sgid);
_must_check_ int union_removexattr(
	struct union_fs *u, const struct union_op *op, uint64_t node, const char *name);

/* ---- union-data.c: content ------------------------------------------------------------------ */
/*
 * Up to `n` bytes at `off`, less only at the end of the file (or when pieces do not suffice).
 * Either in `p` (room for n), or as pieces, or as a descriptor and a place in it: for splice(2),
 * borrowed until union_read_done; then `size` is `n`, and at the file's end there is less.
 */
struct union_read {
	enum { UNION_READ_BUFFER, UNION_READ_PIECES, UNION_READ_FD } kind;
	size_t size;
	struct lower_content pieces;
	int fd;
	uint64_t off;
	struct node *node; /* what union_read_done lets go */
};
_must_check_ int union_read(
	struct union_fs *u, uint64_t node, void *p, size_t n, uint64_t off, struct union_read *ret);
void union_read_done(struct union_fs *u, struct union_read *r);
/* All of it, or failure. Capabilities go, but with LATE. */
enum {
	UNION_WRITE_KILL_SUIDGID = 1, /* setuid and setgid go, too (FUSE_WRITE_KILL_SUIDGID) */
	UNION_WRITE_LATE = 2,         /* was written before: nothing goes (FUSE_WRITE_CACHE) */
};
_must_check_ int union_write(struct union_fs *u, const struct union_op *op, uint64_t node,
	const void *p, size_t n, uint64_t off, unsigned int flags);
_must_check_ int union_fallocate(struct union_fs *u, const struct union_op *op, uint64_t node,
	int mode, uint64_t off, uint64_t n);
/* SEEK_DATA, SEEK_HOLE. */
_must_check_ int union_lseek(
	struct union_fs *u, uint64_t node, uint64_t off, int whence, uint64_t *ret);
_must_check_ int union_copy_range(struct union_fs *u, const struct union_op *op, uint64_t from,
	uint64_t from_off, uint64_t to, uint64_t to_off, size_t n, size_t *ret_n);
/* Nothing, unless the union was opened with `sync`. */
_must_check_ int union_fsync(struct union_fs *u, uint64_t node, bool data_only);
/*
 * For passthrough. Tells that the file was opened (`write`: for writing): *ret_fd is the file that
 * all its opens go straight to, or -1: they go through union_read and union_write. Each open is
 * ended by union_release with the same answer. The descriptor is the caller's to close; the kernel
 * has its own of what it was told to use.
 */
_must_check_ int union_passthrough(
	struct union_fs *u, const struct union_op *op, uint64_t node, bool write, int *ret_fd);
void union_release(struct union_fs *u, uint64_t node, bool passthrough);
/* What the upper file is called there and which of its blocks are its own may not change between
 * these two, so that a commit reads the file as of one moment. By path, from the root. */
_must_check_ int union_hold(struct union_fs *u, const char *path, uint64_t *ret_node);
void union_unhold(struct union_fs *u, uint64_t node);
/* Whether what changes the node's content would wait now. */
bool union_is_held(struct union_fs *u, uint64_t node);
