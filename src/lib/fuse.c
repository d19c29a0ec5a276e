/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE mounts: what is told to the supervisor, and the program that it runs. */
#include "lib.h"
#include "mount/mounts.h"
#include "mount/serve.h"
#include "util/log.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* How long a server may take to end after its file system is gone. */
#define END_MS 10000
/* The same, where it is not known whether it is gone. */
#define END_UNKNOWN_MS 3000

#define CONNECTIONS       "/sys/fs/fuse/connections"
#define CONNECTIONS_MAGIC 0x65735543 /* of "fusectl", statfs(2) */

/* Whether this process runs plyfs itself. A program that was replaced has a note behind its name.
 */
static bool own_program(char path[PATH_MAX])
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	const char *name;

	if (n < 0)
		return false;
	path[n] = 0;
	if ((size_t)n >= strlen(gone) && strcmp(path + n - strlen(gone), gone) == 0)
		path[(size_t)n - strlen(gone)] = 0;
	name = strrchr(path, '/');
	return name && strcmp(name, "/plyfs") == 0 && access(path, X_OK) == 0;
}

static bool search_path(char path[PATH_MAX])
{
	const char *p = getenv("PATH");

	while (p && *p) {
		int n = (int)strcspn(p, ":");

		snprintf(path, PATH_MAX, "%.*s/plyfs", n, p);
		if (n && *p == '/' && access(path, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

/* The program that serves: our own, the installed one, one in $PATH. From malloc. */
static int find_program(char **ret, struct err *e)
{
	char path[PATH_MAX];

	if (!own_program(path)) {
		snprintf(path, sizeof(path), "%s", PLYFS_PROGRAM);
		if (access(path, X_OK) < 0 && !search_path(path))
			return err_set(e, -ENOENT,
				"the program plyfs, which serves FUSE mounts, is not installed");
	}
	*ret = strdup(path);
	return *ret ? 0 : err_sys(e, -ENOMEM, "cannot mount");
}

int lib_fuse_start(
	struct serve_config *c, const char *dir, const int *others, size_t n_others, struct err *e)
{
	int r = find_program(&c->program, e);
	pid_t pid;

	if (r < 0)
		return r;
	c->dir = realpath(dir, NULL);
	if (!c->dir)
		return err_sys(e, -errno, "%s", dir);
	c->debug = log_level == LOG_DEBUG;
	return supervisor_start(c, others, n_others, c->debug ? STDERR_FILENO : -1, &pid, e);
}

/* ---- the end ------------------------------------------------------------------------------ */

/*
 * The kernel's list of FUSE file systems, as a directory; -1: it is not mounted here, and we may
 * not mount it (for ourselves, attached nowhere).
 */
static int open_connections(void)
{
	_cleanup_close_ int fd = open(CONNECTIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fs = -1;
	struct statfs st;

	if (fd >= 0 && fstatfs(fd, &st) == 0 && (unsigned long)st.f_type == CONNECTIONS_MAGIC)
		return TAKE_FD(fd);
	fs = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

/* Whether the file system is still there: mounted in another namespace, or busy. */
static bool connection_lives(int connections, uint64_t dev)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", minor(dev));
	return connections >= 0 && faccessat(connections, name, F_OK, 0) == 0;
}

/*
 * A file system that lives on elsewhere keeps its server, which is no failure. Who has no list of
 * them cannot tell that from a server that does not end.
 */
static int wait_for_server(const char *dir, bool known, struct err *e)
{
	int r = supervisor_wait(dir, known ? END_MS : END_UNKNOWN_MS, e);

	if (r != -ETIMEDOUT)
		return r;
	if (known)
		return err_set(
			e, -ERR_CONFLICT, "%s is unmounted, but its server has not ended", dir);
	log_debug("the server of %s goes on: it may be mounted in another namespace", dir);
	return 0;
}

int lib_fuse_umount(
	const struct lib_mount_list *l, const struct lib_mount *m, bool lazy, struct err *e)
{
	_cleanup_close_ int connections = -1;
	int r = mount_remove(m->dir, lazy, e);

	if (r < 0 || lazy)
		return r;
	connections = open_connections();
	if (connection_lives(connections, m->dev))
		return 0;
	for (size_t i = 0; i < l->n; i++)
		if (&l->v[i] != m && l->v[i].fuse && strcmp(l->v[i].dir, m->dir) == 0)
			return 0; /* processes are told by the directory: these go on */
	return wait_for_server(m->dir, connections >= 0, e);
}

static int restart(const char *dir, struct err *e)
{
	_cleanup_free_ char *real = realpath(dir, NULL);
	int r = real ? supervisor_upgrade(real, END_MS, e) : err_sys(e, -errno, "%s", dir);

	if (r == 1)
		return err_set(e, -EINVAL, "%s is no FUSE mount of plyfs", dir);
	if (r == -ETIMEDOUT)
		return err_set(e, -ERR_UNSUPPORTED,
			"%s is served as before: the installed program does not take it over", dir);
	return r;
}

PUBLIC int plyfs_restart(const char *dir, struct plyfs_error *error)
{
	struct err e = {0};
	int r = restart(dir, &e);

	return lib_error(r, &e, error);
}

PUBLIC int plyfs_fuse_command(const char *name)
{
	if (strcmp(name, SUPERVISOR_COMMAND) == 0)
		return supervisor_main();
	return strcmp(name, SERVER_COMMAND) == 0 ? server_main(&serve_union) : -1;
}
