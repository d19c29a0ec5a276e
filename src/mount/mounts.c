/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"
#include "util/array.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

extern char **environ;

/* mountinfo writes space, tab, newline and backslash in octal (proc(5)). */
static char *unescape(const char *s)
{
	size_t n = strlen(s);
	char *out = malloc(n + 1), *o = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 3 < n && s[i + 1] >= '0' && s[i + 1] <= '3') {
			*o++ = (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 |
				      (s[i + 3] - '0'));
			i += 3;
		} else {
			*o++ = s[i];
		}
	}
	*o = 0;
	return out;
}

/* Splits off the next field of a line; NULL at its end. */
static char *field(char **line)
{
	char *f;

	while ((f = strsep(line, " ")) && !*f)
		;
	return f;
}

static bool is_ours(const char *type)
{
	return strcmp(type, "erofs") == 0 || strcmp(type, "overlay") == 0 ||
	       strcmp(type, "fuse.plyfs") == 0;
}

static void entry_done(struct mount_entry *m)
{
	free(m->dir);
	free(m->type);
	free(m->source);
}

/* "36 35 98:0 /root /dir opts [tags] - type source super": 1 = of one of the types, 0 = not. */
static int parse_line(char *line, struct mount_entry *ret)
{
	char *dev = NULL, *dir = NULL, *f, *type, *source;
	unsigned int major, minor;

	for (int i = 0; i < 5; i++) {
		f = field(&line);
		if (i == 2)
			dev = f;
		dir = f;
	}
	while ((f = field(&line)) && strcmp(f, "-") != 0)
		;
	type = field(&line);
	source = field(&line);
	if (!dir || !source || !is_ours(type) || sscanf(dev, "%u:%u", &major, &minor) != 2)
		return 0;
	*ret = (struct mount_entry){
		.dir = unescape(dir),
		.type = strdup(type),
		.source = unescape(source),
		.dev = makedev(major, minor),
	};
	if (ret->dir && ret->type && ret->source)
		return 1;
	entry_done(ret);
	return -ENOMEM;
}

void mount_entries_free(struct mount_entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		entry_done(&v[i]);
	free(v);
}

static int add(char *line, struct mount_entry **v, size_t *n, size_t *room)
{
	int r = array_room(v, *n, room, sizeof(**v));

	if (r < 0)
		return r;
	r = parse_line(line, &(*v)[*n]);
	if (r == 1)
		(*n)++;
	return r < 0 ? r : 0;
}

int mount_entries(struct mount_entry **ret, size_t *ret_n, struct err *e)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mount_entry *v = NULL;
	size_t n = 0, room = 0, line_room = 0;
	int r = 0;

	if (!f)
		return err_sys(e, -errno, "cannot read /proc/self/mountinfo");
	while (r == 0 && getline(&line, &line_room, f) > 0) {
		line[strcspn(line, "\n")] = 0;
		r = add(line, &v, &n, &room);
	}
	if (r < 0) {
		mount_entries_free(v, n);
		return err_sys(e, r, "cannot read /proc/self/mountinfo");
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

/* What a user without root mounted is unmounted by the program that mounted it. */
static int remove_as_user(const char *dir, bool lazy)
{
	const char *argv[] = {"fusermount3", "-u", "-q", lazy ? "-z" : "--", dir, NULL};
	int r, status;
	pid_t pid;

	r = -posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
	if (r < 0)
		return -EPERM;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int mount_remove(const char *dir, bool lazy, struct err *e)
{
	int r = umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0 ? -errno : 0;

	if (r == -EPERM)
		r = remove_as_user(dir, lazy);
	return r < 0 ? err_sys(e, r, "cannot unmount %s", dir) : 0;
}
