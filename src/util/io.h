/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes, and files that appear only when they are complete.
 *
 * Every function retries EINTR and short transfers, and returns 0 or -errno.
 */
#pragma once

#include "cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;

/* Up to `n` bytes; *ret_n is less than `n` only at end of file. */
_must_check_ int io_read(int fd, void *p, size_t n, size_t *ret_n);
_must_check_ int io_pread(int fd, void *p, size_t n, uint64_t off, size_t *ret_n);
/* Exactly `n` bytes; -EIO if the file ends before. */
_must_check_ int io_pread_full(int fd, void *p, size_t n, uint64_t off);
_must_check_ int io_write_full(int fd, const void *p, size_t n);
_must_check_ int io_pwrite_full(int fd, const void *p, size_t n, uint64_t off);

/* Appends the whole file to `b`; -EFBIG if it holds more than `max` bytes. */
_must_check_ int io_slurp(int fd, size_t max, struct buf *b);

/* mkdir that is content with a directory that is there. */
_must_check_ int io_mkdir(int dirfd, const char *path, mode_t mode);
_must_check_ int io_fsync_dir(int dirfd, const char *path);

/*
 * Writes `n` bytes as dirfd/name by temporary file (<name>.new-<thread>), fsync, rename and fsync
 * of the directory. Several may do so at once: the last one's bytes stay.
 */
_must_check_ int io_write_file(int dirfd, const char *name, const void *p, size_t n);
