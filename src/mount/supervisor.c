/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor.h"
#include "channel.h"
#include "fuse-mount.h"
#include "util/clock.h"
#include "util/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define DEATHS_MAX     10
#define DEATHS_SECONDS 10
#define OTHERS_MAX     8

struct server {
	int channel, pidfd; /* -1: there is none */
	bool ready, done, resumes;
};
#define NO_SERVER ((struct server){.channel = -1, .pidfd = -1})

struct supervisor {
	struct serve_config config;
	int config_fd, device, session;
	int others[OTHERS_MAX];
	size_t n_others;
	unsigned int mount_dev; /* st_dev of the mount: who else is mounted there is left alone */
	int starter;            /* -1: it has been told */
	int signals;
	struct server now, next; /* next: of an upgrade */
	bool wanted;             /* an upgrade, as soon as `now` is ready */
	bool upgrading;          /* `next` has the session; waiting for the end of `now` */
	time_t deaths[DEATHS_MAX];
	unsigned int n_deaths;
	int code; /* > 0: go on; else what supervisor_main returns is -code */
};

/* ---- what both ways to begin share -------------------------------------------------------- */

static void tell_starter(struct supervisor *s, enum message_kind kind, const char *text)
{
	if (s->starter < 0)
		return;
	if (channel_send(s->starter, kind, text, NULL, 0) < 0)
		log_debug("whoever wanted the mount has gone");
	close(TAKE_FD(s->starter));
}

static void server_forget(struct server *v)
{
	if (v->channel >= 0)
		close(v->channel);
	if (v->pidfd >= 0)
		close(v->pidfd);
	*v = NO_SERVER;
}

/* Where the mount is, without a message to a server that may be dead. */
static int device_at(const char *dir, unsigned int *ret)
{
	struct statx x;

	if (statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x) < 0)
		return -errno;
	*ret = (unsigned int)makedev(x.stx_dev_major, x.stx_dev_minor);
	return 0;
}

static void unmount(struct supervisor *s)
{
	struct err e = {0};
	unsigned int dev = 0;

	if (s->device < 0 || device_at(s->config.dir, &dev) < 0 || dev != s->mount_dev)
		return;
	if (fuse_unmount(s->config.dir, &e) < 0)
		log_error("%s", e.text);
}

/* Gives up: the connection is aborted when the last descriptor of the device is closed. */
static void give_up(struct supervisor *s, const char *why)
{
	if (s->starter < 0)
		log_error("%s: %s", s->config.dir, why);
	tell_starter(s, MESSAGE_FAILED, why);
	for (int i = 0; i < 2; i++) {
		struct server *v = i ? &s->next : &s->now;

		if (v->pidfd >= 0 && pidfd_send_signal(v->pidfd, SIGKILL, NULL, 0) < 0)
			log_debug("it is dead already");
	}
	unmount(s);
	s->code = -1;
}

/* ---- servers ------------------------------------------------------------------------------ */

static int server_start(struct supervisor *s, const char *program, struct server *ret)
{
	int fds[2 + OTHERS_MAX], r;
	struct server v = NO_SERVER;
	size_t n = 0;
	pid_t pid;

	r = channel_spawn(program, SERVER_COMMAND, -1, &v.channel, &pid);
	if (r < 0)
		return r;
	v.pidfd = pidfd_open(pid, 0);
	fds[n++] = s->config_fd;
	if (s->session >= 0)
		fds[n++] = s->session;
	for (size_t i = 0; i < s->n_others; i++)
		fds[n++] = s->others[i];
	r = v.pidfd < 0 ? -errno
			: channel_send(v.channel, MESSAGE_START, s->session >= 0 ? "attach" : "new",
				  fds, n);
	if (r < 0) {
		server_forget(&v);
		return r;
	}
	*ret = v;
	return 0;
}

static bool dies_too_often(struct supervisor *s)
{
	unsigned int i = s->n_deaths++ % DEATHS_MAX;
	time_t before = s->deaths[i], now = (time_t)(clock_ms() / 1000);

	s->deaths[i] = now;
	return s->n_deaths > DEATHS_MAX && now - before < DEATHS_SECONDS;
}

static void server_restart(struct supervisor *s)
{
	int r;

	do {
		if (dies_too_often(s)) {
			give_up(s, "the server died too often");
			return;
		}
		r = server_start(s, "/proc/self/exe", &s->now);
	} while (r == -EPIPE || r == -ECONNRESET); /* it died before it knew what to do */
	if (r < 0)
		give_up(s, err_text(r));
}

static int let_go(struct supervisor *s, struct server *v)
{
	return channel_send(v->channel, MESSAGE_GO, NULL, &s->device, 1);
}

/* The union is open: so now, and not before, there is something to mount. */
static void on_built(struct supervisor *s, struct server *v, struct message *m)
{
	const struct fuse_mount what = {s->config.dir, s->config.source, s->config.upper != NULL,
		s->config.allow_other, s->config.mount_flags};
	struct err e = {0};

	if (s->session < 0 && m->n_fds == 1)
		s->session = TAKE_FD(m->fds[0]);
	if (v == &s->next) {
		s->upgrading = true;
		if (channel_send(s->now.channel, MESSAGE_EXIT, NULL, NULL, 0) < 0)
			log_debug("the old server is dead already");
		return;
	}
	if (s->device < 0 && fuse_mount(&what, &s->device, &e) < 0) {
		give_up(s, e.text);
		return;
	}
	if (!s->mount_dev && device_at(s->config.dir, &s->mount_dev) < 0)
		log_debug("the mount cannot be seen");
	if (let_go(s, v) < 0)
		log_debug("the server is dead already"); /* and will be replaced */
}

static void upgrade(struct supervisor *s)
{
	s->wanted = !s->now.ready;
	if (s->now.ready && s->next.pidfd < 0 &&
		channel_send(s->now.channel, MESSAGE_STOP, NULL, NULL, 0) < 0)
		log_debug("the server is dead already");
}

static void on_ready(struct supervisor *s, struct server *v, const struct message *m)
{
	v->ready = true;
	v->resumes = strcmp(m->text, "resumes") == 0;
	tell_starter(s, MESSAGE_READY, NULL);
	if (s->wanted)
		upgrade(s);
}

static void on_failed(struct supervisor *s, struct server *v, const struct message *m)
{
	if (v == &s->next) {
		log_error("%s: not upgraded: %s", s->config.dir, m->text);
		return; /* its end is what on_death sees */
	}
	if (s->starter >= 0)
		give_up(s, m->text);
	else
		log_error("%s: %s", s->config.dir, m->text);
}

static void on_paused(struct supervisor *s)
{
	int r = server_start(s, s->config.program ? s->config.program : "/proc/self/exe", &s->next);

	if (r == 0)
		return;
	log_error("%s: not upgraded: %s", s->config.dir, err_text(r));
	if (channel_send(s->now.channel, MESSAGE_GO, NULL, NULL, 0) < 0)
		log_debug("the server is dead already");
}

static void on_message(struct supervisor *s, struct server *v)
{
	_cleanup_message_ struct message m = {0};

	if (channel_receive(v->channel, &m) != 0) {
		close(TAKE_FD(v->channel)); /* the rest is told by the pidfd */
		return;
	}
	switch (m.kind) {
	case MESSAGE_BUILT:
		on_built(s, v, &m);
		return;
	case MESSAGE_READY:
		on_ready(s, v, &m);
		return;
	case MESSAGE_FAILED:
		on_failed(s, v, &m);
		return;
	case MESSAGE_PAUSED:
		on_paused(s);
		return;
	case MESSAGE_DONE:
		v->done = true;
		return;
	}
}

/* The upgrade is done when the new server is let go: it starts a supervisor of its own version. */
static void hand_over(struct supervisor *s)
{
	s->now = s->next;
	s->next = NO_SERVER;
	s->upgrading = false;
	s->code = 0;
	if (let_go(s, &s->now) < 0)
		server_restart(s);
}

static void on_death(struct supervisor *s, struct server *v)
{
	struct server was = *v;

	(void)!waitid(P_PIDFD, (id_t)v->pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
	server_forget(v);
	if (v == &s->next) {
		s->upgrading = false;
		if (s->now.pidfd < 0)
			server_restart(s);
		else if (channel_send(s->now.channel, MESSAGE_GO, NULL, NULL, 0) < 0)
			log_debug("the server is dead already");
	} else if (s->upgrading) {
		hand_over(s);
	} else if (was.done) {
		s->code = 0;
	} else if (was.ready && !was.resumes) {
		give_up(s, "the server died, and this kernel does not send requests again");
	} else if (s->next.pidfd < 0) {
		server_restart(s);
	}
}

/* ---- the loop ----------------------------------------------------------------------------- */

static void on_signal(struct supervisor *s)
{
	struct signalfd_siginfo i;

	if (read(s->signals, &i, sizeof(i)) != sizeof(i))
		return;
	if (i.ssi_signo == SIGHUP)
		upgrade(s);
	else
		unmount(s);
}

static void wait_for_events(struct supervisor *s)
{
	struct pollfd p[] = {{s->signals, POLLIN, 0}, {s->now.channel, POLLIN, 0},
		{s->now.pidfd, POLLIN, 0}, {s->next.channel, POLLIN, 0}, {s->next.pidfd, POLLIN, 0},
		{s->starter, 0, 0}};

	if (poll(p, 6, -1) < 0)
		return;
	if (p[0].revents)
		on_signal(s);
	/* One at a time: each may change what the others are about. Messages before deaths. */
	if (p[1].revents)
		on_message(s, &s->now);
	else if (p[3].revents)
		on_message(s, &s->next);
	else if (p[2].revents)
		on_death(s, &s->now);
	else if (p[4].revents)
		on_death(s, &s->next);
	else if (p[5].revents)
		give_up(s, "whoever wanted the mount has gone");
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A new mount: START is from the starter. */
static int begin(struct supervisor *s, struct message *m)
{
	struct err e = {0};
	int r;

	if (m->n_fds < 1 || m->n_fds > 1 + OTHERS_MAX)
		return -EINVAL;
	s->starter = CHANNEL_FD;
	s->config_fd = TAKE_FD(m->fds[0]);
	s->n_others = m->n_fds - 1;
	for (size_t i = 0; i < s->n_others; i++)
		s->others[i] = TAKE_FD(m->fds[1 + i]);
	r = serve_config_from_fd(s->config_fd, &s->config, &e);
	if (r == 0)
		r = server_start(s, "/proc/self/exe", &s->now);
	if (r < 0)
		tell_starter(s, MESSAGE_FAILED, e.code ? e.text : err_text(r));
	return r;
}

/* The supervisor before has died: ADOPT is from the server. */
static int adopt(struct supervisor *s, struct message *m)
{
	struct err e = {0};

	if (m->n_fds < 4 || m->n_fds > 4 + OTHERS_MAX || sscanf(m->text, "%u", &s->mount_dev) != 1)
		return -EINVAL;
	s->config_fd = TAKE_FD(m->fds[0]);
	s->device = TAKE_FD(m->fds[1]);
	s->session = TAKE_FD(m->fds[2]);
	s->now = (struct server){CHANNEL_FD, TAKE_FD(m->fds[3]), true, false, true};
	s->n_others = m->n_fds - 4;
	for (size_t i = 0; i < s->n_others; i++)
		s->others[i] = TAKE_FD(m->fds[4 + i]);
	return serve_config_from_fd(s->config_fd, &s->config, &e);
}

int supervisor_main(void)
{
	static struct supervisor s = {.config_fd = -1,
		.device = -1,
		.session = -1,
		.starter = -1,
		.now = {-1, -1, false, false, false},
		.next = {-1, -1, false, false, false},
		.code = 1};
	_cleanup_message_ struct message m = {0};
	int r;

	if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) < 0 || chdir("/") < 0)
		return 1;
	s.signals = open_signals();
	if (s.signals < 0 || channel_receive(CHANNEL_FD, &m) != 0)
		return 1;
	r = m.kind == MESSAGE_ADOPT ? adopt(&s, &m) : begin(&s, &m);
	if (r < 0)
		return 1;
	if (s.config.debug)
		log_level = LOG_DEBUG;
	while (s.code > 0)
		wait_for_events(&s);
	return -s.code;
}

int supervisor_start(const struct serve_config *c, const int *others, size_t n_others, int log_fd,
	pid_t *ret_pid, struct err *e)
{
	_cleanup_close_ int config = -1, channel = -1, null = -1;
	_cleanup_message_ struct message m = {0};
	int fds[1 + OTHERS_MAX], r;
	pid_t pid;

	if (n_others > OTHERS_MAX)
		return err_sys(e, -E2BIG, "cannot start a server");
	null = log_fd < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
	r = serve_config_to_fd(c, &config);
	if (r == 0)
		r = channel_spawn(
			c->program, SUPERVISOR_COMMAND, log_fd < 0 ? null : log_fd, &channel, &pid);
	if (r < 0)
		return err_sys(e, r, "cannot start %s", c->program);
	fds[0] = config;
	for (size_t i = 0; i < n_others; i++)
		fds[1 + i] = others[i];
	r = channel_send(channel, MESSAGE_START, NULL, fds, 1 + n_others);
	if (r == 0)
		r = channel_receive(channel, &m);
	if (r != 0)
		return err_set(e, -EIO, "the process that was to mount on %s died", c->dir);
	if (m.kind != MESSAGE_READY)
		return err_set(e, -EIO, "%s", m.text);
	if (ret_pid)
		*ret_pid = pid;
	return 0;
}
