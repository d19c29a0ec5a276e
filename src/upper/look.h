/* SPDX-License-Identifier: Apache-2.0 */
/* An upper directory to be read only, while somebody else may have it for writing. */
#pragma once

#include "upper.h"

/*
 * Makes and empties nothing. What WORK does not have is -1 in *ret. Only what reads may be called
 * with it: upper-xattr.c's upper_get... and upper_list..., upper_dir_marks, upper_origin,
 * upper_owner_apply, blocks_open.
 */
_must_check_ int upper_look(const char *path, const char *work, struct upper **ret, struct err *e);
void upper_look_done(struct upper *up);
DEFINE_CLEANUP(struct upper *, upper_look_done);
