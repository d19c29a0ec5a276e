/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"
#include "control.h"
#include "supervisor.h"
#include "util/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct server {
	struct serve_config config;
	int channel;
	int config_fd, device, session_fd;
	int others[MESSAGE_FDS_MAX];
	size_t n_others;
	struct session *session;
	struct union_fs *u;
	struct fuse_server *fuse;
	struct control *control;
	_Atomic bool paused;
	sem_t resume;
};

static void tell(struct server *s, enum message_kind kind, const char *text)
{
	if (channel_send(s->channel, kind, text, NULL, 0) < 0)
		log_debug("the supervisor is dead"); /* watch() sees to that */
}

/* ---- beginning ---------------------------------------------------------------------------- */

static int open_session(struct server *s, struct err *e)
{
	int r;

	if (s->session_fd >= 0)
		return session_attach(s->session_fd, &s->session, e);
	r = session_new(&s->session, e);
	if (r == 0)
		s->session_fd = session_fd(s->session);
	return r;
}

static int take_start(struct server *s, struct err *e)
{
	_cleanup_message_ struct message m = {0};
	size_t n = 1;

	if (channel_receive(s->channel, &m) != 0 || m.kind != MESSAGE_START || m.n_fds < 1)
		return err_set(e, -EINVAL, "not started by a supervisor");
	s->config_fd = TAKE_FD(m.fds[0]);
	if (strcmp(m.text, "attach") == 0 && m.n_fds > 1)
		s->session_fd = TAKE_FD(m.fds[n++]);
	for (; n < m.n_fds; n++)
		s->others[s->n_others++] = TAKE_FD(m.fds[n]);
	return serve_config_from_fd(s->config_fd, &s->config, e);
}

static int take_go(struct server *s, struct err *e)
{
	_cleanup_message_ struct message m = {0};

	if (channel_receive(s->channel, &m) != 0 || m.kind != MESSAGE_GO || m.n_fds != 1)
		return err_set(e, -EINVAL, "the supervisor is dead");
	s->device = TAKE_FD(m.fds[0]);
	return 0;
}

static int build(struct server *s, const struct serve_ops *ops, struct err *e)
{
	bool made;
	int r = take_start(s, e);

	if (r < 0)
		return r;
	if (s->config.debug)
		log_level = LOG_DEBUG;
	made = s->session_fd < 0;
	r = open_session(s, e);
	if (r == 0)
		r = ops->open(&s->config, s->session, &s->u, e);
	if (r < 0)
		return r;
	r = channel_send(s->channel, MESSAGE_BUILT, NULL, &s->session_fd, made ? 1 : 0);
	if (r < 0)
		return err_sys(e, r, "the supervisor is dead");
	return take_go(s, e);
}

static int make_fuse(struct server *s, struct err *e)
{
	const struct fuse_options o = {
		.mode = s->config.mode,
		.writable = s->config.upper != NULL,
		.sync = s->config.sync,
		.threads = s->config.threads,
	};

	return fuse_server_new(s->device, s->session, s->u, &o, &s->fuse, e);
}

/* ---- the supervisor ----------------------------------------------------------------------- */

/* Another one, of our own program: it is given all there is. */
static int replace_supervisor(struct server *s)
{
	_cleanup_close_ int self = pidfd_open(getpid(), 0);
	int fds[MESSAGE_FDS_MAX] = {s->config_fd, s->device, s->session_fd, self}, channel, r;
	struct statx x = {0};
	char text[64];
	pid_t pid;

	if (self < 0)
		return -errno;
	r = channel_spawn("/proc/self/exe", SUPERVISOR_COMMAND, -1, &channel, &pid);
	if (r < 0)
		return r;
	if (statx(AT_FDCWD, s->config.dir, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_TYPE,
		    &x) < 0)
		log_debug("the mount cannot be seen");
	snprintf(text, sizeof(text), "%u", (unsigned int)makedev(x.stx_dev_major, x.stx_dev_minor));
	for (size_t i = 0; i < s->n_others; i++)
		fds[4 + i] = s->others[i];
	r = channel_send(channel, MESSAGE_ADOPT, text, fds, 4 + s->n_others);
	if (r < 0) {
		close(channel);
		return r;
	}
	close(s->channel);
	s->channel = channel;
	return 0;
}

static void go_on(struct server *s)
{
	if (atomic_exchange(&s->paused, false))
		sem_post(&s->resume);
}

static void *watch(void *ctx)
{
	struct server *s = ctx;

	for (;;) {
		_cleanup_message_ struct message m = {0};

		if (channel_receive(s->channel, &m) != 0) {
			int r = replace_supervisor(s);

			if (r < 0) {
				log_error("cannot start a supervisor: %s", err_text(r));
				sleep(1);
			} else {
				go_on(s);
			}
		} else if (m.kind == MESSAGE_STOP) {
			fuse_server_stop(s->fuse);
		} else if (m.kind == MESSAGE_GO) {
			go_on(s);
		} else if (m.kind == MESSAGE_EXIT && s->paused) {
			_exit(0); /* the session is the next one's: nothing is tidied up */
		}
	}
	return NULL;
}

/* ---- serving ------------------------------------------------------------------------------ */

static void on_ready(void *ctx)
{
	struct server *s = ctx;

	tell(s, MESSAGE_READY, fuse_server_can_resume(s->fuse) ? "resumes" : NULL);
}

static int listen_to_commits(struct server *s, struct err *e)
{
	if (!s->config.work)
		return 0;
	return control_start(s->fuse, s->config.work, s->config.dir, &s->control, e);
}

static int serve(struct server *s, struct err *e)
{
	int r = listen_to_commits(s, e);

	if (r < 0)
		return r;
	while ((r = fuse_server_run(s->fuse, on_ready, s, e)) == 1) {
		control_stop(TAKE_PTR(s->control)); /* the next server's, perhaps */
		s->paused = true;
		tell(s, MESSAGE_PAUSED, NULL);
		while (sem_wait(&s->resume) < 0)
			;
		r = listen_to_commits(s, e);
		if (r < 0)
			return r;
	}
	return r;
}

static void ignore_signals(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* supervisors that we started are nobody's zombies */
}

static int run(struct server *s, const struct serve_ops *ops, struct err *e)
{
	pthread_t watcher;
	int r = build(s, ops, e);

	if (r == 0)
		r = make_fuse(s, e);
	if (r < 0)
		return r;
	r = pthread_create(&watcher, NULL, watch, s);
	if (r != 0)
		return err_sys(e, -r, "cannot start a thread");
	return serve(s, e);
}

int server_main(const struct serve_ops *ops)
{
	static struct server s = {
		.channel = CHANNEL_FD, .config_fd = -1, .device = -1, .session_fd = -1};
	struct err e = {0};
	int r;

	ignore_signals();
	sem_init(&s.resume, 0, 0);
	if (fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) < 0 || chdir("/") < 0)
		return 1;
	r = run(&s, ops, &e);
	if (r < 0) {
		tell(&s, MESSAGE_FAILED, e.text);
		return 1;
	}
	control_stop(s.control);
	union_end(s.u);
	ops->close(s.u);
	tell(&s, MESSAGE_DONE, NULL);
	return 0;
}
