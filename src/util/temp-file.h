/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that gets its name when it is whole.
 *
 * Until then it has none (O_TMPFILE), so that nothing is left of it even by a kill; where the file
 * system cannot do that, its name begins with TEMP_FILE_PREFIX. Its mode is 0666 less the umask.
 */
#pragma once

#include "cleanup.h"

#define TEMP_FILE_PREFIX   ".plyfs-"
#define TEMP_FILE_NAME_MAX 32

struct temp_file {
	int fd;                        /* for reading and writing; -1: none, or parked */
	int dirfd;                     /* the caller's; must stay open */
	char name[TEMP_FILE_NAME_MAX]; /* empty: it has none */
};
#define TEMP_FILE_NONE ((struct temp_file){.fd = -1})

/* A new file on the file system of `dirfd`, which is a directory. 0 or -errno. */
_must_check_ int temp_file_open(int dirfd, struct temp_file *ret);
/*
 * Closes the descriptor of a file that many others are to wait with for their names. It has a name
 * of its own from then on. 0 or -errno.
 */
_must_check_ int temp_file_park(struct temp_file *t);
/*
 * Gives it its name in a directory of the same file system, in place of a file that has it. Does
 * not sync: neither the file nor the directory. 0 or -errno.
 */
_must_check_ int temp_file_name(struct temp_file *t, int dirfd, const char *name);
/* A file that got no name is gone. */
void temp_file_done(struct temp_file *t);

#define _cleanup_temp_file_ _cleanup_(temp_file_done)
