/* SPDX-License-Identifier: Apache-2.0 */
#include "idmap.h"
#include "util/buf.h"
#include "util/io.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A child in a new user namespace, which waits for its end. */
struct child {
	pid_t pid;
};

static void child_done(struct child *c)
{
	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* In the child: only system calls. */
static void wait_in_namespace(int out)
{
	int code;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	code = unshare(CLONE_NEWUSER) < 0 ? errno : 0;
	if (write(out, &code, sizeof(code)) == sizeof(code) && !code)
		for (;;)
			pause();
	_exit(0);
}

static int child_new(struct child *ret, struct err *e)
{
	_cleanup_close_ int in = -1, out = -1;
	int ends[2], code = ECHILD;
	size_t n;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "cannot map ids");
	in = ends[0];
	out = ends[1];
	ret->pid = fork();
	if (ret->pid < 0)
		return err_sys(e, -errno, "cannot map ids");
	if (ret->pid == 0)
		wait_in_namespace(out);
	close(TAKE_FD(out));
	if (io_read(in, &code, sizeof(code), &n) < 0 || n != sizeof(code))
		code = ECHILD;
	return code ? err_sys(e, -code, "cannot make a user namespace") : 0;
}

/* The kernel's form: "layers' id, shown id, number", a line each (user_namespaces(7)). */
static int map_text(const struct id_map *m, struct buf *ret)
{
	int r = 0;

	if (!m || !m->n)
		return buf_addf(ret, "0 0 %u\n", UINT32_MAX);
	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = buf_addf(ret, "%u %u %u\n", m->v[i].host, m->v[i].shown, m->v[i].n);
	return r;
}

static int write_map(pid_t pid, const char *file, const struct id_map *m, struct err *e)
{
	_cleanup_(buf_done) struct buf text = {0};
	_cleanup_close_ int fd = -1;
	char path[64];
	int r = map_text(m, &text);

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	if (r == 0) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : io_write_full(fd, text.p, text.n);
	}
	return r < 0 ? err_sys(e, r, "cannot map ids (%s)", file) : 0;
}

/* As whom files can be made: the layers' root, or else their first. */
static uint32_t somebody(const struct id_map *m)
{
	if (!m || !m->n)
		return 0;
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].host == 0)
			return m->v[i].shown;
	return m->v[0].shown;
}

int idmap_new(
	const struct id_map *uids, const struct id_map *gids, struct idmap *ret, struct err *e)
{
	_cleanup_(child_done) struct child c = {0};
	char path[64];
	int fd, r = child_new(&c, e);

	if (r == 0)
		r = write_map(c.pid, "uid_map", uids, e);
	if (r == 0)
		r = write_map(c.pid, "gid_map", gids, e);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)c.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "cannot map ids");
	*ret = (struct idmap){.userns = fd, .uid = somebody(uids), .gid = somebody(gids)};
	return 0;
}

void idmap_done(struct idmap *m)
{
	close_fdp(&m->userns);
}

int idmap_apply(const struct idmap *m, int mnt, const char *what, struct err *e)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned int)m->userns};

	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &a, sizeof(a)) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(e, -ERR_UNSUPPORTED, "%s cannot show other owners here", what);
	return err_sys(e, -errno, "cannot map the ids of %s", what);
}
