/* SPDX-License-Identifier: Apache-2.0 */
/* What archive-index.c (the lookup) and archive-scan.c (the headers) share. */
#pragma once

#include "archive-index.h"
#include "util/arena.h"

#include <stdbool.h>

struct archive_entry {
	const char *name;
	const char *link; /* NULL: a regular file */
	bool hardlink;    /* `link` is counted from the archive's root, not from the name */
	uint64_t offset, size;
};

struct archive_index {
	struct arena arena;            /* names */
	struct archive_entry *entries; /* sorted by name once the scan is over */
	size_t n, room;
};

/* Adds an entry for each file and link in the tar of `size` bytes. */
_must_check_ int archive_scan(int fd, uint64_t size, struct archive_index *a, struct err *e);
/* "./a//b/" and "a/b" are one name; so are "/a" and "a". Done in place. */
void archive_clean_name(char *name);
