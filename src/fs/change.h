/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts that change names and attributes share (union-copy.c, -create.c, -remove.c,
 * -rename.c, -attr.c).
 *
 * The order of steps, everywhere: copy up what has to be in the upper directory (which changes
 * nothing that can be seen); tell the session what names may come to be (N2); then one system call
 * that changes the tree; then tell the session what became true.
 */
#pragma once

#include "node.h"

#include <string.h>

/* ---- union-change.c: what they have in common ---------------------------------------------- */
/*
 * A directory in which names are changed: in the upper directory, and locked; the tree is locked
 * with it. change_begin fails with -EROFS, -ENOENT (the directory was removed), -ENOTDIR.
 */
struct change {
	struct union_fs *u;
	const struct union_op *op;
	struct node *dir;
	int fd; /* its own, in the upper directory */
	bool begun;
};
_must_check_ int change_begin(
	struct union_fs *u, const struct union_op *op, uint64_t dir, struct change *ret);
void change_done(struct change *c);
#define _cleanup_change_ _cleanup_(change_done)

_must_check_ int change_check_name(const char *name);
/* What is at `name` in the upper directory itself. 1 = nothing. */
_must_check_ int change_upper_stat(int fd, const char *name, struct stat *ret);
/* The ids that files of who asks have in the layers. -EOVERFLOW: none. */
_must_check_ int change_ids(
	const struct union_fs *u, const struct union_op *op, uid_t *ret_uid, gid_t *ret_gid);
/* The entry of what is at `name`, counted. -ENOENT. */
_must_check_ int change_enter(struct change *c, const char *name, struct union_entry *ret);

/* Something in scratch/, which goes unless it was moved away and the name made "". */
struct draft {
	struct upper *up;
	char name[UPPER_NUMBER_SIZE];
};
void draft_done(struct draft *d);
#define _cleanup_draft_ _cleanup_(draft_done)
void draft_begin(struct draft *d, struct upper *up);

/* A directory that was pure gets something copied up: overlayfs wants to know (its inode numbers
 * come from there). Nothing depends on it. */
void change_mark_impure(struct union_fs *u, struct node *dir, int fd);

/* ---- union-remove.c ---- */
/*
 * A file is about to lose a name (`dir` and `n` locked): it is copied up if the count of its other
 * names needs that, and becomes an orphan, as somebody may have it open: a file that stays in
 * orphans/ until the node is forgotten, or a lower file without a name.
 */
struct parting {
	struct node *n;
	struct overlay_origin origin;
	uint32_t links;  /* of a file with an entry in WORK/index; else 0 */
	bool in_upper;   /* the name itself is there */
	bool was_orphan; /* and so is one in orphans/; else it has to be moved or linked to there */
};
_must_check_ int part_begin(struct union_fs *u, struct node *n, struct node *dir, int fd,
	const char *name, struct parting *ret);
/* The name is gone; or it is still there. */
void part_done(struct union_fs *u, struct parting *p, struct node *dir, const char *name);
void part_undo(struct parting *p);

/* -ENOTEMPTY. The directory is locked. */
_must_check_ int dir_check_empty(struct union_fs *u, struct node *n);
/* Removes the whiteouts of a directory (dirfd/name) in which there is nothing else. */
_must_check_ int dir_clear(int dirfd, const char *name);

/* ---- union-copy.c ---- */
/*
 * copy_up, but the file gets `name` in `dir`, which is in the upper directory and locked by the
 * caller, as `n` is. Of a file of several names that is copied up already, its name comes to be in
 * the upper directory too.
 */
_must_check_ int copy_up_at(struct union_fs *u, struct node *n, struct node *dir, const char *name,
	bool half, uint64_t size);
/* How many names a file that has an entry in WORK/index has in the union; 1 = it has no entry. It
 * is fd/name in the upper directory. */
_must_check_ int copy_links(struct union_fs *u, struct node *n, int fd, const char *name,
	struct overlay_origin *ret_origin, uint32_t *ret);
/* Before such a file gets or loses a name: its count follows that of the upper file. (While it is
 * copied up it follows the lower one's, and a kill may leave it so.) */
_must_check_ int copy_links_own(struct union_fs *u, struct node *n, int fd, const char *name);

/* ---- union-copy-attr.c ---- */
/* Gives scratch/name what the lower file has: owner, xattrs, mode, times, and the mark of origin
 * (NULL: none). `st` of the lower file. */
_must_check_ int copy_attributes(struct union_fs *u, const struct lower_place *from,
	const struct stat *st, const char *name, const struct overlay_origin *origin);
/* Devices that cannot be made, and what can bear no mark though it needs one: an empty file with a
 * mark stands for them. */
static inline bool change_stands_in(const struct upper *up, uint32_t mode)
{
	const bool device = S_ISCHR(mode) || S_ISBLK(mode);

	if (!device && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return false;
	return !up->may_chown || (device && !up->may_mknod);
}

/* Owner and mode of a file; a mark does for what cannot be given (upper.h). */
_must_check_ int change_owner_mode(
	struct upper *up, int dirfd, const char *name, const struct stat *want);
