/* SPDX-License-Identifier: Apache-2.0 */
/* ls, cat, stat */
#include "tool.h"
#include "util/io.h"

#include <dirent.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#define COPY_SIZE ((size_t)1 << 20)

static char type_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFCHR:
		return 'c';
	case S_IFBLK:
		return 'b';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	default:
		return '-';
	}
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "file";
	}
}

/* As ls -l writes it: "-rwsr-xr-t". */
static void mode_text(mode_t mode, char text[11])
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		text[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
	if (mode & S_ISUID)
		text[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		text[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		text[9] = mode & S_IXOTH ? 't' : 'T';
	text[10] = 0;
}

static void time_text(const struct timespec *ts, char text[64])
{
	struct tm tm;
	size_t n;

	gmtime_r(&ts->tv_sec, &tm);
	n = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, 64 - n, ".%09ldZ", ts->tv_nsec);
}

/* What a look at one file needs. */
struct look {
	const struct tool *t;
	struct plyfs_image *image;
	json_t *all; /* with --json */
};

static json_t *file_json(struct look *l, const char *path, const struct stat *st)
{
	char target[4097], time[64], mode[8];
	json_t *j;

	time_text(&st->st_mtim, time);
	snprintf(mode, sizeof(mode), "%04o", st->st_mode & 07777);
	j = json_pack("{so ss ss sI sI sI sI ss sI}", "path", tool_json_bytes(path), "type",
		type_name(st->st_mode), "mode", mode, "uid", (json_int_t)st->st_uid, "gid",
		(json_int_t)st->st_gid, "size", (json_int_t)st->st_size, "links",
		(json_int_t)st->st_nlink, "mtime", time, "inode", (json_int_t)st->st_ino);
	if (S_ISLNK(st->st_mode) &&
		plyfs_readlink(l->image, path, target, sizeof(target), NULL) == 0)
		json_object_set_new(j, "target", tool_json_bytes(target));
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		json_object_set_new(j, "major", json_integer(major(st->st_rdev)));
		json_object_set_new(j, "minor", json_integer(minor(st->st_rdev)));
	}
	return j;
}

static void print_long(struct look *l, const char *path, const char *name, const struct stat *st)
{
	char target[4097], time[64], mode[11], device[32] = "";

	time_text(&st->st_mtim, time);
	mode_text(st->st_mode, mode);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		snprintf(device, sizeof(device), "%u,%u", major(st->st_rdev), minor(st->st_rdev));
	else
		snprintf(device, sizeof(device), "%lld", (long long)st->st_size);
	printf("%s %3lu %5u %5u %10s %.10s %.5s ", mode, (unsigned long)st->st_nlink, st->st_uid,
		st->st_gid, device, time, time + 11);
	tool_put_name(name);
	if (S_ISLNK(st->st_mode) &&
		plyfs_readlink(l->image, path, target, sizeof(target), NULL) == 0) {
		printf(" -> ");
		tool_put_name(target);
	}
	putchar('\n');
}

/* Lists one file, under `name`. Returns an exit status. */
static int list_file(struct look *l, const char *path, const char *name)
{
	struct plyfs_error e;
	struct stat st;

	if (!l->all && !l->t->list_long) {
		tool_put_name(name);
		putchar('\n');
		return 0;
	}
	if (plyfs_lstat(l->image, path, &st, &e) < 0)
		return tool_fail(&e);
	if (l->all)
		json_array_append_new(l->all, file_json(l, path, &st));
	else
		print_long(l, path, name, &st);
	return 0;
}

static char *join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	char *path;

	return asprintf(&path, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name) < 0 ? NULL
											   : path;
}

/* With --recursive the names are paths below the directory that was asked for. */
static int list_directory(struct look *l, const char *path, const char *shown, int depth)
{
	struct plyfs_dirent d;
	struct plyfs_dir *dir;
	struct plyfs_error e;
	int r, status = 0;

	if (depth > TOOL_DEPTH_MAX)
		return tool_fail_text(
			"%.40s...: more than %d directories deep", path, TOOL_DEPTH_MAX);
	if (plyfs_opendir(l->image, path, &dir, &e) < 0)
		return tool_fail(&e);
	while (status == 0 && (r = plyfs_readdir(dir, &d, &e)) == 1) {
		_cleanup_free_ char *below = join(path, d.name);
		_cleanup_free_ char *name = *shown ? join(shown, d.name) : strdup(d.name);

		if (!below || !name)
			status = tool_fail_text("out of memory");
		else
			status = list_file(l, below, name);
		if (status == 0 && l->t->recursive && d.type == DT_DIR)
			status = list_directory(l, below, name, depth + 1);
	}
	plyfs_closedir(dir);
	return status ? status : r < 0 ? tool_fail(&e) : 0;
}

int cmd_ls(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	_cleanup_image_ struct plyfs_image *image = s ? tool_image(s, t->argv[0]) : NULL;
	const char *path = t->argc > 1 ? t->argv[1] : "/";
	struct look l = {.t = t, .image = image};
	struct plyfs_error e;
	struct stat st;
	int status;

	if (!image)
		return 1;
	if (plyfs_lstat(image, path, &st, &e) < 0)
		return tool_fail(&e);
	if (S_ISLNK(st.st_mode) && !t->list_long) /* as ls: a link to a directory is listed */
		(void)plyfs_stat(image, path, &st, NULL);
	l.all = t->json ? json_array() : NULL;
	status = S_ISDIR(st.st_mode) ? list_directory(&l, path, "", 0) : list_file(&l, path, path);
	if (status)
		json_decref(l.all);
	return status || !t->json ? status : tool_json(l.all);
}

static int cat_file(struct plyfs_image *image, const char *path, char *buffer)
{
	struct plyfs_file *f;
	struct plyfs_error e;
	uint64_t off = 0;
	ssize_t n;
	int r = 0;

	if (plyfs_open(image, path, &f, &e) < 0)
		return tool_fail(&e);
	while ((n = plyfs_pread(f, buffer, COPY_SIZE, off, &e)) > 0) {
		r = io_write_full(STDOUT_FILENO, buffer, (size_t)n);
		if (r < 0)
			break;
		off += (uint64_t)n;
	}
	plyfs_close(f);
	if (n < 0)
		return tool_fail_text("%s: %s", path, e.text);
	return r < 0 ? tool_fail_text("cannot write the output: %s", strerror(-r)) : 0;
}

int cmd_cat(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	_cleanup_image_ struct plyfs_image *image = s ? tool_image(s, t->argv[0]) : NULL;
	_cleanup_free_ char *buffer = malloc(COPY_SIZE);
	int status = 0;

	if (!image || !buffer)
		return 1;
	for (int i = 1; i < t->argc && status == 0; i++)
		status = cat_file(image, t->argv[i], buffer);
	return status;
}

static void print_xattrs(struct look *l, const char *path, json_t *j)
{
	char list[65536];
	ssize_t n = plyfs_llistxattr(l->image, path, list, sizeof(list), NULL);
	json_t *names = json_array();

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1) {
		if (!j)
			printf("  xattr  %s\n", list + at);
		json_array_append_new(names, tool_json_bytes(list + at));
	}
	if (j)
		json_object_set(j, "xattrs", names);
	json_decref(names);
}

static int stat_file(struct look *l, const char *path)
{
	char mode[11], time[64], target[4097];
	struct plyfs_error e;
	struct stat st;

	if (plyfs_lstat(l->image, path, &st, &e) < 0)
		return tool_fail(&e);
	if (l->all) {
		json_t *j = file_json(l, path, &st);

		print_xattrs(l, path, j);
		json_array_append_new(l->all, j);
		return 0;
	}
	mode_text(st.st_mode, mode);
	time_text(&st.st_mtim, time);
	tool_put_name(path);
	if (S_ISLNK(st.st_mode) &&
		plyfs_readlink(l->image, path, target, sizeof(target), NULL) == 0) {
		printf(" -> ");
		tool_put_name(target);
	}
	printf("\n  type   %s\n  mode   %04o (%s)\n  owner  %u:%u\n  size   %lld\n  links  %lu\n"
	       "  mtime  %s\n  inode  %lu\n",
		type_name(st.st_mode), st.st_mode & 07777, mode, st.st_uid, st.st_gid,
		(long long)st.st_size, (unsigned long)st.st_nlink, time, (unsigned long)st.st_ino);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		printf("  device %u:%u\n", major(st.st_rdev), minor(st.st_rdev));
	print_xattrs(l, path, NULL);
	return 0;
}

int cmd_stat(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	_cleanup_image_ struct plyfs_image *image = s ? tool_image(s, t->argv[0]) : NULL;
	struct look l = {.t = t, .image = image};
	int status = 0;

	if (!image)
		return 1;
	l.all = t->json ? json_array() : NULL;
	for (int i = 1; i < t->argc && status == 0; i++)
		status = stat_file(&l, t->argv[i]);
	if (status)
		json_decref(l.all);
	return status || !t->json ? status : tool_json(l.all);
}
