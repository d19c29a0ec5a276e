/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor.h"
#include "util/clock.h"
#include "util/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#define CONFIG_LINK "/memfd:plyfs-mount (deleted)"

static bool is_supervisor(int proc)
{
	char text[128];
	size_t n;
	_cleanup_close_ int fd = openat(proc, "cmdline", O_RDONLY | O_CLOEXEC);
	const char *command;

	if (fd < 0 || io_read(fd, text, sizeof(text) - 1, &n) < 0)
		return false;
	text[n] = 0;
	command = text + strlen(text) + 1;
	return command < text + n && strcmp(command, SUPERVISOR_COMMAND) == 0;
}

/* Whether the descriptor is the description of the mount on `dir`. */
static bool is_config_of(int fds, const char *name, const char *dir)
{
	_cleanup_serve_config_ struct serve_config c = {0};
	_cleanup_close_ int fd = -1;
	char link[64];
	ssize_t n = readlinkat(fds, name, link, sizeof(link) - 1);

	if (n < 0 || n != (ssize_t)strlen(CONFIG_LINK) || memcmp(link, CONFIG_LINK, (size_t)n) != 0)
		return false;
	fd = openat(fds, name, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && serve_config_from_fd(fd, &c, NULL) == 0 && strcmp(c.dir, dir) == 0;
}

static bool supervises(int all, const char *pid, const char *dir)
{
	_cleanup_close_ int proc = openat(all, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = NULL;
	struct dirent *e;
	int fds;

	if (proc < 0 || !is_supervisor(proc))
		return false;
	fds = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fds < 0)
		return false;
	d = fdopendir(fds);
	while (d && (e = readdir(d)))
		if (is_config_of(fds, e->d_name, dir))
			return true;
	if (!d)
		close(fds);
	return false;
}

int supervisor_find(const char *dir, pid_t *ret_pid, struct err *e)
{
	_cleanup_(closedirp) DIR *d = opendir("/proc");
	struct dirent *x;

	if (!d)
		return err_sys(e, -errno, "cannot read /proc");
	while ((x = readdir(d)))
		if (x->d_name[0] >= '1' && x->d_name[0] <= '9' &&
			supervises(dirfd(d), x->d_name, dir)) {
			*ret_pid = (pid_t)strtol(x->d_name, NULL, 10);
			return 0;
		}
	return 1;
}

/* 1 = there is none, or none any more. */
static int wait_for_end(const char *dir, int timeout_ms, bool upgrade, struct err *e)
{
	_cleanup_close_ int pidfd = -1;
	struct pollfd p = {.events = POLLIN};
	pid_t pid;
	int r = supervisor_find(dir, &pid, e);

	if (r != 0)
		return r;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? 1
				      : err_sys(e, -errno, "cannot watch process %ld", (long)pid);
	if (upgrade && pidfd_send_signal(pidfd, SIGHUP, NULL, 0) < 0)
		return err_sys(e, -errno, "cannot tell process %ld to upgrade", (long)pid);
	p.fd = pidfd;
	while ((r = poll(&p, 1, timeout_ms)) < 0)
		if (errno != EINTR)
			return err_sys(e, -errno, "cannot watch process %ld", (long)pid);
	return r ? 0 : err_sys(e, -ETIMEDOUT, "the server of %s does not end", dir);
}

int supervisor_wait(const char *dir, int timeout_ms, struct err *e)
{
	int64_t end = (int64_t)clock_ms() + timeout_ms;
	int r;

	while ((r = wait_for_end(dir, timeout_ms, false, e)) == 0)
		if ((timeout_ms = (int)(end - (int64_t)clock_ms())) < 0)
			timeout_ms = 0;
	return r < 0 ? r : 0;
}

int supervisor_upgrade(const char *dir, int timeout_ms, struct err *e)
{
	int64_t end = (int64_t)clock_ms() + timeout_ms;
	int r = wait_for_end(dir, timeout_ms, true, e);
	pid_t pid;

	if (r != 0)
		return r;
	while ((r = supervisor_find(dir, &pid, e)) == 1) {
		if ((int64_t)clock_ms() > end)
			return err_sys(e, -ETIMEDOUT, "the server of %s did not come back", dir);
		usleep(10000);
	}
	return r;
}
