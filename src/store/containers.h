/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers, as far as the store knows them: their records, and that each has a directory,
 * containers/<ID>. What is in it, and how a container is made, is for upper/container.h.
 *
 * Invariants:
 *  C1  A container's directories are there, and durable, before its record is committed, and as
 *      long as it is there.
 *  C2  A directory that no record names belongs to whoever has its lock, who makes or removes it;
 *      without one it is a leftover.
 */
#pragma once

#include "lock.h"
#include "records.h"

#define CONTAINER_ID_MAX 64 /* [a-zA-Z0-9][a-zA-Z0-9_.-]* */

struct container {
	char id[CONTAINER_ID_MAX + 1];
	struct digest image; /* its manifest */
	int64_t created;     /* seconds since 1970 */
};

bool container_id_valid(const char *id, size_t n);

/* 1 = there is no such record. -ERR_STORE: it has not the right form. */
_must_check_ int record_container(
	struct store *s, MDB_txn *txn, const char *id, struct container *ret);
_must_check_ int record_put_container(struct store *s, MDB_txn *txn, const struct container *c);
/* 1 = none */
_must_check_ int record_delete_container(struct store *s, MDB_txn *txn, const char *id);
/* For record_for_each. */
_must_check_ int record_read_container(
	const MDB_val *key, const MDB_val *value, struct container *ret);

/* LOCK_CONTAINER. 1 = another has it. */
_must_check_ int container_take_lock(
	struct store *s, const char *id, struct lock *ret, struct err *e);
/* Removes containers/<id>, if it is there. The caller has its lock, and no record names it. */
_must_check_ int container_remove_files(struct store *s, const char *id, struct err *e);

/*
 * Calls `each` for all directories that are leftovers (C2), with their lock taken, and their size
 * on disk.
 */
typedef int (*container_each)(
	struct store *s, const char *name, uint64_t bytes, void *ctx, struct err *e);
_must_check_ int containers_leftovers(
	struct store *s, container_each each, void *ctx, struct err *e);
/* What all of containers/ takes on disk, bytes; each file once. */
_must_check_ int containers_disk_bytes(struct store *s, uint64_t *ret, struct err *e);
