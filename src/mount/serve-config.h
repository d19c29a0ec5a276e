/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a FUSE mount serves, and how: all that a server needs to open the union, so that each later
 * server of the mount opens the same. It travels as text, "key=value" each with a NUL behind, in a
 * file in memory that the supervisor keeps.
 *
 * Paths are absolute: servers have '/' as their directory.
 */
#pragma once

#include "fuse.h"

struct buf;

struct serve_config {
	char *program; /* what an upgrade starts: the path of the installed plyfs */
	char *dir;     /* where it is mounted */
	char *source;  /* what the kernel shows as its source */
	enum fuse_mode mode;
	bool allow_other;     /* a user's mount that others may use (fuse-mount.h) */
	uint32_t mount_flags; /* MS_NOSUID and the like, of mount(2) */
	bool debug;           /* log_level */
	unsigned int threads;

	/* The lower layers: an image of a store, or directories, top first. */
	char *store;
	char *image; /* digest of its manifest, in hex */
	char **lowers;
	size_t n_lowers;
	bool user_xattrs; /* marks in lower directories are user.overlay.* */

	/* The upper directory; NULL: read-only. */
	char *upper;
	char *work;
	bool block_copy, redirect, sync;

	char *uids, *gids; /* id_map_parse; NULL: none */
	bool squash_uid, squash_gid;
	uint32_t uid, gid;
};

void serve_config_done(struct serve_config *c);
#define _cleanup_serve_config_ _cleanup_(serve_config_done)
_must_check_ int serve_config_encode(const struct serve_config *c, struct buf *b);
/* -EINVAL with `e` filled. Unknown keys are an error: another version wrote it. */
_must_check_ int serve_config_decode(
	const void *p, size_t n, struct serve_config *ret, struct err *e);
/* A file in memory with the text, and back. */
_must_check_ int serve_config_to_fd(const struct serve_config *c, int *ret_fd);
_must_check_ int serve_config_from_fd(int fd, struct serve_config *ret, struct err *e);
