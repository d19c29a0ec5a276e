/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over files, or over all files of directories, given as arguments: so the
 * corpora are part of the ordinary tests, with any compiler.
 */
#include "util/buf.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_fd(int fd)
{
	_cleanup_buf_ struct buf b = {0};
	int r = io_slurp(fd, SIZE_MAX / 8, &b);

	if (r < 0)
		return r;
	/* A copy of the exact size: reading past its end is seen by ASan. */
	_cleanup_free_ uint8_t *exact = malloc(b.n ? b.n : 1);
	if (!exact)
		return -ENOMEM;
	memcpy(exact, b.p, b.n);
	LLVMFuzzerTestOneInput(exact, b.n);
	return 1;
}

/* Returns how many inputs were run, or a negative code. */
static int replay(int at, const char *name)
{
	_cleanup_close_ int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int count = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return replay_fd(fd);
	fd = -1;
	while ((entry = readdir(dir))) {
		int n = *entry->d_name == '.' ? 0 : replay(dirfd(dir), entry->d_name);

		if (n < 0)
			return n;
		count += n;
	}
	return count;
}

int main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++) {
		int n = replay(AT_FDCWD, argv[i]);

		if (n < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-n));
			return 1;
		}
		count += n;
	}
	printf("%d inputs\n", count);
	return count == 0;
}
