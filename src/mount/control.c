/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"
#include "util/clock.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define CLIENTS_MAX 8
#define PACKET_MAX  4200

struct client {
	int fd; /* -1: free */
	char *path;
	uint64_t node; /* 0: holds nothing */
	time_t until;
};

struct control {
	struct fuse_server *f;
	int listener, stop;
	int work; /* where the socket is */
	char *dir;
	pthread_t thread;
	bool running;
	struct client clients[CLIENTS_MAX];
};

static time_t now(void)
{
	return (time_t)(clock_ms() / 1000);
}

static void let_go(struct control *c, struct client *x)
{
	if (x->node)
		fuse_server_unhold(c->f, x->node);
	x->node = 0;
	free(TAKE_PTR(x->path));
}

static void drop(struct control *c, struct client *x)
{
	let_go(c, x);
	close(TAKE_FD(x->fd));
}

/* ---- requests ----------------------------------------------------------------------------- */

static int hold(struct control *c, struct client *x, const char *path)
{
	int r;

	if (x->node)
		return -EBUSY;
	x->path = strdup(path);
	if (!x->path)
		return -ENOMEM;
	r = fuse_server_hold(c->f, path, &x->node);
	if (r < 0) {
		x->node = 0;
		free(TAKE_PTR(x->path));
		return r;
	}
	x->until = now() + CONTROL_HOLD_SECONDS;
	return 0;
}

static int handle(struct control *c, struct client *x, const char *request)
{
	if (strncmp(request, "hold ", 5) == 0)
		return hold(c, x, request + 5);
	if (strcmp(request, "flushed") == 0)
		return x->node ? fuse_server_hold_flushed(c->f, x->path, x->node) : -ESTALE;
	if (strcmp(request, "unhold") == 0) {
		if (!x->node)
			return -ESTALE;
		let_go(c, x);
		return 0;
	}
	return -EINVAL;
}

static void answer(struct control *c, struct client *x, const char *request)
{
	char text[PACKET_MAX];
	int r;

	if (strcmp(request, "where") == 0) {
		snprintf(text, sizeof(text), "ok %ld %s", (long)getpid(), c->dir);
	} else {
		r = handle(c, x, request);
		snprintf(text, sizeof(text), r < 0 ? "error %d" : "ok", -r);
	}
	if (send(x->fd, text, strlen(text) + 1, MSG_NOSIGNAL) < 0)
		drop(c, x);
}

static void serve_client(struct control *c, struct client *x)
{
	char text[PACKET_MAX];
	ssize_t n = recv(x->fd, text, sizeof(text), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || text[n - 1] != 0)
		drop(c, x);
	else
		answer(c, x, text);
}

static bool is_ours(int fd)
{
	struct ucred u;
	socklen_t n = sizeof(u);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) == 0 &&
	       (u.uid == 0 || u.uid == geteuid());
}

static void admit(struct control *c)
{
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 0; i < CLIENTS_MAX && is_ours(fd); i++)
		if (c->clients[i].fd < 0) {
			c->clients[i].fd = fd;
			return;
		}
	close(fd);
}

/* Milliseconds until the first hold must end; -1: there is none. */
static int end_old_holds(struct control *c)
{
	time_t t = now(), first = 0;

	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *x = &c->clients[i];

		if (x->node && x->until <= t) {
			log_warn("%s was held for too long", x->path);
			let_go(c, x);
		}
		if (x->node && (!first || x->until < first))
			first = x->until;
	}
	return first ? (int)(first - t) * 1000 : -1;
}

static void *listen_to_all(void *ctx)
{
	struct control *c = ctx;

	if (unshare(CLONE_FS) < 0) /* requests that waited are done here: fuse-internal.h */
		log_warn("a thread shares its umask: %s", err_text(-errno));
	for (;;) {
		struct pollfd p[2 + CLIENTS_MAX] = {{c->stop, POLLIN, 0}, {c->listener, POLLIN, 0}};

		for (int i = 0; i < CLIENTS_MAX; i++)
			p[2 + i] = (struct pollfd){c->clients[i].fd, POLLIN, 0};
		if (poll(p, 2 + CLIENTS_MAX, end_old_holds(c)) < 0)
			continue;
		if (p[0].revents)
			return NULL;
		for (int i = 0; i < CLIENTS_MAX; i++)
			if (p[2 + i].revents)
				serve_client(c, &c->clients[i]);
		if (p[1].revents)
			admit(c);
	}
}

/* ---- the socket --------------------------------------------------------------------------- */

/* Its path may be longer than an address has room for: so by way of the directory's descriptor. */
static void address_of(int work, struct sockaddr_un *a)
{
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/" CONTROL_NAME, work);
}

static int open_socket(const char *work, int *ret_dir, int *ret)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	_cleanup_close_ int dir = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (fd < 0 || dir < 0)
		return -errno;
	address_of(dir, &a);
	/* One that is there is of a server that is gone: only one has the upper directory. */
	if (unlinkat(dir, CONTROL_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, CLIENTS_MAX) < 0)
		return -errno;
	*ret_dir = TAKE_FD(dir);
	*ret = TAKE_FD(fd);
	return 0;
}

int control_start(struct fuse_server *f, const char *work, const char *dir, struct control **ret,
	struct err *e)
{
	_cleanup_(control_stopp) struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_sys(e, -ENOMEM, "cannot listen to commits");
	c->f = f;
	c->listener = c->work = -1;
	for (int i = 0; i < CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	c->stop = eventfd(0, EFD_CLOEXEC);
	c->dir = strdup(dir);
	if (c->stop < 0 || !c->dir)
		return err_sys(e, c->dir ? -errno : -ENOMEM, "cannot listen to commits");
	r = open_socket(work, &c->work, &c->listener);
	if (r == 0)
		r = -pthread_create(&c->thread, NULL, listen_to_all, c);
	if (r < 0)
		return err_sys(e, r, "cannot listen to commits in %s", work);
	c->running = true;
	*ret = TAKE_PTR(c);
	return 0;
}

void control_stop(struct control *c)
{
	uint64_t one = 1;

	if (!c)
		return;
	if (c->running && write(c->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(c->thread, NULL);
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd >= 0)
			drop(c, &c->clients[i]);
	if (c->listener >= 0)
		close(c->listener);
	if (c->work >= 0 && unlinkat(c->work, CONTROL_NAME, 0) < 0)
		log_debug("somebody has removed the socket of commits");
	if (c->work >= 0)
		close(c->work);
	if (c->stop >= 0)
		close(c->stop);
	free(c->dir);
	free(c);
}

/* ---- the client --------------------------------------------------------------------------- */

/* A server that has died is replaced in a moment. */
#define CONNECT_TRIES   20
#define CONNECT_WAIT_US 100000

struct control_client {
	int dir;  /* the work directory */
	int fd;   /* -1: the server is gone */
	int root; /* of the mount */
};

void control_close(struct control_client *c)
{
	if (!c)
		return;
	close_fdp(&c->dir);
	close_fdp(&c->fd);
	close_fdp(&c->root);
	free(c);
}

static int server_gone(struct control_client *c)
{
	if (c->fd >= 0)
		close(TAKE_FD(c->fd));
	return -ECONNRESET;
}

/*
 * Sends a request and waits for the answer; *ret is what is behind "ok ". -ECONNRESET: the server
 * is gone, and what it held.
 */
static int ask(struct control_client *c, const char *request, char ret[PACKET_MAX])
{
	char text[PACKET_MAX];
	ssize_t n;

	if (c->fd < 0 || send(c->fd, request, strlen(request) + 1, MSG_NOSIGNAL) < 0)
		return server_gone(c);
	while ((n = recv(c->fd, text, sizeof(text), 0)) < 0 && errno == EINTR)
		;
	if (n <= 0 || text[n - 1] != 0)
		return server_gone(c);
	if (strncmp(text, "error ", 6) == 0)
		return -(int)strtol(text + 6, NULL, 10);
	if (strncmp(text, "ok", 2) != 0)
		return -EPROTO;
	if (ret)
		snprintf(ret, PACKET_MAX, "%s", text[2] ? text + 3 : "");
	return 0;
}

/* The mount as the server sees it, which may not be where we would look. */
static int open_root(struct control_client *c)
{
	char text[PACKET_MAX], path[PACKET_MAX + 32], *dir;
	long pid;
	int r = ask(c, "where", text);

	if (r < 0)
		return r;
	pid = strtol(text, &dir, 10);
	if (pid <= 0 || *dir != ' ')
		return -EPROTO;
	snprintf(path, sizeof(path), "/proc/%ld/root%s", pid, dir + 1);
	close_fdp(&c->root);
	c->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->root < 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
		return server_gone(c);
	return c->root < 0 ? -errno : 0;
}

/* -ECONNRESET: there is no server now. */
static int connect_once(struct control_client *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	address_of(c->dir, &a);
	if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return open_root(c);
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ECONNRESET)
		return server_gone(c);
	return -errno;
}

static int connect_again(struct control_client *c)
{
	int r = -ECONNRESET;

	for (int i = 0; i < CONNECT_TRIES && r == -ECONNRESET; i++) {
		if (i > 0)
			usleep(CONNECT_WAIT_US);
		r = connect_once(c);
	}
	return r;
}

int control_connect(const char *work, struct control_client **ret, struct err *e)
{
	_cleanup_(control_closep) struct control_client *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return err_sys(e, -ENOMEM, "cannot ask the server");
	c->fd = c->root = -1;
	c->dir = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		r = -errno;
	if (r == 0)
		r = connect_again(c);
	if (r == -ECONNRESET)
		return 1;
	if (r < 0)
		return err_sys(e, r, "cannot ask the server of %s", work);
	*ret = TAKE_PTR(c);
	return 0;
}

int control_sync(struct control_client *c, struct err *e)
{
	return syncfs(c->root) < 0 ? err_sys(e, -errno, "cannot write the mount out") : 0;
}

/* Opened before it is held: open(2) asks for attributes. Not what somebody has mounted on it. */
static int open_file(struct control_client *c, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	long fd = syscall(SYS_openat2, c->root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* The three steps. -ECONNRESET: the server is gone; 1 = there is no such file. */
static int hold_file(struct control_client *c, const char *path, const char *request)
{
	_cleanup_close_ int fd = open_file(c, path);
	int r = fd < 0 ? fd : 0;

	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return 1;
	if (r == 0)
		r = ask(c, request, NULL);
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	r = fsync(fd) < 0 ? -errno : ask(c, "flushed", NULL);
	if (r == 0 || r == -ECONNRESET)
		return r;
	if (ask(c, "unhold", NULL) < 0)
		log_debug("the server has let %s go", path);
	return r == -ESTALE ? 1 : r;
}

int control_hold(struct control_client *c, const char *path, struct err *e)
{
	char request[PACKET_MAX];
	int r = strlen(path) > PACKET_MAX - 16 ? -ENAMETOOLONG : -ECONNRESET;

	snprintf(request, sizeof(request), "hold %s", path);
	for (int i = 0; i < CONNECT_TRIES && r == -ECONNRESET; i++) {
		r = c->fd < 0 ? connect_again(c) : 0;
		if (r == 0)
			r = hold_file(c, path, request);
	}
	return r < 0 ? err_sys(e, r, "cannot hold %s", path) : r;
}

int control_unhold(struct control_client *c, struct err *e)
{
	int r = ask(c, "unhold", NULL);

	if (r == -ECONNRESET)
		r = -ESTALE; /* the next server let the file change */
	return r < 0 ? err_sys(e, r, "the server did not hold a file long enough") : 0;
}
