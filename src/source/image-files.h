/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files an image is handed over in: a directory, or the inside of a tar. Names come from
 * documents that nobody vouches for; none of them can open anything that is not a regular file
 * below the directory or inside the tar.
 */
#pragma once

#include "image-source.h"

struct archive_index;

struct image_files {
	int dirfd; /* -1: a tar */
	int fd;    /* the tar, plain and seekable; -1: a directory */
	struct archive_index *index;
};

#define IMAGE_FILES_NONE \
	{ \
		.dirfd = -1, .fd = -1 \
	}

_must_check_ int image_files_open_dir(const char *path, struct image_files *ret, struct err *e);
/* `path` "-" is standard input. Unpacks into `tmp_dirfd` what cannot be read in place. */
_must_check_ int image_files_open_tar(
	const char *path, int tmp_dirfd, struct image_files *ret, struct err *e);
void image_files_done(struct image_files *f);

/* 1 = *ret is open; 0 = there is no such file. */
_must_check_ int image_files_find(
	const struct image_files *f, const char *name, struct blob *ret, struct err *e);
/*
 * Reads the whole of a document into `ret`. 1 = done; 0 = there is no such file; -ERR_INPUT if it
 * is larger than IMAGE_DOC_MAX.
 */
_must_check_ int image_files_read(
	const struct image_files *f, const char *name, struct buf *ret, struct err *e);

/*
 * The plain form of what `fd` gives: decoded if it is compressed (told by its first bytes), copied
 * if it cannot seek, into an unlinked file in `tmp_dirfd`; itself otherwise. `fd` is taken over
 * in any case.
 */
_must_check_ int archive_unpack(int fd, int tmp_dirfd, int *ret_fd, struct err *e);
