/* SPDX-License-Identifier: Apache-2.0 */
/* What the public functions share: handles, and errors handed over to the caller's struct. */
#pragma once

#include "plyfs.h"
#include "fs/view.h"
#include "mount/kernel.h"
#include "store/lock.h"
#include "upper/container.h"
#include "upper/delta.h"
#include "util/buf.h"

#define PUBLIC __attribute__((visibility("default")))

struct plyfs_store {
	struct store *s;
};

struct plyfs_image {
	struct store *s;
	struct image_record record;
	char *name;            /* it was opened by; NULL: by a digest */
	struct view *view;     /* NULL: it is quarantined, */
	struct err quarantine; /* and this is why */
	struct index *index;   /* then the portable one, if it can be read */
	struct buf manifest, config;
	char *index_path, *local_index_path;
	char (*layers)[PLYFS_DIGEST_MAX];
	unsigned char *native;
	struct plyfs_image_info info;
};

/* Copies `e` to the caller's struct and returns `code`. */
int lib_error(int code, const struct err *e, struct plyfs_error *error);

/* For whatever looks into the image. Fails, with `e` filled, if it is quarantined. */
_must_check_ int lib_view(const struct plyfs_image *image, struct view **ret, struct err *e);

/*
 * Finds an image and opens its local index, safe from a gc that runs at the same time: what is
 * open stays. A quarantined one fails. *ret_fd may be NULL.
 */
_must_check_ int lib_find_open(
	struct store *s, const char *image, struct image_record *ret, int *ret_fd, struct err *e);

/* What the kernel mounts: the image's local index, open as `fd`, and its packs. */
_must_check_ int lib_kernel_source(struct store *s, const struct image_record *rec, int fd,
	struct kernel_source *ret, struct err *e);

/* The mounts of the store that this process can see. */
struct lib_mount {
	char *dir, *source;
	bool fuse;
	const char *driver; /* static */
	char *container;    /* its ID; NULL: read-only */
	struct digest image;
	bool known; /* `image` is */
	uint64_t dev;
};
struct lib_mount_list {
	struct lib_mount *v;
	size_t n;
	const struct container *containers; /* while it is made */
	size_t n_containers;
};
_must_check_ int lib_mounts(struct store *s, struct lib_mount_list *ret, struct err *e);
void lib_mount_list_done(struct lib_mount_list *l);

/* FUSE: starts the processes; `c` gets its program and the directory. They keep `others` open. */
struct serve_config;
_must_check_ int lib_fuse_start(
	struct serve_config *c, const char *dir, const int *others, size_t n_others, struct err *e);
/* Unmounts, and waits for the end of the processes, unless it is mounted elsewhere, or `lazy`. */
_must_check_ int lib_fuse_umount(
	const struct lib_mount_list *l, const struct lib_mount *m, bool lazy, struct err *e);

/* Takes the container's lock, if it is mounted nowhere. 1 = it is, or others are at work on it. */
_must_check_ int lib_container_take(
	struct store *s, const struct container *c, struct lock *ret, struct err *e);
/* The failure that says so. */
int lib_container_busy(struct store *s, const struct container *c, struct err *e);

/* The server that has a container mounted, for reading its upper directory meanwhile. */
struct control_client;
struct lib_live {
	struct control_client *client; /* NULL: none */
	struct delta_live live;
};
#define LIB_LIVE_NONE ((struct lib_live){.client = NULL})
/* -ERR_CONFLICT: the container is in use, but by no server that answers. */
_must_check_ int lib_live_connect(
	struct store *s, const struct container *c, struct lib_live *ret, struct err *e);
void lib_live_done(struct lib_live *l);
