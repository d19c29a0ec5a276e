/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lower layer of a union: a read-only tree. Either an index with its packs (lower-index.c), or a
 * directory (lower-dir.c). Files are told by keys, which stay the same as long as the layer is
 * open, and for an index for ever: there a key is the nid. Any number of threads may use one.
 *
 * Paths never matter here, but that of lower_resolve.
 */
#pragma once

#include "upper/overlay-format.h"
#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct lower;

struct lower_name {
	const char
		*name; /* not NUL-terminated; lives as long as the layer, or until the next call */
	size_t len;
	uint64_t key;  /* from lookup; readdir of a directory's layer leaves it 0 */
	uint64_t ino;  /* as lower_stat gives it */
	uint8_t type;  /* DT_*; never DT_UNKNOWN */
	bool whiteout; /* of a directory's layer: hides the name in the layers below */
};

/* Content, as places to copy it from: memory that stays while the layer is open. */
#define LOWER_PIECES_MAX 34
struct lower_content {
	struct iovec pieces[LOWER_PIECES_MAX];
	int n;
	size_t size; /* bytes, all pieces */
};

/* Data of a file, as a place in a file of the layer's, from block to block (4 KiB): what follows
 * the last byte in its block is zeros. */
struct lower_extent {
	uint64_t off, size; /* of the file; off is at a block, size is not rounded up */
	int fd;             /* the layer's */
	uint64_t fd_off;
};

struct lower_ops {
	/* 1 = there is no such name. A whiteout is a name like others: *ret says so. */
	int (*lookup)(struct lower *l, uint64_t dir, const char *name, size_t len,
		struct lower_name *ret);
	/* st_ino is the layer's own; st_blocks and st_blksize are set. */
	int (*stat)(struct lower *l, uint64_t key, struct stat *ret);
	/*
	 * The names of a directory, "." and ".." left out. *pos begins at 0 and always grows; what
	 * it is after a name may be kept as long as the layer is open. 1 = *ret is the next, 0 = no
	 * more.
	 */
	int (*readdir)(struct lower *l, uint64_t dir, uint64_t *pos, struct lower_name *ret);
	/* Whether a directory hides those of the layers below (xattr opaque); redirect: its path
	 * there if it is another than its own, from malloc, or NULL. */
	int (*dir_marks)(struct lower *l, uint64_t dir, bool *ret_opaque, char **ret_redirect);
	/* Up to `n` bytes; *ret_n is the target's length. */
	int (*readlink)(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n);
	/*
	 * Up to `n` bytes at `off`: either copied to `p`, or (if `pieces` is not NULL, and the
	 * layer can) as pieces, and then *ret_n is pieces->size. *ret_n is less than `n` only at
	 * the file's end, or when the pieces do not suffice. Bytes may be read from pieces by
	 * system calls only (write(2) gives EFAULT where memory itself would give SIGBUS).
	 */
	int (*read)(struct lower *l, uint64_t key, void *p, size_t n, uint64_t off,
		struct lower_content *pieces, size_t *ret_n);
	/* The next data (hole = false) or hole from `off` on, as lseek(2); -ENXIO. */
	int (*seek)(struct lower *l, uint64_t key, uint64_t off, bool hole, uint64_t *ret);
	/* As getxattr(2) and listxattr(2): n == 0 asks for the size; -ERANGE, -ENODATA. Marks of
	 * overlayfs are not shown. */
	int (*getxattr)(
		struct lower *l, uint64_t key, const char *name, void *p, size_t n, size_t *ret_n);
	int (*listxattr)(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n);
	/* A descriptor of the file itself for reading, for reflinks and passthrough: the caller's.
	 * 1 = the layer has none. May be NULL. */
	int (*open)(struct lower *l, uint64_t key, int *ret_fd);
	/*
	 * The run of data that begins at `off` or first behind it, for FICLONERANGE. Neighbours
	 * are one run. 1 = none is left. -EOPNOTSUPP: not so kept (inline, a directory's file). May
	 * be NULL.
	 */
	int (*extents)(struct lower *l, uint64_t key, uint64_t off, struct lower_extent *ret);
	/* What OVERLAY_ORIGIN of a copy says. 1 = nothing: the copy cannot be told to be of it. */
	int (*origin)(struct lower *l, uint64_t key, struct overlay_origin *ret);
	/* The inode number of the file that an origin is of, and how many names it has. 1 = that
	 * cannot be told. */
	int (*find_origin)(struct lower *l, const void *origin, size_t n, uint64_t *ret_ino,
		uint32_t *ret_nlink);
	void (*close)(struct lower *l);
};

struct lower {
	const struct lower_ops *ops;
	uint64_t root;    /* key of its root directory */
	uint64_t ino_end; /* its inode numbers are below; 0: unknown */
	dev_t dev;        /* a directory's st_dev; 0: an index */
	uint8_t uuid[16]; /* for overlay_origin_nid; zero for a directory */
	bool has_origin;  /* it is an index: an origin can be turned into a key */
};

/* An index, with the packs of its store. The layer closes `v` when it is closed. */
struct view;
_must_check_ int lower_index_open(struct view *v, struct lower **ret, struct err *e);
/*
 * A directory, which nobody changes while it is open. `user`: overlayfs's marks are user.overlay.*.
 *
 * What fuse-overlayfs knows is understood, too: whiteouts as files ".wh.NAME", opaque directories
 * by ".wh..wh..opq" or user.fuseoverlayfs.opaque, and owner, mode and type of files by
 * "user.containers.override_stat" and its like, if the root directory has that xattr.
 *
 * Its keys are inode numbers: they tell files with several names, and serve a later process too.
 * Only if the file system has no file handles has each name of a file a key of its own, as a copy
 * of it could not be recognised. Symlinks are never followed.
 */
_must_check_ int lower_dir_open(const char *path, bool user, struct lower **ret, struct err *e);
static inline void lower_close(struct lower *l)
{
	l->ops->close(l);
}
DEFINE_CLEANUP(struct lower *, lower_close);
