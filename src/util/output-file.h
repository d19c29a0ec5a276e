/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a command writes for its user, and that appears only when it is whole, in place of
 * what was there: a failure, or a kill at any instant before, leaves the old file and nothing else
 * (temp-file.h). The new one has the old one's mode. A symbolic link stays, and its target is
 * replaced.
 *
 * "-" is standard output, which must be no terminal. It, and what is there and is no regular file
 * (a device, a FIFO), are written to directly.
 */
#pragma once

#include "err.h"
#include "file-sink.h"
#include "temp-file.h"

struct output_file {
	struct file_sink file; /* to be filled: file.sink */
	struct temp_file temp; /* none: what is written to directly, and cannot be gone back in */
	char *path;            /* where it is to appear */
	int dirfd, fd;         /* of its directory; of what is written to directly */
};

/* Errors name the path. */
_must_check_ int output_file_open(struct output_file *f, const char *path, struct err *e);
/* Everything is on the disk, and has its name. */
_must_check_ int output_file_commit(struct output_file *f);
/* Throws away what was not committed. */
void output_file_done(struct output_file *f);

#define OUTPUT_FILE_NONE \
	((struct output_file){.file.fd = -1, .temp = TEMP_FILE_NONE, .dirfd = -1, .fd = -1})
#define _cleanup_output_file_ _cleanup_(output_file_done)
