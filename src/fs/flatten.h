/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image's tree as one tar, in the canonical form of tar.h: what a container sees, one layer.
 *
 * Entries come in the order of index-walk.h, "./" first; a file's further names are hard links to
 * its first one; holes of the image are holes of a sparse entry. The same tree gives the same
 * bytes, and importing them gives the same index. -ERR_INPUT where a layer could not say the tree:
 * a name that begins with ".wh.".
 */
#pragma once

#include "view.h"
#include "util/stream.h"

_must_check_ int view_flatten(struct view *v, struct sink *out, struct err *e);
