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
	struct view *view;
	struct buf manifest, config;
	char *index_path, *local_index_path;
	char (*layers)[PLYFS_DIGEST_MAX];
	struct plyfs_image_info info;
};

/* Copies `e` to the caller's struct and returns `code`. */
int lib_error(int code, const struct err *e, struct plyfs_error *error);

/*
 * Finds an image and opens its local index, safe from a gc that runs at the same time: what is
 * open stays. *ret_fd may be NULL.
 */
_must_check_ int lib_find_open(
	struct store *s, const char *image, struct image_record *ret, int *ret_fd, struct err *e);
