/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"
#include "util/clock.h"
#include "util/log.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#define ARG(type)   (uint16_t)sizeof(struct type)
#define INIT_IN_MIN (uint16_t) offsetof(struct fuse_init_in, flags2)

static const struct fuse_op ops[WIRE_OPCODES] = {
	[FUSE_INIT] = {fuse_do_init, INIT_IN_MIN, 0},
	[FUSE_LOOKUP] = {fuse_do_lookup, 0, 0},
	[FUSE_FORGET] = {fuse_do_forget, ARG(fuse_forget_in), 0},
	[FUSE_BATCH_FORGET] = {fuse_do_batch_forget, ARG(fuse_batch_forget_in), 0},
	[FUSE_GETATTR] = {fuse_do_getattr, ARG(fuse_getattr_in), FUSE_OP_LOOKS},
	[FUSE_READLINK] = {fuse_do_readlink, 0, 0},
	[FUSE_GETXATTR] = {fuse_do_getxattr, ARG(fuse_getxattr_in), 0},
	[FUSE_LISTXATTR] = {fuse_do_listxattr, ARG(fuse_getxattr_in), 0},
	[FUSE_STATFS] = {fuse_do_statfs, 0, 0},
	[FUSE_READDIR] = {fuse_do_readdir, ARG(fuse_read_in), 0},
	[FUSE_READDIRPLUS] = {fuse_do_readdirplus, ARG(fuse_read_in), 0},
	[FUSE_SETATTR] = {fuse_do_setattr, ARG(fuse_setattr_in), FUSE_OP_CHANGES | FUSE_OP_CONTENT},
	[FUSE_MKNOD] = {fuse_do_mknod, ARG(fuse_mknod_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_MKDIR] = {fuse_do_mkdir, ARG(fuse_mkdir_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_SYMLINK] = {fuse_do_symlink, 0, FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_LINK] = {fuse_do_link, ARG(fuse_link_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_UNLINK] = {fuse_do_unlink, 0, FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_RMDIR] = {fuse_do_rmdir, 0, FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_RENAME] = {fuse_do_rename, ARG(fuse_rename_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_RENAME2] = {fuse_do_rename2, ARG(fuse_rename2_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_SETXATTR] = {fuse_do_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE,
		FUSE_OP_CHANGES | FUSE_OP_CONTENT},
	[FUSE_REMOVEXATTR] = {fuse_do_removexattr, 0, FUSE_OP_CHANGES | FUSE_OP_CONTENT},
	[FUSE_OPEN] = {fuse_do_open, ARG(fuse_open_in), FUSE_OP_LOOKS},
	[FUSE_CREATE] = {fuse_do_create, ARG(fuse_create_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_TMPFILE] = {fuse_do_tmpfile, ARG(fuse_create_in), FUSE_OP_CHANGES | FUSE_OP_NAMES},
	[FUSE_RELEASE] = {fuse_do_release, ARG(fuse_release_in), 0},
	[FUSE_OPENDIR] = {fuse_do_opendir, ARG(fuse_open_in), 0},
	[FUSE_RELEASEDIR] = {fuse_do_releasedir, ARG(fuse_release_in), 0},
	[FUSE_READ] = {fuse_do_read, ARG(fuse_read_in), 0},
	[FUSE_WRITE] = {fuse_do_write, ARG(fuse_write_in), FUSE_OP_CHANGES | FUSE_OP_CONTENT},
	[FUSE_FSYNC] = {fuse_do_fsync, ARG(fuse_fsync_in), 0},
	[FUSE_FSYNCDIR] = {fuse_do_fsync, ARG(fuse_fsync_in), 0},
	[FUSE_SYNCFS] = {fuse_do_syncfs, 0, 0},
	[FUSE_FALLOCATE] = {fuse_do_fallocate, ARG(fuse_fallocate_in),
		FUSE_OP_CHANGES | FUSE_OP_CONTENT},
	[FUSE_LSEEK] = {fuse_do_lseek, ARG(fuse_lseek_in), 0},
	[FUSE_COPY_FILE_RANGE] = {fuse_do_copy_file_range, ARG(fuse_copy_file_range_in),
		FUSE_OP_CHANGES | FUSE_OP_CONTENT},
	[FUSE_DESTROY] = {fuse_do_releasedir, 0, 0},
};

const struct fuse_op *fuse_op_of(uint32_t opcode)
{
	return opcode < WIRE_OPCODES && ops[opcode].run ? &ops[opcode] : NULL;
}

/* ---- one request -------------------------------------------------------------------------- */

static bool wants_reply(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET;
}

static int refusal(const struct fuse_request *q, const struct fuse_op *op)
{
	if (!op)
		return q->h->opcode == FUSE_IOCTL ? -ENOTTY : -ENOSYS;
	if (q->h->opcode != FUSE_INIT && q->f->agreed->done != FUSE_AGREED_DONE)
		return -EIO;
	if ((op->flags & FUSE_OP_CHANGES) && !q->f->options.writable)
		return -EROFS;
	return q->in.bad ? -EIO : 0;
}

static void run(struct fuse_request *q)
{
	const struct fuse_op *op = fuse_op_of(q->h->opcode);
	int r;

	q->arg = q->in.p;
	if (op)
		bytes_take(&q->in, op->arg_size);
	r = refusal(q, op);
	if (r == 0 && op->flags && fuse_holds_any(q->f))
		r = fuse_hold_check(q, op);
	if (r == 0)
		r = op->run(q);
	if (r < 0 && wants_reply(q->h->opcode))
		fuse_reply_error(q, r);
}

static void say_ready(struct fuse_server *f)
{
	if (!f->is_ready && !atomic_exchange(&f->is_ready, true) && f->ready)
		f->ready(f->ready_ctx);
}

void fuse_serve(struct fuse_worker *w, const void *p, size_t n)
{
	const struct fuse_in_header *h = p;
	struct fuse_request q = {.f = w->f, .w = w, .h = h};

	if (n < sizeof(*h) || h->len != n)
		return; /* no kernel says so, and there is nobody to answer */
	q.in = bytes_sub(bytes_of(p, n), sizeof(*h),
		n - sizeof(*h) - (size_t)h->total_extlen * 8); /* wrapped: bad */
	q.op = (struct union_op){
		.unique = h->unique & ~WIRE_UNIQUE_RESEND,
		.resent = h->unique & WIRE_UNIQUE_RESEND,
		.uid = h->uid,
		.gid = h->gid,
	};
	atomic_fetch_add(&w->busy, 1);
	run(&q);
	atomic_fetch_add(&w->busy, 1);
	say_ready(w->f);
}

/* ---- workers ------------------------------------------------------------------------------ */

static void end(struct fuse_server *f, int code)
{
	if (code < 0)
		f->failure = code;
	f->ended = true;
	sem_post(&f->wake);
}

static void *work(void *ctx)
{
	struct fuse_worker *w = ctx;
	struct fuse_server *f = w->f;
	uint64_t before, waited;

	if (unshare(CLONE_FS) < 0) /* the umask is per request */
		log_warn("a thread shares its umask: %s", err_text(-errno));
	while (!f->stop && !f->ended) {
		ssize_t n;

		before = clock_us();
		n = read(f->fd, w->in, FUSE_BUFFER_SIZE);
		waited = clock_us() - before;
		if (n > 0) {
			fuse_serve(w, w->in, (size_t)n);
			fuse_spin(f, waited);
		} else if (n == 0 || errno == ENODEV) {
			end(f, 0);
		} else if (errno != EINTR && errno != EAGAIN && errno != ENOENT) {
			end(f, -errno);
		}
	}
	w->ended = true;
	sem_post(&f->wake);
	return NULL;
}

static void interrupted(int signo)
{
	(void)signo;
}

/* A signal that comes just before read(2) is lost: so again, until all have noticed. */
static void wake_workers(struct fuse_server *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		while (!f->workers[i].ended) {
			pthread_kill(f->workers[i].thread, SIGUSR1);
			usleep(1000);
		}
}

static int start_workers(struct fuse_server *f, struct err *e)
{
	const struct sigaction act = {.sa_handler = interrupted};
	unsigned int n;
	int r = 0;

	sigaction(SIGUSR1, &act, NULL);
	f->ended = false;
	for (n = 0; n < f->n_workers && r == 0; n++) {
		f->workers[n].ended = false;
		r = pthread_create(&f->workers[n].thread, NULL, work, &f->workers[n]);
	}
	if (r == 0)
		return 0;
	f->stop = true;
	wake_workers(f, n - 1);
	for (unsigned int i = 0; i < n - 1; i++)
		pthread_join(f->workers[i].thread, NULL);
	return err_sys(e, -r, "cannot start a thread");
}

/* What the process before did not answer comes again. */
static int resume(struct fuse_server *f, struct err *e)
{
	int r;

	if (!session_is_attached(f->session))
		return 0;
	r = fuse_notify(f, WIRE_NOTIFY_RESEND, NULL, 0);
	if (r == -ENODEV) /* unmounted: the workers will be told so */
		return 0;
	if (r < 0)
		return err_sys(e, r, "the kernel does not send requests again (Linux 6.9 does)");
	if (f->agreed->done == FUSE_AGREED_DONE)
		say_ready(f);
	return 0;
}

int fuse_server_run(struct fuse_server *f, void (*ready)(void *ctx), void *ctx, struct err *e)
{
	bool again = f->is_ready;
	int r;

	f->ready = ready;
	f->ready_ctx = ctx;
	r = again ? 0 : resume(f, e);
	if (r == 0)
		r = start_workers(f, e);
	if (r < 0)
		return r;
	while (!f->stop && !f->ended)
		sem_wait(&f->wake);
	fuse_holds_drop(f);
	f->stop = true;
	wake_workers(f, f->n_workers);
	for (unsigned int i = 0; i < f->n_workers; i++)
		pthread_join(f->workers[i].thread, NULL);
	fuse_holds_drop(f);
	f->stop = false;
	if (f->failure < 0)
		return err_sys(e, f->failure, "cannot read the FUSE device");
	return f->ended ? 0 : 1;
}

void fuse_server_stop(struct fuse_server *f)
{
	f->stop = true;
	sem_post(&f->wake);
}

bool fuse_server_can_resume(const struct fuse_server *f)
{
	return f->agreed->flags & WIRE_HAS_RESEND;
}

/* ---- setting up --------------------------------------------------------------------------- */

static unsigned int choose_threads(const struct fuse_options *o)
{
	long n = o->threads ? (long)o->threads : sysconf(_SC_NPROCESSORS_ONLN);

	if (o->threads)
		return o->threads < 64 ? o->threads : 64;
	return n < 2 ? 2 : n > 8 ? 8 : (unsigned int)n;
}

static uint8_t *buffer_new(void)
{
	void *p = mmap(NULL, FUSE_BUFFER_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The last one has no thread: it lends its buffer to what had been put aside. */
static int make_workers(struct fuse_server *f)
{
	f->workers = calloc(f->n_workers + 1, sizeof(*f->workers));
	if (!f->workers)
		return -ENOMEM;
	for (unsigned int i = 0; i <= f->n_workers; i++) {
		struct fuse_worker *w = &f->workers[i];

		w->f = f;
		w->out = buffer_new();
		w->in = i < f->n_workers ? buffer_new() : NULL;
		if (!w->out || (!w->in && i < f->n_workers))
			return -ENOMEM;
	}
	return fuse_times_new(&f->times);
}

static int check_agreed(struct fuse_server *f, struct err *e)
{
	const struct fuse_agreed *a = f->agreed;

	if (a->done != FUSE_AGREED_DONE)
		return 0;
	if (a->mode != (uint32_t)f->options.mode || a->writable != f->options.writable)
		return err_set(e, -ERR_CONFLICT, "this mount was begun with other options");
	f->no_backing = !(a->flags & WIRE_PASSTHROUGH);
	return 0;
}

int fuse_server_new(int fd, struct session *s, struct union_fs *u, const struct fuse_options *o,
	struct fuse_server **ret, struct err *e)
{
	_cleanup_(fuse_server_freep) struct fuse_server *f = calloc(1, sizeof(*f));
	int r;

	_Static_assert(sizeof(struct fuse_agreed) <= SESSION_TRANSPORT_SIZE, "fits");
	if (!f)
		return err_sys(e, -ENOMEM, "cannot start a server");
	f->fd = fd;
	f->session = s;
	f->u = u;
	f->options = *o;
	f->agreed = session_transport(s);
	f->n_workers = choose_threads(o);
	fuse_spin_init(&f->spin);
	pthread_mutex_init(&f->opens, NULL);
	sem_init(&f->wake, 0, 0);
	r = fuse_holds_new(f);
	if (r == 0)
		r = make_workers(f);
	if (r < 0)
		return err_sys(e, r, "cannot start a server");
	r = check_agreed(f, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(f);
	return 0;
}

void fuse_server_free(struct fuse_server *f)
{
	if (!f)
		return;
	for (unsigned int i = 0; f->workers && i <= f->n_workers; i++) {
		if (f->workers[i].in)
			munmap(f->workers[i].in, FUSE_BUFFER_SIZE);
		if (f->workers[i].out)
			munmap(f->workers[i].out, FUSE_BUFFER_SIZE);
	}
	fuse_spin_done(&f->spin);
	fuse_holds_free(f);
	fuse_times_free(f->times);
	free(f->workers);
	sem_destroy(&f->wake);
	pthread_mutex_destroy(&f->opens);
	free(f);
}
