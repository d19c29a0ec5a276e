/* SPDX-License-Identifier: Apache-2.0 */
/* What fsck looks at in a container's upper directory (fsck_options.container). */
#pragma once

#include "image/fsck.h"

/* That each half-copied file has its bitmap, and that it is of a file of the image. `ctx`: the
 * store. */
int container_check(void *ctx, const struct container *container, struct check *c);
