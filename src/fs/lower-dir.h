/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a directory as lower layer: for fs/lower-dir*.c only. */
#pragma once

#include "lower.h"
#include "util/buf.h"

#include <pthread.h>

/* A file that was looked up: by which name it is reached. They stay as long as the layer. */
struct entry {
	struct entry *next; /* of the same hash */
	struct entry *parent;
	uint64_t key, ino;
	dev_t dev;
	uint8_t type; /* DT_*, of the file itself */
	char name[];
};

/* Descriptors that are kept open: of a key, at the place that its hash says. */
#define FDS_MAX 128
struct kept_fd {
	uint64_t key;
	int fd;
	unsigned int users;
};

struct dir_name {
	size_t at;
	uint64_t ino;
	uint8_t type;
	bool whiteout;
};

/* The names of a directory, sorted; lists that were used last are kept. */
#define LISTS_MAX 8
struct dir_list {
	uint64_t key, used;
	unsigned int users;
	struct buf names;
	struct dir_name *v;
	size_t n, room;
};

struct lower_dir {
	struct lower l;
	int fd;        /* the root, O_PATH */
	int handle_fd; /* the root, to open handles by; -1: not permitted */
	dev_t dev;
	bool user;
	const char *override; /* the xattr that says what files are; NULL: none does */
	bool has_handles;
	pthread_mutex_t lock; /* what follows */
	struct entry **heads;
	size_t n_heads, n_entries;
	struct kept_fd fds[FDS_MAX];
	struct dir_list *lists[LISTS_MAX];
	uint64_t clock;
};

static inline struct lower_dir *dir_of(struct lower *l)
{
	return (struct lower_dir *)l;
}

/* ---- lower-dir.c ---- */
/* NULL: there is none. */
struct entry *entry_find(struct lower_dir *d, uint64_t key);
/* The inode number that is shown. */
uint64_t entry_ino(const struct lower_dir *d, const struct stat *st);
_must_check_ int entry_make(struct lower_dir *d, struct entry *parent, const char *name, size_t len,
	const struct stat *st, struct entry **ret);
/*
 * A descriptor of the file: O_PATH of a directory, for reading of a regular file. To be put.
 * -ESTALE: there is something else now.
 */
struct open_file {
	int fd;
	struct kept_fd *kept; /* NULL: it is closed when it is put */
};
_must_check_ int entry_open(struct lower_dir *d, struct entry *e, struct open_file *ret);
void entry_put(struct lower_dir *d, struct open_file *f);
/* A place to look at the file by name: its directory's descriptor, and *ret_name there. */
_must_check_ int entry_place(
	struct lower_dir *d, struct entry *e, struct open_file *ret, const char **ret_name);

/* ---- lower-dir-list.c ---- */
_must_check_ int dir_readdir(struct lower *l, uint64_t dir, uint64_t *pos, struct lower_name *ret);
void dir_lists_free(struct lower_dir *d);

/* ---- lower-dir-attr.c ---- */
#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
/* Whether the layer says with xattrs what files are, and by which. */
const char *find_override(int fd);
/* Puts that into *st. */
_must_check_ int apply_override(
	const struct lower_dir *d, int dirfd, const char *name, struct stat *st);
_must_check_ int dir_get_marks(
	struct lower *l, uint64_t dir, bool *ret_opaque, char **ret_redirect);
_must_check_ int dir_getxattr(
	struct lower *l, uint64_t key, const char *name, void *p, size_t n, size_t *ret_n);
_must_check_ int dir_listxattr(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n);
_must_check_ int dir_origin(struct lower *l, uint64_t key, struct overlay_origin *ret);
_must_check_ int dir_find_origin(
	struct lower *l, const void *origin, size_t n, uint64_t *ret_ino, uint32_t *ret_nlink);
/* Fills l.uuid, and says whether the file system has file handles. */
bool find_handles(int fd, uint8_t ret_uuid[16]);
