/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-io: file-system work, timed from the inside, so that no tool's own overhead is in a figure.
 *
 *   bench-io run FILE COMMAND...     run it; append "wall-seconds CPU-seconds peak-KiB own-KiB" to
 *                                    FILE; own: the peak without pages of mapped files, as seen
 *                                    every 10 ms
 *   bench-io stat DIR                walk the tree, fstatat() every entry
 *   bench-io read DIR                read every regular file of the tree
 *   bench-io list DIR MAX            print the regular files of 1..MAX bytes (not timed)
 *   bench-io open DIR LIST COUNT     open, read and close COUNT files picked at random from LIST
 *   bench-io rand FILE COUNT         COUNT reads of 4 KiB at random places
 *   bench-io seq FILE                read it all, 1 MiB a read
 *   bench-io first FILE              open it for writing, write 4 KiB in its middle, close
 *   bench-io randwrite FILE COUNT    COUNT writes of 4 KiB at random places
 *   bench-io fill FILE MIB           a new file of MIB MiB, 1 MiB a write
 *   bench-io tar FILES SIZE          write a tar of FILES files of SIZE bytes, 1000 a directory
 *
 * The timed ones print seconds. The random choices are the same in every run. With BENCH_IO_SYNC
 * set, those that write end with an fsync.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE   (1024 * 1024)
#define BLOCK_SIZE    4096
#define FILES_PER_DIR 1000
#define TAR_VARIANTS  1000

static char buffer[BUFFER_SIZE];
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || *end || !n)
		errx(2, "not a number above 0: %s", text);
	return n;
}

static int must_open(int dir_fd, const char *name, int flags)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

static void read_to_end(int fd, const char *name)
{
	ssize_t n;

	do {
		n = read(fd, buffer, sizeof(buffer));
	} while (n > 0);
	if (n < 0)
		err(1, "%s", name);
}

static void read_file(int dir_fd, const char *name)
{
	int fd = must_open(dir_fd, name, O_NOFOLLOW);

	read_to_end(fd, name);
	close(fd);
}

/* What to do with each entry of a walk; path is relative to the walk's root. */
typedef void visit_fn(int dir_fd, const char *name, const char *path, const struct stat *st);

static uint64_t list_max_size;

static void visit_nothing(int dir_fd, const char *name, const char *path, const struct stat *st)
{
	(void)dir_fd, (void)name, (void)path, (void)st;
}

static void visit_read(int dir_fd, const char *name, const char *path, const struct stat *st)
{
	(void)path;
	if (S_ISREG(st->st_mode))
		read_file(dir_fd, name);
}

static void visit_list(int dir_fd, const char *name, const char *path, const struct stat *st)
{
	(void)dir_fd, (void)name;
	if (S_ISREG(st->st_mode) && st->st_size > 0 && (uint64_t)st->st_size <= list_max_size &&
		!strchr(path, '\n'))
		puts(path);
}

static void walk(int fd, const char *path, visit_fn *visit)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir)
		err(1, "%s", path);
	while ((entry = readdir(dir))) {
		char *child;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			err(1, "%s/%s", path, entry->d_name);
		if (asprintf(&child, "%s%s%s", path, *path ? "/" : "", entry->d_name) < 0)
			err(1, NULL);
		visit(fd, entry->d_name, child, &st);
		if (S_ISDIR(st.st_mode))
			walk(must_open(fd, entry->d_name, O_DIRECTORY | O_NOFOLLOW), child, visit);
		free(child);
	}
	closedir(dir);
}

static void walk_tree(const char *root, visit_fn *visit)
{
	walk(must_open(AT_FDCWD, root, O_DIRECTORY), "", visit);
}

static char **read_list(const char *path, size_t *ret_count)
{
	FILE *file = fopen(path, "re");
	char **list = NULL, *line = NULL;
	size_t count = 0, size = 0;
	ssize_t length;

	if (!file)
		err(1, "%s", path);
	while ((length = getline(&line, &size, file)) > 0) {
		line[length - 1] = '\0';
		list = reallocarray(list, count + 1, sizeof(*list));
		if (!list)
			err(1, NULL);
		list[count++] = line;
		line = NULL;
	}
	fclose(file);
	if (!count)
		errx(1, "%s: empty", path);
	*ret_count = count;
	return list;
}

static void open_files(const char *root, char **list, size_t list_count, uint64_t count)
{
	int dir_fd = must_open(AT_FDCWD, root, O_DIRECTORY);

	while (count--)
		read_file(dir_fd, list[random_below(list_count)]);
	close(dir_fd);
}

static void read_random(const char *path, uint64_t count)
{
	int fd = must_open(AT_FDCWD, path, 0);
	off_t size = lseek(fd, 0, SEEK_END);

	if (size < BLOCK_SIZE)
		errx(1, "%s: too small", path);
	while (count--) {
		uint64_t block = random_below((uint64_t)size / BLOCK_SIZE);

		if (pread(fd, buffer, BLOCK_SIZE, (off_t)(block * BLOCK_SIZE)) != BLOCK_SIZE)
			err(1, "%s", path);
	}
	close(fd);
}

static int must_create(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void write_at(int fd, const char *path, size_t size, uint64_t offset)
{
	if (pwrite(fd, buffer, size, (off_t)offset) != (ssize_t)size)
		err(1, "%s", path);
}

static void end_writing(int fd, const char *path)
{
	if (getenv("BENCH_IO_SYNC") && fsync(fd) < 0)
		err(1, "%s: fsync", path);
	if (close(fd) < 0)
		err(1, "%s: close", path);
}

static void fill_buffer(void)
{
	for (size_t i = 0; i < sizeof(buffer); i++)
		buffer[i] = (char)random_below(256);
}

static void write_first(const char *path)
{
	int fd = must_create(path, 0);
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(1, "%s", path);
	write_at(fd, path, BLOCK_SIZE, (uint64_t)st.st_size / 2 / BLOCK_SIZE * BLOCK_SIZE);
	end_writing(fd, path);
}

static void write_random(const char *path, uint64_t count)
{
	int fd = must_create(path, 0);
	off_t size = lseek(fd, 0, SEEK_END);

	if (size < BLOCK_SIZE)
		errx(1, "%s: too small", path);
	while (count--) {
		uint64_t block = random_below((uint64_t)size / BLOCK_SIZE);

		write_at(fd, path, BLOCK_SIZE, block * BLOCK_SIZE);
	}
	end_writing(fd, path);
}

static void write_new(const char *path, uint64_t mib)
{
	int fd = must_create(path, O_CREAT | O_EXCL);

	for (uint64_t i = 0; i < mib; i++)
		write_at(fd, path, BUFFER_SIZE, i * BUFFER_SIZE);
	end_writing(fd, path);
}

/* Anonymous memory of a process, KiB; 0 if it has none any more. */
static long own_memory(pid_t pid)
{
	char path[64], line[256];
	FILE *file;
	long own = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "RssAnon: %ld", &own) != 1)
		;
	if (file)
		fclose(file);
	return own;
}

/* Its peak, until the process ends. SIGCHLD is blocked. */
static long watch_memory(pid_t pid)
{
	const struct timespec step = {.tv_nsec = 10000000};
	sigset_t child;
	long peak = 0;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (sigtimedwait(&child, NULL, &step) < 0) {
		long own = own_memory(pid);

		peak = own > peak ? own : peak;
	}
	return peak;
}

static pid_t start_command(char **command)
{
	sigset_t child, before;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(command[0], command);
		err(127, "%s", command[0]);
	}
	return pid;
}

static void run(const char *result_path, char **command)
{
	double start = now(), cpu, wall;
	struct rusage usage;
	pid_t pid = start_command(command);
	long own = pid > 0 ? watch_memory(pid) : 0;
	FILE *result;
	int status;

	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0)
		err(1, "%s", command[0]);
	wall = now() - start;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		errx(1, "failed: %s", command[0]);
	cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	result = fopen(result_path, "ae");
	if (!result ||
		fprintf(result, "%.6f %.6f %ld %ld\n", wall, cpu, usage.ru_maxrss, own) < 0 ||
		fclose(result))
		err(1, "%s", result_path);
}

static void put(const void *data, size_t size)
{
	if (fwrite(data, size, 1, stdout) != 1)
		err(1, "stdout");
}

/* A ustar header; the checksum is the sum of its bytes with the checksum's own field all spaces. */
static void put_header(const char *name, char type, unsigned mode, size_t size)
{
	unsigned char header[512] = {0};
	unsigned sum = 0;

	snprintf((char *)header, 100, "%s", name);
	snprintf((char *)header + 100, 8, "%07o", mode);
	snprintf((char *)header + 108, 8, "%07o", 0U);
	snprintf((char *)header + 116, 8, "%07o", 0U);
	snprintf((char *)header + 124, 12, "%011zo", size);
	snprintf((char *)header + 136, 12, "%011o", 1700000000U);
	memset(header + 148, ' ', 8);
	header[156] = (unsigned char)type;
	memcpy(header + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(header); i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
	put(header, sizeof(header));
}

static void put_tar(uint64_t files, size_t size)
{
	static const char zeros[1024];
	char name[64];

	if (size > sizeof(buffer))
		errx(2, "at most %zu bytes a file", sizeof(buffer));
	fill_buffer();
	for (uint64_t i = 0; i < files; i++) {
		if (i % FILES_PER_DIR == 0) {
			snprintf(name, sizeof(name), "dir-%06ju/", (uintmax_t)(i / FILES_PER_DIR));
			put_header(name, '5', 0755, 0);
		}
		snprintf(name, sizeof(name), "dir-%06ju/file-%03ju", (uintmax_t)(i / FILES_PER_DIR),
			(uintmax_t)(i % FILES_PER_DIR));
		put_header(name, '0', 0644, size);
		snprintf(buffer, size, "%03ju", (uintmax_t)(i % TAR_VARIANTS));
		put(buffer, size);
		if (size % 512)
			put(zeros, 512 - size % 512);
	}
	put(zeros, sizeof(zeros));
	if (fflush(stdout))
		err(1, "stdout");
}

static bool is(const char *name, int want, char **argv, int argc)
{
	return argc >= 2 && !strcmp(argv[1], name) && argc == want + 2;
}

int main(int argc, char **argv)
{
	double start = now();

	if (argc > 3 && !strcmp(argv[1], "run")) {
		run(argv[2], argv + 3);
		return 0;
	} else if (is("tar", 2, argv, argc)) {
		put_tar(number(argv[2]), number(argv[3]));
		return 0;
	} else if (is("list", 2, argv, argc)) {
		list_max_size = number(argv[3]);
		walk_tree(argv[2], visit_list);
		return 0;
	} else if (is("stat", 1, argv, argc)) {
		walk_tree(argv[2], visit_nothing);
	} else if (is("read", 1, argv, argc)) {
		walk_tree(argv[2], visit_read);
	} else if (is("open", 3, argv, argc)) {
		size_t count;
		char **list = read_list(argv[3], &count);

		start = now();
		open_files(argv[2], list, count, number(argv[4]));
	} else if (is("rand", 2, argv, argc)) {
		read_random(argv[2], number(argv[3]));
	} else if (is("seq", 1, argv, argc)) {
		read_file(AT_FDCWD, argv[2]);
	} else if (is("first", 1, argv, argc)) {
		write_first(argv[2]);
	} else if (is("randwrite", 2, argv, argc)) {
		fill_buffer();
		start = now();
		write_random(argv[2], number(argv[3]));
	} else if (is("fill", 2, argv, argc)) {
		fill_buffer();
		start = now();
		write_new(argv[2], number(argv[3]));
	} else {
		errx(2, "usage: see the head of bench-io.c");
	}
	printf("%.6f\n", now() - start);
	return 0;
}
