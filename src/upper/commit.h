/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit: what a container has changed becomes one more layer, and its image with that layer a new
 * image. One ingest (S3): the new image is there whole or not at all. The container stays as it is,
 * and may be in use meanwhile (docs/design.md, "Commit", says what holds then).
 *
 * Cost: the upper directory is walked, not the image (but its merged index is read and written
 * once). Whole files in it are read and cut; of half-copied files, chunks that have a block of
 * their own; what came from the image unread keeps its chunks by name.
 *
 * The layer is a *native* one (image/native.h): it is named by its index until it is exported.
 */
#pragma once

#include "container.h"
#include "delta.h"
#include "format/oci-doc.h"

struct commit_options {
	const char *message;    /* of the history entry; NULL: none */
	const char *author;     /* NULL: none */
	const char *created_by; /* NULL: "plyfs commit" */
	int64_t created;        /* OCI_TIME_NONE: SOURCE_DATE_EPOCH, or now */
	/* What a container of the new image runs: "CMD x y", "ENV A=b", as in a Dockerfile. */
	const char *const *changes;
	size_t n_changes;
	const struct delta_live *live; /* NULL: nobody, or the kernel's overlayfs, has it mounted */
};

struct commit_stats {
	uint64_t files;      /* that were looked at */
	uint64_t read_bytes; /* of their content */
	uint64_t new_bytes;  /* that the store did not have */
};

/*
 * `name` NULL: the image gets none, and is lost with the next gc unless it is opened before that.
 * The caller has the container's lock, or its mount's server vouches for it (`live`). `ret_stats`
 * may be NULL. -ERR_CONFLICT: a file was changed all the time.
 */
_must_check_ int container_commit(struct store *s, const struct container *c, const char *name,
	const struct commit_options *o, struct digest *ret_manifest, struct commit_stats *ret_stats,
	struct err *e);
