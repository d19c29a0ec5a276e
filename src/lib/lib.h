/* SPDX-License-Identifier: Apache-2.0 */
/* What the public functions share: handles, and errors handed over to the caller's struct. */
#pragma once

#include "plyfs.h"
#include "fs/view.h"
#include "store/lock.h"
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
