/* SPDX-License-Identifier: Apache-2.0 */
/* Between fsck.c (the course of it), fsck-images.c (the check) and fsck-touch.c (what is hit). */
#pragma once

#include "fsck.h"
#include "cuts.h"
#include "name.h"

struct fsck {
	struct store *s;
	struct check c;
	struct cuts cuts;         /* of all indexes */
	fsck_container container; /* may be NULL */
	void *container_ctx;
	size_t n_noted; /* chunks that were noted before those in quarantine were looked at */
	struct fsck_stats stats;
};

/* Layers, images and names, and what is in `damaged`. `c` has checked the records and the space. */
_must_check_ int fsck_images(struct fsck *f, struct err *e);

/* Whether a key of `names` is a name; a printable form of it either way. */
bool fsck_is_name(const MDB_val *key, char ret[IMAGE_NAME_MAX]);

/* Which images and paths the findings touch. */
struct touch {
	size_t fault; /* number in check.chunks, or N + number in check.findings */
	size_t image; /* number in `images` */
	char *path;   /* NULL: the image as a whole */
};
struct touches {
	struct touch *v; /* sorted by fault, image, path */
	size_t n, room;
	struct touched_image {
		struct digest manifest;
		char *name;
	} * images;
	size_t n_images, room_images;
};
/* check_sort_chunks has been called. Within the check's snapshot. */
_must_check_ int touches_find(struct fsck *f, struct touches *ret, struct err *e);
void touches_done(struct touches *t);
/* Those of one fault: returns how many, *ret is the first. */
size_t touches_of(const struct touches *t, size_t fault, const struct touch **ret);
