/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest form, plyfs-manifest(5): a tree as text, one entry a line.
 *
 * Parsing touches no file: it checks the whole text first, and what it leaves is the list of
 * entries in the order of the tar (a directory before what is in it, names by their bytes, each
 * path once, nothing below what is no directory, every hard link with its file). Only then
 * manifest_form_write opens the content files, one at a time.
 *
 * Limits: MANIFEST_LINE_MAX, MANIFEST_SIZE_MAX, MANIFEST_ENTRIES_MAX, MANIFEST_XATTRS_MAX; memory
 * is at most the text's size and some 200 bytes an entry.
 */
#pragma once

#include "format/tar.h"
#include "manifest-text.h"
#include "util/arena.h"

#define MANIFEST_LINE_MAX    ((size_t)1 << 20)   /* bytes */
#define MANIFEST_SIZE_MAX    ((size_t)256 << 20) /* bytes */
#define MANIFEST_ENTRIES_MAX ((size_t)8 << 20)
#define MANIFEST_XATTRS_MAX  ((size_t)1024) /* of one entry */

enum manifest_type {
	MANIFEST_NONE,
	MANIFEST_FILE,
	MANIFEST_DIR,
	MANIFEST_LINK,
	MANIFEST_HARDLINK,
	MANIFEST_CHAR,
	MANIFEST_BLOCK,
	MANIFEST_FIFO,
	MANIFEST_SOCKET,
	MANIFEST_WHITEOUT,
};

struct manifest_entry {
	const char *path; /* "usr/bin"; "" is the root */
	size_t line;      /* from 1 */
	enum manifest_type type;
	uint32_t mode; /* 07777 bits */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec;
	bool opaque;
	const char *content; /* a file's name, or NULL */
	struct word text;    /* inline content */
	const char *link;    /* symlink: target; hard link: path of the file, as `path` */
	uint32_t dev_major, dev_minor;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
	struct manifest_entry *file;  /* hard link: whose name it is */
	struct manifest_entry *first; /* its first name in the order of the tar, if not itself */
};

struct manifest_form {
	struct arena arena;
	struct manifest_entry **entries;
	size_t n, room;
};

void manifest_form_done(struct manifest_form *f);

/*
 * Parses `n` bytes, which are changed and must stay as long as *f, and one writable byte behind
 * them. `f` is zero-initialised, and to be freed after a failure too. -ERR_INPUT with the line.
 */
_must_check_ int manifest_form_parse(struct manifest_form *f, char *text, size_t n, struct err *e);

/* For manifest_form_parse: order and mutual relations, when all lines are read. */
_must_check_ int manifest_form_check(struct manifest_form *f, struct err *e);

/* Writes the tar. Relative names of content files start at `dirfd`. */
_must_check_ int manifest_form_write(
	const struct manifest_form *f, int dirfd, struct sink *out, struct err *e);
