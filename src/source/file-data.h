/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A regular file's content, as a tar entry: read straight into the sink's room, with its holes
 * left out where that saves a page or more, and checked to be the same file afterwards.
 */
#pragma once

#include "format/tar.h"

#include <sys/stat.h>

/*
 * Writes the entry `x` (whose size and sparse map are set here), the content of `fd` and the
 * padding. `st` is what fstat said of `fd` before. -ERR_INPUT if size or time of the file differ
 * afterwards, or it ends early.
 */
_must_check_ int file_to_tar(
	int fd, const struct stat *st, const struct tar_entry *x, struct sink *out, struct err *e);
