/* SPDX-License-Identifier: Apache-2.0 */
/* A container's changes, looked at: with its image, which gc leaves alone meanwhile. */
#pragma once

#include "container.h"
#include "delta.h"

struct container_delta {
	struct lock gc;
	struct image_record image;
	struct delta *delta;
};

_must_check_ int container_delta_open(struct store *s, const struct container *c,
	const struct delta_live *live, struct container_delta *ret, struct err *e);
void container_delta_done(struct container_delta *x);
