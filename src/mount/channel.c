/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>

extern char **environ;

union fd_room {
	struct cmsghdr h;
	char room[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
};

void message_done(struct message *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->n_fds = 0;
}

int channel_send(
	int channel, enum message_kind kind, const char *text, const int *fds, size_t n_fds)
{
	char letter = (char)kind;
	struct iovec v[2] = {{&letter, 1}, {(void *)text, text ? strnlen(text, 1023) : 0}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	union fd_room c = {0};

	if (n_fds > MESSAGE_FDS_MAX)
		return -E2BIG;
	if (n_fds) {
		m.msg_control = &c;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&c.h), fds, sizeof(int) * n_fds);
	}
	while (sendmsg(channel, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int channel_receive(int channel, struct message *ret)
{
	struct iovec v[2] = {{&ret->kind, 1}, {ret->text, sizeof(ret->text) - 1}};
	union fd_room c = {0};
	struct msghdr m = {
		.msg_iov = v, .msg_iovlen = 2, .msg_control = &c, .msg_controllen = sizeof(c)};
	struct cmsghdr *h;
	ssize_t n;

	ret->n_fds = 0;
	while ((n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n < 0 && errno != ECONNRESET)
		return -errno;
	if (n <= 0)
		return 1;
	ret->text[n - 1] = 0;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
		ret->n_fds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret->fds, CMSG_DATA(h), ret->n_fds * sizeof(int));
	}
	return 0;
}

/* Descriptors 0 to 3 of the new process; `high` is above them, so that nothing is overwritten. */
static int set_actions(posix_spawn_file_actions_t *a, int log_fd, int high)
{
	int r = -posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDONLY, 0);

	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(a, log_fd < 0 ? 2 : log_fd, 2);
	if (r == 0)
		r = -posix_spawn_file_actions_addopen(a, 1, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(a, high, CHANNEL_FD);
	return r;
}

static int spawn(const char *program, const char *command, int log_fd, int high, pid_t *ret_pid)
{
	char *const argv[] = {(char *)"plyfs", (char *)command, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_setflags(
		&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	r = set_actions(&actions, log_fd, high);
	if (r == 0)
		r = -posix_spawn(ret_pid, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return r;
}

int channel_spawn(
	const char *program, const char *command, int log_fd, int *ret_channel, pid_t *ret_pid)
{
	_cleanup_close_ int ours = -1, theirs = -1, high = -1, high_log = -1;
	int s[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return -errno;
	ours = s[0];
	theirs = s[1];
	high = fcntl(theirs, F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
	if (high < 0)
		return -errno;
	if (log_fd >= 0) {
		high_log = fcntl(log_fd, F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
		if (high_log < 0)
			return -errno;
	}
	r = spawn(program, command, high_log, high, ret_pid);
	if (r < 0)
		return r;
	*ret_channel = TAKE_FD(ours);
	return 0;
}
