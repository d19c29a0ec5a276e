/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local store: one directory, used by any number of processes at once.
 *
 *   format        the text "plyfs store 1"
 *   lock          byte-range locks (lock.h)
 *   chunks.lmdb   the records: chunks, free space, layers, images, names (records.h), containers
 *   packs/        chunk data
 *   layers/       for each layer a portable index, <diff_id>.index, and what its tar holds besides
 *                 the content of files, <diff_id>.split (format/split.h)
 *   images/       <digest>.manifest, .config and .index (portable) for each image
 *   local/        <digest>.index: the image's index with addresses in this store's packs
 *   containers/   a directory for each container (containers.h)
 *   tmp/          files in the making
 *
 * Invariants:
 *  S1  A record in chunks.lmdb is the only thing that makes data count. Files that no record
 *      names are leftovers, which gc removes.
 *  S2  What a record names is on disk, whole, before the record is committed.
 *  S3  An import is one transaction: chunks, layers, image and name appear together or not at all.
 *  S4  Data that any record, or any open index file, refers to is never changed or freed.
 *  S5  Files in local/ can be made again from the rest at any time.
 */
#pragma once

#include "util/err.h"
#include "format/digest.h"

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#define PACK_BLOCK_SIZE 4096u
#define PACK_BLOCKS_MAX ((uint32_t)1 << 31) /* 8 TiB, below the largest file of ext4 */
#define PACKS_MAX       23                  /* as many as an index has devices */

struct store {
	char *path;
	int dirfd;
	MDB_env *env;
	MDB_dbi chunks, space, held, layers, images, names, damaged, containers;
	int packs[PACKS_MAX]; /* descriptors, opened on demand; -1 */
};

/*
 * Opens the store at `path`; makes it, readable by its owner only, if there is none (`create`).
 * -ERR_ABSENT, -ERR_STORE (not a store, or of an unknown version), -errno.
 */
_must_check_ int store_open(const char *path, bool create, struct store **ret, struct err *e);
void store_close(struct store *s);
DEFINE_CLEANUP(struct store *, store_close);

/* The name of a file of the store, relative to its directory: "layers/<hex>.index". */
#define STORE_NAME_MAX 96
enum store_file {
	STORE_LAYER,
	STORE_SPLIT,
	STORE_IMAGE,
	STORE_MANIFEST,
	STORE_CONFIG,
	STORE_LOCAL
};
char *store_file_name(enum store_file kind, const struct digest *d, char name[STORE_NAME_MAX]);
/* Opens such a file for reading. -ERR_STORE if it is missing. */
_must_check_ int store_file_open(
	struct store *s, enum store_file kind, const struct digest *d, int *ret_fd, struct err *e);

/* LMDB's codes as ours. */
int store_code(int lmdb_code);
/*
 * Begins a transaction of LMDB that sees all that was committed before, by killed writers too.
 * Others than store_open use txn_begin. 1 = LMDB's lock file is half made (only in store_open).
 */
_must_check_ int store_begin(struct store *s, bool write, MDB_txn **ret);
