/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a store as a whole, and its repair.
 *
 * Checking shares LOCK_COLLECT and LOCK_GC from beginning to end: gc waits, without keeping anybody
 * else from the store, so that nothing that the snapshot names goes away meanwhile; imports run
 * beside it. It changes nothing.
 *
 * Repair first records all damage that was found (LOCK_TURN and LOCK_GC alone, so that no import
 * counts on what is damaged), which quarantines it; then it heals what it can (repair.h), checks
 * once more, and takes out of the quarantine what is sound.
 */
#pragma once

#include "store/check.h"
#include "store/containers.h"

enum fsck_class { FSCK_DAMAGE, FSCK_LEFTOVER, FSCK_HEALED, FSCK_LEFT };

struct fsck_path {
	const char *image; /* its name, or its digest if it has none */
	const char *path;  /* NULL: the image as a whole */
};

struct fsck_problem {
	enum fsck_class class;
	const char *kind;   /* "chunk", "layer", "image", "local-index", "name", "space", ... */
	const char *text;   /* one line: what, and where */
	const char *digest; /* of the chunk, layer (diff_id) or image (manifest); NULL: none */
	const char *pack;   /* "packs/0.pack", of a chunk that has a place; else NULL */
	uint64_t offset;    /* bytes */
	const struct fsck_path *paths; /* all that it touches */
	size_t n_paths;
};

/* Notes in `c` what is wrong with the upper directory of a container. */
typedef int (*fsck_container)(void *ctx, const struct container *container, struct check *c);

struct fsck_options {
	bool data, repair;
	const char *const *sources;
	size_t n_sources;
	void (*problem)(void *ctx, const struct fsck_problem *p);
	check_progress progress; /* may be NULL */
	void *ctx;
	fsck_container container; /* may be NULL: upper/container-check.h has it */
};

struct fsck_stats {
	uint64_t names, images, layers, chunks, containers;
	uint64_t verified; /* bytes of chunks */
	uint64_t damaged, leftovers, unreferenced;
	/* After a repair: problems that are gone, and that are left; chunks that came from sources.
	 */
	uint64_t healed, left, healed_chunks;
};

_must_check_ int store_fsck(
	struct store *s, const struct fsck_options *o, struct fsck_stats *ret, struct err *e);
