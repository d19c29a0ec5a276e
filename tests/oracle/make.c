/* SPDX-License-Identifier: Apache-2.0 */
/* A tree to begin with: of each thing that an image may hold, and of most things several. */
#include "oracle.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void must(int r, const char *what, const char *path)
{
	if (r < 0)
		err(2, "%s %s", what, path);
}

/* Content of `size` bytes, of which some runs of blocks are holes. */
static void put_content(struct pcg *p, int fd, size_t size, bool holes)
{
	static uint8_t block[65536];

	for (size_t at = 0; at < size; at += sizeof(block)) {
		size_t n = size - at < sizeof(block) ? size - at : sizeof(block);

		if (holes && pcg_chance(p, 40))
			continue;
		pcg_fill(p, block, n);
		if (pwrite(fd, block, n, (off_t)at) != (ssize_t)n)
			err(2, "write");
	}
	must(ftruncate(fd, (off_t)size), "truncate", "");
}

static void set_attributes(struct pcg *p, const char *path, mode_t type)
{
	static const mode_t modes[] = {0644, 0600, 0755, 0444, 0666, 04755, 02755, 06711, 0640};
	struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

	must(lchown(path, pcg_chance(p, 25) ? 1000 : 0, pcg_chance(p, 25) ? 1000 : 0), "chown",
		path);
	if (type != S_IFLNK)
		must(chmod(path, modes[pcg_below(p, 9)]), "chmod", path);
	if (type == S_IFREG && pcg_chance(p, 20))
		must(setxattr(path, "user.a", "lower", pcg_below(p, 6), 0), "setxattr", path);
	if (type == S_IFREG && pcg_chance(p, 10))
		must(setxattr(path, "trusted.b", "lower too", 9, 0), "setxattr", path);
	times[1].tv_sec += pcg_below(p, 1000000);
	times[1].tv_nsec = pcg_below(p, 1000000000);
	must(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), "utimens", path);
}

static void make_file(struct pcg *p, const char *path)
{
	uint32_t kind = pcg_below(p, 20);
	size_t size = kind == 0  ? (1 << 20) + pcg_below(p, 4 << 20)
		      : kind < 4 ? pcg_below(p, 300000)
		      : kind < 7 ? 0
				 : pcg_below(p, 9000);
	int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0644);

	must(fd, "create", path);
	put_content(p, fd, size, kind < 2 || kind == 8);
	close(fd);
}

static void make_special(struct pcg *p, const char *path)
{
	static const mode_t types[] = {S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK};
	mode_t type = types[pcg_below(p, 4)];
	dev_t dev = type == S_IFCHR || type == S_IFBLK ? makedev(240 + pcg_below(p, 9), 3) : 0;

	must(mknod(path, type | 0644, dev), "mknod", path);
}

static void make_directory(struct pcg *p, const char *dir, unsigned int depth)
{
	char path[1024], other[1024] = "";
	uint32_t n = 6 + pcg_below(p, 10);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = pcg_below(p, 20);

		if (snprintf(path, sizeof(path), "%s/%c%u", dir, 'a' + (int)(i % 6), i / 6) >=
			(int)sizeof(path))
			return;
		if (kind < 6 && depth > 0) {
			must(mkdir(path, 0755), "mkdir", path);
			make_directory(p, path, depth - 1);
			must(chmod(path, pcg_chance(p, 20)   ? 01777
					 : pcg_chance(p, 20) ? 02775
							     : 0755),
				"chmod", path);
			if (pcg_chance(p, 20))
				must(chown(path, 1000, 1000), "chown", path);
			continue;
		}
		if (kind == 6)
			must(symlink(pcg_chance(p, 50) ? "a0" : "./nowhere", path), "symlink",
				path);
		else if (kind == 7)
			make_special(p, path);
		else if (kind < 10 && other[0])
			must(link(other, path), "link", path);
		else
			make_file(p, path);
		if (kind < 8 || kind >= 10)
			set_attributes(p, path,
				kind == 6   ? S_IFLNK
				: kind == 7 ? S_IFIFO
					    : S_IFREG);
		if (kind >= 10)
			strcpy(other, path);
	}
}

static void make_deep(struct pcg *p, const char *dir)
{
	char path[1024];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s/deep", dir);

	for (int i = 0; i < 20; i++) {
		must(mkdir(path, 0755), "mkdir", path);
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/d%d", i);
	}
	make_file(p, path);
}

static void set_directory_times(const char *dir)
{
	char command[1200];

	snprintf(command, sizeof(command), "find '%s' -type d -exec touch -d @1100000000.123 {} +",
		dir);
	if (system(command) != 0)
		errx(2, "touch");
}

int make_tree(const char *dir, uint64_t seed)
{
	struct pcg p = {seed * 7919 + 1};
	char path[1024];

	umask(0);
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/p%d", dir, i);
		must(mkdir(path, 0777), "mkdir", path);
		make_directory(&p, path, 3);
	}
	snprintf(path, sizeof(path), "%s/p0/big", dir);
	int fd = open(path, O_CREAT | O_WRONLY, 0666);
	must(fd, "create", path);
	put_content(&p, fd, 7 << 20, true);
	close(fd);
	make_deep(&p, dir);
	snprintf(path, sizeof(path), "%s/shared", dir);
	must(mkdir(path, 0777), "mkdir", path);
	make_directory(&p, path, 1);
	set_directory_times(dir);
	return 0;
}
