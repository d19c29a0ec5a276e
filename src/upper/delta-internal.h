/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between delta.c (the walk), delta-inode.c (one file's attributes), delta-base.c (what comes from
 * the image), delta-read.c (content as of one moment), delta-cut.c (content into chunks) and
 * delta-names.c (hard links).
 */
#pragma once

#include "blocks.h"
#include "delta.h"
#include "look.h"
#include "format/tree.h"
#include "util/array.h"
#include "util/buf.h"
#include "util/dir-walk.h"
#include "util/number-map.h"

/* Where the content of a regular file of the layer is: inode->nlink, which the plan of
 * an index sets anew, is its number + 1. */
struct delta_source {
	bool upper;        /* else it is the image's file `base_nid`, unchanged */
	bool in_index;     /* `path` is below WORK/index instead of the upper directory */
	bool half;         /* half copied */
	const char *path;  /* in the arena */
	const char *shown; /* in the union, for delta_live; NULL: not known */
	uint64_t base_nid; /* not upper, or half: the image's file; else 0 */
	uint64_t ino;
};

/* What delta_hold opened. */
struct delta_open {
	const struct inode *inode; /* NULL: nothing */
	const struct delta_source *source;
	int fd;
	struct blocks *blocks; /* of a half-copied one */
	struct index_inode base;
	void *hold;
	bool leased, clone;
	bool unsettled; /* it may change without its times telling so */
	uint64_t size;
	struct stat before;
};

struct delta {
	struct store *s;
	struct upper *up;
	struct index *base;
	uint8_t uuid[16];
	struct tree *t;
	struct delta_options o;
	struct delta_stats stats;
	bool fine_times; /* each change that comes after a look has another time */
	struct delta_source *sources;
	size_t n_sources, room_sources;
	struct number_map by_ino;  /* upper inode -> struct inode */
	struct number_map by_nid;  /* image's inode of several names -> struct inode of the layer */
	struct number_map indexed; /* image's inode -> its name in WORK/index */
	struct number_map dirs;    /* image's directory -> struct inode of the layer */
	struct delta_open open;
	struct buf names, value; /* of xattrs */
	uint8_t *chunk;          /* a chunk being cut */
	size_t chunk_size;
	struct digest_ctx *digest;
};

/* A directory of the layer that hides what the image has at its path: its nlink. */
#define DELTA_DETACHED 1

static inline bool delta_is_detached(const struct inode *dir)
{
	return dir->nlink == DELTA_DETACHED;
}

int delta_no_memory(struct err *e);

/* ---- delta-inode.c ---- */
/*
 * The layer's inode of the upper file dirfd/name, the same for the same file; `fill`: attributes of
 * a directory go into *ret. 1 = there is no such file any more. `src` says where its content is.
 */
_must_check_ int delta_upper_inode(struct delta *d, int dirfd, const char *name,
	const struct stat *st, const struct delta_source *src, struct inode **ret, struct err *e);
_must_check_ int delta_set_attributes(struct delta *d, int dirfd, const char *name,
	const struct stat *st, struct inode *i, bool *ret_half, struct err *e);
const struct delta_source *delta_source_of(const struct delta *d, const struct inode *i);
_must_check_ int delta_add_source(
	struct delta *d, struct inode *i, const struct delta_source *src, struct err *e);
/* The file in WORK/index that stands for the image's inode; *ret NULL: there is none. */
_must_check_ int delta_indexed_inode(
	struct delta *d, uint64_t nid, const char *shown, struct inode **ret, struct err *e);

/* ---- delta-base.c ---- */
/* The name in an image's directory. 1 = there is none. */
_must_check_ int delta_base_find(struct delta *d, const struct index_inode *dir, const char *name,
	struct index_inode *ret, struct err *e);
/* A copy of the image's inode, for the layer: attributes only. */
_must_check_ int delta_base_attributes(
	struct delta *d, const struct index_inode *x, struct inode *i, struct err *e);
/* A copy of the image's file with its content, which is not read. */
_must_check_ int delta_base_inode(struct delta *d, const struct index_inode *x, const char *shown,
	struct inode **ret, struct err *e);
/* Chunk `k` of a chunked file of the image. 1 = it is a hole. */
_must_check_ int delta_base_chunk(
	struct delta *d, const struct index_inode *x, uint64_t k, struct chunk *ret, struct err *e);
/* Bytes of the image's file; zeros behind its end. */
_must_check_ int delta_base_read(struct delta *d, const struct index_inode *x, void *p, size_t n,
	uint64_t off, struct err *e);

/* ---- delta-read.c ---- */
#define DELTA_TRIES 5
void delta_probe_times(struct delta *d);

/* ---- delta-cut.c ---- */
/* log2 of the chunk size that what is held is cut by; 0: it is kept inline. */
unsigned int delta_chunk_bits(struct delta *d, const struct delta_open *o);
/* Reads the content of the layer's file, as of one moment, into chunks or `data`. */
_must_check_ int delta_cut(struct delta *d, struct inode *i, struct err *e);

/* ---- delta-names.c ---- */
_must_check_ int delta_load_index(struct delta *d, struct err *e);
_must_check_ int delta_add_names(struct delta *d, struct err *e);
