/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of user and group ids, as podman's --uidmap and fuse-overlayfs's uidmapping have them:
 * CONTAINER:HOST:SIZE, where a container's ids are what its layers have, and the host's what the
 * mount shows.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_range {
	uint32_t shown; /* the first id as the mount shows it (HOST) */
	uint32_t host;  /* the first as the layers have it (CONTAINER) */
	uint32_t n;
};
struct id_map {
	struct id_range *v;
	size_t n;
};
#define ID_UNMAPPED 65534u /* "nobody", as the kernel's overflowuid */

/* "C:H:N", several joined by ':' or ','. -EINVAL with `e` filled: also ranges that overlap. */
_must_check_ int id_map_parse(const char *text, struct id_map *ret, struct err *e);
void id_map_done(struct id_map *m);
#define _cleanup_id_map_ _cleanup_(id_map_done)
/* `m` may be NULL: the same id. (uint32_t)-1: there is no such id in the layers. */
uint32_t id_in(const struct id_map *m, uint32_t shown);
/* ID_UNMAPPED: it is not shown. */
uint32_t id_out(const struct id_map *m, uint32_t id);
