/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upper directory: the writable top of a union, in overlayfs's format (overlay-format.h), and
 * the work directory beside it, on the same file system.
 *
 *   UPPER/...           the tree
 *   WORK/work/          overlayfs's own; we leave it alone
 *   WORK/index/         copied-up files of several names, as overlayfs keeps them (option index)
 *   WORK/scratch/       what is made before it is renamed into the tree. Emptied at each open
 *   WORK/orphans/<id>   files and empty directories without a name that somebody may have open.
 *                       Emptied at each open
 *   WORK/blocks/<ino>   which blocks of a half-copied file are its own (blocks.h)
 *
 * Only one process changes an upper directory at a time; its caller sees to that. Within it, all
 * functions may be called by any number of threads.
 *
 * What is named as `dirfd, name` is never followed if it is a symlink; name "" is dirfd itself,
 * which may be O_PATH.
 *
 * Invariants:
 *  U1  Whatever instant a kill comes at, the tree is one that overlayfs shows as before or after
 *      the operation. What is made of several parts is made in scratch/ and renamed.
 *  U2  A block that is not in the upper file is never taken for one that is (blocks.h).
 *  U3  A half-copied file is marked (xattr), so that nobody who does not know takes it for whole.
 */
#pragma once

#include "overlay-format.h"
#include "util/cleanup.h"

#include <stdatomic.h>
#include <sys/types.h>

struct blocks_set;
struct upper {
	int fd;      /* UPPER, O_PATH */
	int work_fd; /* WORK */
	int scratch_fd, orphans_fd, blocks_fd, index_fd;
	bool user;      /* xattrs are user.overlay.*, since trusted.* cannot be set */
	bool may_chown; /* files can be given to others: else OVERLAY_OWNER says whose they are */
	bool may_mknod; /* devices can be made: else they are empty files with OVERLAY_OWNER */
	bool fsync;
	/* What the file system can. */
	bool tmpfile, reflink;
	uid_t uid; /* what this process makes, belongs to these */
	gid_t gid;
	dev_t dev;
	struct blocks_set *blocks; /* which files are half copied (blocks.c) */
	_Atomic uint64_t serial;   /* of names in scratch/ */
	_Atomic uint32_t whiteout; /* the prepared whiteout is scratch/w<this, in hex>; 0: none */
	_Atomic bool has_index;    /* index/ may have entries */
};

#define UPPER_RESUME     (1 << 0) /* of a process that died: orphans/ is in use and kept */
#define UPPER_USER_XATTR (1 << 1) /* user.overlay.*, whatever else would be possible */
#define UPPER_FSYNC      (1 << 2)

/*
 * Both directories must be there, and on one file system that has xattrs and whiteouts. Makes and
 * empties what is in WORK. -ERR_UNSUPPORTED: the file system lacks something.
 */
_must_check_ int upper_open(
	const char *path, const char *work, unsigned int flags, struct upper **ret, struct err *e);
void upper_close(struct upper *up);
DEFINE_CLEANUP(struct upper *, upper_close);
/* Finds out what can be done there: within upper_open. */
_must_check_ int upper_probe(struct upper *up, struct err *e);
/* As it was found before. 1 = nothing is known. */
_must_check_ int upper_probe_recall(struct upper *up);

/* Files in orphans/ and blocks/ are named by a number in hexadecimal digits. */
#define UPPER_NUMBER_SIZE 17
const char *upper_number_name(uint64_t number, char ret[UPPER_NUMBER_SIZE]);
/* A name in scratch/ that nobody else uses. */
const char *upper_scratch_name(struct upper *up, char ret[UPPER_NUMBER_SIZE]);
/* Removes what has been left at scratch/name: a file or an empty directory; and its blocks. */
void upper_scratch_drop(struct upper *up, const char *name);

/* ---- upper-xattr.c: xattrs by name below a directory ---------------------------------------- */
/* As getxattr(2) and so on: n == 0 asks for the size; -ENODATA, -ERANGE, -EOPNOTSUPP. */
_must_check_ int upper_getxattr(
	int dirfd, const char *name, const char *xattr, void *p, size_t n, size_t *ret_n);
_must_check_ int upper_listxattr(int dirfd, const char *name, char *p, size_t n, size_t *ret_n);
_must_check_ int upper_setxattr(
	int dirfd, const char *name, const char *xattr, const void *p, size_t n, int flags);
_must_check_ int upper_removexattr(int dirfd, const char *name, const char *xattr);

/* overlayfs's marks and ours. 1 = there is no such mark, or there can be none on such a file. */
_must_check_ int upper_mark_get(struct upper *up, int dirfd, const char *name, enum overlay_xattr x,
	void *p, size_t n, size_t *ret_n);
_must_check_ int upper_mark_set(struct upper *up, int dirfd, const char *name, enum overlay_xattr x,
	const void *p, size_t n);
_must_check_ int upper_mark_remove(
	struct upper *up, int dirfd, const char *name, enum overlay_xattr x);

_must_check_ int upper_set_opaque(struct upper *up, int dirfd, const char *name);
_must_check_ int upper_set_redirect(
	struct upper *up, int dirfd, const char *name, const char *redirect);
/* Of a directory. *ret_redirect from malloc, or NULL. As lower_ops.dir_marks. */
_must_check_ int upper_dir_marks(
	struct upper *up, int dirfd, const char *name, bool *ret_opaque, char **ret_redirect);
/* 1 = it has no origin, or one of another file system. */
_must_check_ int upper_origin(
	struct upper *up, int dirfd, const char *name, const uint8_t uuid[16], uint64_t *ret_nid);

/* What a user without root could not give a file: "uid:gid:mode[:major:minor]", mode in octal
 * with the type of file. */
struct upper_owner {
	uint32_t uid, gid, mode;
	dev_t rdev;
};
#define UPPER_OWNER_SIZE 64
size_t upper_owner_encode(const struct upper_owner *o, char ret[UPPER_OWNER_SIZE]);
/* -EINVAL */
_must_check_ int upper_owner_decode(const char *p, size_t n, struct upper_owner *ret);
/* Whether files may have an owner's mark: else upper_owner_apply need not be called. */
static inline bool upper_has_owners(const struct upper *up)
{
	return !up->may_chown || !up->may_mknod;
}
/* Puts into `st` (of the file itself) what its mark says. Costs nothing where there are none. */
_must_check_ int upper_owner_apply(struct upper *up, int dirfd, const char *name, struct stat *st);

/* ---- names ----------------------------------------------------------------------------------- */
/*
 * A whiteout at dirfd/name: where nothing is, or in place of a file that is no directory
 * (`replace`), in one step.
 */
_must_check_ int upper_whiteout(struct upper *up, int dirfd, const char *name, bool replace);
/*
 * Moves a file, or a directory that has but whiteouts in it, to orphans/id; `whiteout`: leaves one
 * in its place, in the same step.
 */
_must_check_ int upper_orphan_move(
	struct upper *up, int dirfd, const char *name, uint64_t id, bool whiteout);
/* Links it there; content with a link that is there already. */
_must_check_ int upper_orphan_link(struct upper *up, int dirfd, const char *name, uint64_t id);
/* A directory has no links: makes an empty one there with the same attributes. */
_must_check_ int upper_orphan_copy_dir(
	struct upper *up, int dirfd, const char *name, uint64_t id, struct stat *ret);
/* Removes it, with its blocks. Content with none. */
void upper_orphan_remove(struct upper *up, uint64_t id);
/* Removes them all. What fails is left for the next upper_open. */
void upper_orphans_empty(struct upper *up);

/* ---- upper-index.c: copied-up files of several names --------------------------------------- */
/*
 * A lower file of several names, once copied up, is in index/ by its origin: every name of it that
 * is not in the upper directory itself means this file. Its link count is told by OVERLAY_NLINK.
 */
#define UPPER_INDEX_NAME_SIZE (2 * OVERLAY_ORIGIN_MAX + 1)
const char *upper_index_name(const struct overlay_origin *o, char ret[UPPER_INDEX_NAME_SIZE]);
/* 1 = there is none. Costs nothing while index/ is empty. */
_must_check_ int upper_index_stat(
	struct upper *up, const struct overlay_origin *o, struct stat *ret);
/* Moves scratch/name there. */
_must_check_ int upper_index_add(
	struct upper *up, const struct overlay_origin *o, const char *scratch);
/* Gives the file one more name, its place in the upper directory. */
_must_check_ int upper_index_link(
	struct upper *up, const struct overlay_origin *o, int dirfd, const char *name);
_must_check_ int upper_index_remove(struct upper *up, const struct overlay_origin *o);
/* How many names a file has in the union: `upper` and `lower` are the link counts there. */
_must_check_ int upper_nlink(struct upper *up, int dirfd, const char *name, uint32_t upper,
	uint32_t lower, uint32_t *ret);
/* Whether it is noted relative to the lower file's count. */
bool upper_nlink_is_lower(struct upper *up, int dirfd, const char *name);
/* Notes it, relative to the upper file's count (base 'U') or the lower one's ('L'). */
_must_check_ int upper_nlink_note(
	struct upper *up, int dirfd, const char *name, char base, int64_t difference);
