/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image's tree written out as files, with all that the image says of them: owners, modes, times
 * with nanoseconds, xattrs, hard links, devices, FIFOs, sockets and holes. What the caller is not
 * permitted to set is left out, with one warning that counts it (attributes.h).
 *
 * Nothing in the image leads out of the directory: every name is made anew, below a directory that
 * is held open, and nothing is followed. Directories are made 0700, and get their attributes when
 * everything is there, the innermost first.
 */
#pragma once

#include "view.h"

/*
 * `path`: a directory that is empty, or is made; it gets the attributes of the image's root. After
 * a failure it is empty, or gone, again. Needs /proc and Linux 5.8.
 */
_must_check_ int view_extract(struct view *v, const char *path, struct err *e);
