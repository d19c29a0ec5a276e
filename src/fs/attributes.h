/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving a file on the host what an image says of it.
 *
 * What needs a privilege that the caller has not is left out and counted: owners and devices for
 * other users than root, and for root within a user namespace, as a privileged root is to have all
 * or a failure; xattrs for everybody, as file systems differ in what they take. Where the owner is
 * left out, so are setuid and setgid bits: they would be another's.
 */
#pragma once

#include "view.h"

struct attributes {
	const struct index *x;
	bool privileged;
	uint64_t owners, devices, xattrs; /* that were left out */
};

void attributes_init(struct attributes *a, const struct view *v);
/* Whether the failure `code` (negative) to own or make something only means to leave it out. */
bool attributes_leave_out(const struct attributes *a, int code);
/*
 * Owner, xattrs, mode and times, in this order: a new owner takes capabilities and setuid away,
 * and a file that is read-only takes no xattrs. `fd` may be O_PATH; needs /proc.
 */
_must_check_ int attributes_set(
	struct attributes *a, int fd, const struct index_inode *i, struct err *e);
/* One line on stderr, if anything was left out. */
void attributes_warn(const struct attributes *a, const char *path);
