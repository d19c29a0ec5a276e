/* SPDX-License-Identifier: Apache-2.0 */
/* What of an image's tree decides how it is mounted writable. */
#pragma once

#include "format/index.h"

struct traits {
	bool whiteout; /* has a character device 0:0, which overlayfs takes for a whiteout */
	/* Bytes of the file that has most, holes not counted; any number below `interest` if none
	 * has as many. */
	uint64_t largest;
};
/*
 * The header of a local index tells, whatever the size of the tree. For one that was made before
 * version 0.2, all directories are read.
 */
_must_check_ int traits_of(
	const struct index *x, uint64_t interest, struct traits *ret, struct err *e);
