/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that come again: a process is killed at each step of each kind of change, that is before
 * and after each system call that changes something, and wherever the session has changed. The next
 * process gets the same request, `resent`. All must be as if it had been done once: the tree, what
 * was looked up before, what is left in the work directory, and what comes later.
 */
#include "test-union-image.h"

#include <linux/fs.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#define BIG       200000
#define MTIME     1000
#define KNOWN_MAX 256

static const struct union_op again = {.unique = 1, .resent = true};

/* ---- the files ------------------------------------------------------------------------------ */
/* d/{small,big,half,h2,e/deep}, dd/one, h; h and d/h2 are one file. */
static void put_files(struct tree *t)
{
	struct inode *d = put_dir(t, t->root, "d"), *h = put_inline(t, t->root, "h", 100);
	const struct xattr x = {"user.lower", (const uint8_t *)"v", 1};

	put_xattrs(t, put_inline(t, d, "small", 50), &x, 1);
	put_chunked(t, d, "big", BIG, 13, 1, 0);
	put_chunked(t, d, "half", BIG, 13, 1, 0);
	CHECK(tree_link(t, d, "h2", 2, h) == 0);
	put_inline(t, put_dir(t, d, "e"), "deep", 10);
	put_inline(t, put_dir(t, t->root, "dd"), "one", 1);
}

/* What the operations work on; looked up once for all. */
static uint64_t at_d, at_e, at_dd, at_new, at_sub, at_small, at_big, at_half, at_h, at_f, at_g;
static uint64_t at_orphan;

static void make_files(void)
{
	struct union_entry e;

	at_d = look_up(UNION_ROOT, "d");
	at_e = look_up(at_d, "e");
	at_dd = look_up(UNION_ROOT, "dd");
	at_small = look_up(at_d, "small");
	at_big = look_up(at_d, "big");
	at_half = look_up(at_d, "half");
	at_h = look_up(UNION_ROOT, "h");
	at_new = make_dir(UNION_ROOT, "new");
	at_sub = make_dir(at_new, "sub");
	at_f = make(at_new, "f");
	at_g = make(at_new, "g");
	at_orphan = make(at_new, "orphan");
	CHECK(union_link(u, &op, at_g, at_new, "g2", &e) == 0);
	CHECK(union_write(u, &op, at_f, "file f", 6, 0, false) == 0);
	CHECK(union_write(u, &op, at_half, "half", 4, 5000, false) == 0);
	CHECK(union_unlink(u, &op, at_new, "orphan") == 0);
	CHECK(union_symlink(u, &op, at_new, "link", "f", &e) == 0);
}

/* ---- all that can be seen ------------------------------------------------------------------- */
static bool known[KNOWN_MAX]; /* nodes that were looked up before the operation */

static void note_known(void)
{
	CHECK(session_nodes_end(session) <= KNOWN_MAX);
	for (uint32_t id = 0; id < KNOWN_MAX; id++)
		known[id] = session_node(session, id);
}

static size_t read_some(uint64_t node, uint8_t *p, size_t n, uint64_t off)
{
	struct union_read x = {0};
	size_t got = 0;

	CHECK(union_read(u, node, p, n, off, &x) == 0);
	if (x.kind == UNION_READ_FD) {
		const ssize_t k = pread(x.fd, p, x.size, (off_t)x.off);

		CHECK(k >= 0);
		got = (size_t)k;
	} else if (x.kind == UNION_READ_BUFFER) {
		got = x.size;
	}
	for (int i = 0; x.kind == UNION_READ_PIECES && i < x.pieces.n; i++) {
		memcpy(p + got, x.pieces.pieces[i].iov_base, x.pieces.pieces[i].iov_len);
		got += x.pieces.pieces[i].iov_len;
	}
	union_read_done(u, &x);
	return got;
}

static uint32_t sum_content(uint64_t node)
{
	static uint8_t p[65536];
	uint32_t sum = 1;
	uint64_t off = 0;
	size_t n;

	while ((n = read_some(node, p, sizeof(p), off))) {
		for (size_t i = 0; i < n; i++)
			sum = (sum ^ p[i]) * 0x01000193;
		off += n;
	}
	return sum;
}

/* Of times, the one that is set here: a directory's may change when what is copied up into it is
 * not finished. */
static void describe_file(struct buf *b, uint64_t node, const struct stat *st)
{
	struct union_at at = {u, node};
	char list[1024];
	size_t n;

	CHECK(buf_addf(b, " %o %u", st->st_mode, st->st_uid) == 0);
	if (!S_ISDIR(st->st_mode))
		CHECK(buf_addf(b, " nlink=%u size=%lld", (unsigned int)st->st_nlink,
			      (long long)st->st_size) == 0);
	if (st->st_mtim.tv_sec == MTIME)
		CHECK(buf_addf(b, " mtime=%d", MTIME) == 0);
	if (S_ISREG(st->st_mode))
		CHECK(buf_addf(b, " %08x", sum_content(node)) == 0);
	CHECK(union_listxattr(u, node, list, sizeof(list), &n) == 0);
	describe_xattrs(b, list, n, get_of_node, &at);
}

static void describe_below(struct lines *l, uint64_t dir, const char *path, bool ids)
{
	struct children c = list_all(u, dir, false, 100);

	for (size_t i = 2; i < c.n; i++) {
		struct union_entry e;
		struct buf b = {0};
		char p[PATH_MAX];

		snprintf(p, sizeof(p), "%s/%s", path, c.v[i].name);
		CHECK(union_lookup(u, dir, c.v[i].name, &e) == 0);
		CHECK(e.st.st_ino == c.v[i].ino && buf_addf(&b, "%s", p) == 0);
		describe_file(&b, e.node, &e.st);
		if (ids && e.node < KNOWN_MAX && known[e.node])
			CHECK(buf_addf(&b, " node %u", (unsigned int)e.node) == 0);
		lines_add(l, &b);
		if (S_ISDIR(e.st.st_mode))
			describe_below(l, e.node, p, ids);
	}
	free(c.v);
}

/* What is open, as it were: whether it has a name or not. */
static void describe_known(struct lines *l)
{
	for (uint32_t id = 2; id < KNOWN_MAX; id++) {
		struct buf b = {0};
		struct stat st;
		int r;

		if (!known[id])
			continue;
		r = union_getattr(u, id, &st);
		CHECK(r == 0 || r == -ESTALE);
		CHECK(buf_addf(&b, "node %u", id) == 0);
		/* What a directory shows that is gone is of no importance. */
		if (r < 0 || (S_ISDIR(st.st_mode) && st.st_nlink == 0))
			CHECK(buf_addf(&b, " is gone") == 0);
		else
			describe_file(&b, id, &st);
		lines_add(l, &b);
	}
}

static size_t count_in(int dirfd)
{
	_cleanup_(closedirp) DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	size_t n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void describe_work(struct lines *l)
{
	struct buf b = {0};

	CHECK(buf_addf(&b, "work: %zu half, %zu in the index, %zu whiteout, %zu orphans",
		      count_in(u->upper->blocks_fd), count_in(u->upper->index_fd),
		      count_in(u->upper->scratch_fd), count_in(u->upper->orphans_fd)) == 0);
	lines_add(l, &b);
}

/* ---- operations ----------------------------------------------------------------------------- */
static struct union_entry entry;
static struct stat now;

static int create(const struct union_op *o)
{
	return union_mknod(u, o, at_new, "x", S_IFREG | 0644, 0, &entry);
}
static int create_open(const struct union_op *o)
{
	int fd = -1, r = union_mknod(u, o, at_new, "x", S_IFREG | 0644, 0, &entry);

	if (r == 0)
		r = union_passthrough(u, o, entry.node, true, &fd);
	close_fdp(&fd);
	return r;
}
static int create_deep(const struct union_op *o)
{
	return union_mknod(u, o, at_e, "x", S_IFREG | 0644, 0, &entry);
}
static int create_fifo(const struct union_op *o)
{
	return union_mknod(u, o, at_e, "x", S_IFIFO | 0644, 0, &entry);
}
static int create_dir(const struct union_op *o)
{
	return union_mkdir(u, o, at_new, "x", 0755, &entry);
}
static int create_link(const struct union_op *o)
{
	return union_symlink(u, o, at_new, "x", "target", &entry);
}
static int create_nameless(const struct union_op *o)
{
	return union_tmpfile(u, o, at_new, 0644, &entry);
}
static int link_upper(const struct union_op *o)
{
	return union_link(u, o, at_f, at_new, "x", &entry);
}
static int link_lower(const struct union_op *o)
{
	return union_link(u, o, at_small, at_new, "x", &entry);
}
static int link_half(const struct union_op *o)
{
	return union_link(u, o, at_half, at_e, "x", &entry);
}
static int link_linked(const struct union_op *o)
{
	return union_link(u, o, at_h, at_e, "x", &entry);
}
static int unlink_upper(const struct union_op *o)
{
	return union_unlink(u, o, at_new, "f");
}
static int unlink_one(const struct union_op *o)
{
	return union_unlink(u, o, at_new, "g");
}
static int unlink_lower(const struct union_op *o)
{
	return union_unlink(u, o, at_d, "small");
}
static int unlink_half(const struct union_op *o)
{
	return union_unlink(u, o, at_d, "half");
}
static int unlink_linked(const struct union_op *o)
{
	return union_unlink(u, o, UNION_ROOT, "h");
}
static int remove_dir(const struct union_op *o)
{
	return union_rmdir(u, o, at_new, "sub");
}
static int remove_lower_dir(const struct union_op *o)
{
	return union_rmdir(u, o, UNION_ROOT, "dd");
}
static int rename_upper(const struct union_op *o)
{
	return union_rename(u, o, at_new, "f", at_new, "x", 0);
}
static int rename_away(const struct union_op *o)
{
	return union_rename(u, o, at_new, "g", at_e, "x", 0);
}
static int rename_over(const struct union_op *o)
{
	return union_rename(u, o, at_new, "f", at_new, "g", 0);
}
static int rename_over_lower(const struct union_op *o)
{
	return union_rename(u, o, at_new, "f", at_d, "small", 0);
}
static int rename_lower(const struct union_op *o)
{
	return union_rename(u, o, at_d, "small", at_new, "x", 0);
}
static int rename_lower_over(const struct union_op *o)
{
	return union_rename(u, o, at_d, "big", at_d, "half", 0);
}
static int rename_half(const struct union_op *o)
{
	return union_rename(u, o, at_d, "half", at_new, "f", 0);
}
static int rename_linked(const struct union_op *o)
{
	return union_rename(u, o, UNION_ROOT, "h", at_new, "x", 0);
}
static int rename_dir(const struct union_op *o)
{
	return union_rename(u, o, at_new, "sub", UNION_ROOT, "x", 0);
}
static int rename_lower_dir(const struct union_op *o)
{
	return union_rename(u, o, at_d, "e", at_new, "x", 0);
}
static int rename_dir_over(const struct union_op *o)
{
	return union_rename(u, o, at_d, "e", at_new, "sub", 0);
}
static int rename_dir_over_lower(const struct union_op *o)
{
	return union_rename(u, o, UNION_ROOT, "new", UNION_ROOT, "dd", 0);
}
static int exchange_upper(const struct union_op *o)
{
	return union_rename(u, o, at_new, "f", at_new, "g", RENAME_EXCHANGE);
}
static int exchange_lower(const struct union_op *o)
{
	return union_rename(u, o, at_d, "e", UNION_ROOT, "h", RENAME_EXCHANGE);
}

static int set(const struct union_op *o, uint64_t node, unsigned int what)
{
	const struct stat st = {
		.st_mode = 0640, .st_uid = 5, .st_size = 70001, .st_mtim = {MTIME, 0}};

	return union_setattr(u, o, node, &st, what, &now);
}
#define SET_SOME (UNION_SET_UID | UNION_SET_MTIME)
static int set_upper(const struct union_op *o)
{
	return set(o, at_f, SET_SOME | UNION_SET_MODE);
}
static int set_lower(const struct union_op *o)
{
	return set(o, at_small, SET_SOME);
}
static int set_big(const struct union_op *o)
{
	return set(o, at_big, UNION_SET_MODE);
}
static int set_linked(const struct union_op *o)
{
	return set(o, at_h, SET_SOME);
}
static int set_dir(const struct union_op *o)
{
	return set(o, at_e, SET_SOME);
}
static int cut_upper(const struct union_op *o)
{
	return set(o, at_f, UNION_SET_SIZE);
}
static int cut_lower(const struct union_op *o)
{
	return set(o, at_big, UNION_SET_SIZE);
}
static int cut_half(const struct union_op *o)
{
	return set(o, at_half, UNION_SET_SIZE);
}
static int add_xattr(const struct union_op *o)
{
	return union_setxattr(u, o, at_small, "user.x", "1", 1, XATTR_CREATE, false);
}
static int change_xattr(const struct union_op *o)
{
	return union_setxattr(u, o, at_small, "user.lower", "1", 1, XATTR_REPLACE, false);
}
static int remove_xattr(const struct union_op *o)
{
	return union_removexattr(u, o, at_small, "user.lower");
}
static int write_upper(const struct union_op *o)
{
	return union_write(u, o, at_f, "12345678", 8, 3, false);
}
static int write_lower(const struct union_op *o)
{
	return union_write(u, o, at_small, "12345678", 8, 3, false);
}
static int write_linked(const struct union_op *o)
{
	return union_write(u, o, at_h, "12345678", 8, 3, false);
}
static int write_big(const struct union_op *o)
{
	return union_write(u, o, at_big, "12345678", 8, 70000, false);
}
static int write_half(const struct union_op *o)
{
	static const uint8_t p[10000] = {1, 2, 3};

	return union_write(u, o, at_half, p, sizeof(p), 4000, false);
}
static int punch_half(const struct union_op *o)
{
	return union_fallocate(
		u, o, at_half, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 6000, 9000);
}
static int write_orphan(const struct union_op *o)
{
	return union_write(u, o, at_orphan, "12345678", 8, 3, false);
}
static int forget(const struct union_op *o)
{
	if (!o->resent) /* this is not answered, and so does not come again */
		union_forget(u, at_orphan, 1000);
	known[at_orphan] = false;
	return 0;
}

/* Before it. */
static void hide_lower(void)
{
	CHECK(union_unlink(u, &op, at_d, "small") == 0);
	CHECK(union_rename(u, &op, at_new, "g2", at_new, "f2", 0) == 0);
}
static void hide_big(void)
{
	CHECK(union_unlink(u, &op, at_d, "big") == 0);
}
static void empty_dir(void)
{
	CHECK(union_unlink(u, &op, at_dd, "one") == 0);
}
static void empty_lower_dirs(void)
{
	empty_dir();
	CHECK(union_unlink(u, &op, at_e, "deep") == 0);
}
static void remove_lower(void)
{
	empty_dir();
	CHECK(union_rmdir(u, &op, UNION_ROOT, "dd") == 0);
}
static int create_over(const struct union_op *o)
{
	return union_mknod(u, o, at_d, "small", S_IFREG | 0644, 0, &entry);
}
static int link_over(const struct union_op *o)
{
	return union_link(u, o, at_f, at_d, "small", &entry);
}
static int create_dir_over(const struct union_op *o)
{
	return union_mkdir(u, o, UNION_ROOT, "dd", 0755, &entry);
}
static int rename_dir_to_whiteout(const struct union_op *o)
{
	return union_rename(u, o, UNION_ROOT, "new", UNION_ROOT, "dd", 0);
}
static int rename_to_whiteout(const struct union_op *o)
{
	return union_rename(u, o, at_new, "f", at_d, "small", 0);
}

static const struct scene {
	const char *name;
	int (*run)(const struct union_op *o);
	void (*before)(void);
} scenes[] = {
#define S(f) \
	{ \
#f, f, NULL \
	}
#define B(f, b) \
	{ \
#f, f, b \
	}
	S(create),
	S(create_open),
	S(create_deep),
	S(create_fifo),
	S(create_dir),
	S(create_link),
	S(create_nameless),
	B(create_over, hide_lower),
	B(create_dir_over, remove_lower),
	S(link_upper),
	S(link_lower),
	S(link_half),
	S(link_linked),
	B(link_over, hide_lower),
	S(unlink_upper),
	S(unlink_one),
	S(unlink_lower),
	B(write_lower, hide_lower),
	B(write_big, hide_big),
	S(unlink_half),
	S(unlink_linked),
	S(remove_dir),
	B(remove_lower_dir, empty_dir),
	S(rename_upper),
	S(rename_away),
	S(rename_over),
	S(rename_over_lower),
	S(rename_lower),
	S(rename_lower_over),
	S(rename_half),
	S(rename_linked),
	S(rename_dir),
	S(rename_lower_dir),
	S(rename_dir_over),
	B(rename_dir_over_lower, empty_dir),
	B(rename_dir_over, empty_lower_dirs),
	B(rename_dir_to_whiteout, remove_lower),
	B(rename_to_whiteout, hide_lower),
	S(exchange_upper),
	S(exchange_lower),
	S(set_upper),
	S(set_lower),
	S(set_big),
	S(set_linked),
	S(set_dir),
	S(cut_upper),
	S(cut_lower),
	S(cut_half),
	S(add_xattr),
	S(change_xattr),
	S(remove_xattr),
	S(write_upper),
	S(write_lower),
	S(write_linked),
	S(write_big),
	S(write_half),
	S(punch_half),
	S(write_orphan),
	S(forget),
#undef S
#undef B
};

/* ---- steps ---------------------------------------------------------------------------------- */
/* A number for all that a later process finds in the session. */
static uint64_t sum_session(void)
{
	uint64_t sum = 1;

#define ADD(x) (sum = (sum ^ (uint64_t)(x)) * 0x100000001b3ull)
	for (uint32_t id = 1; id < session_nodes_end(session); id++) {
		const struct node_record *r = session_node(session, id);
		struct session_name n;
		uint64_t at = 0;

		if (!r)
			continue;
		ADD(id), ADD(r->lookups), ADD(r->upper_ino), ADD(r->lower_key), ADD(r->flags);
		ADD(r->lower), ADD(r->passthrough_opens);
		while (session_name_next(session, id, &at, &n) == 1)
			ADD(n.at), ADD(n.parent);
	}
#undef ADD
	return sum;
}

/* What changes nothing that a later process can see. */
static bool only_looks(const struct __ptrace_syscall_info *i)
{
	static const long looks[] = {SYS_newfstatat, SYS_fstat, SYS_close, SYS_getxattr,
		SYS_lgetxattr, SYS_fgetxattr, SYS_read, SYS_pread64, SYS_futex, SYS_fcntl,
		SYS_lseek, SYS_getdents64, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_brk,
		SYS_setfsuid, SYS_setfsgid, SYS_umask, SYS_prctl, SYS_statx, SYS_readlinkat,
		SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_madvise, SYS_sched_yield,
		SYS_fstatfs, 464 /* getxattrat */, 465 /* listxattrat */};

	/* What is in scratch/ goes before anybody looks; until it is moved. */
	if ((int)i->entry.args[0] == u->upper->scratch_fd && (long)i->entry.nr != SYS_renameat &&
		(long)i->entry.nr != SYS_renameat2 && (long)i->entry.nr != SYS_linkat)
		return true;
	if (i->entry.nr == SYS_openat)
		return !(i->entry.args[2] & O_CREAT);
	for (size_t k = 0; k < sizeof(looks) / sizeof(*looks); k++)
		if ((long)i->entry.nr == looks[k])
			return true;
	return false;
}

struct steps {
	pid_t pid;
	uint64_t sum; /* of the session at the last step */
	bool changes; /* the system call that it is in, or just left */
	bool left;
	bool bits; /* it may be followed by changes of a bitmap in shared memory */
};

/* Whether a kill here differs from one at the step before. */
static bool is_step(struct steps *s)
{
	struct __ptrace_syscall_info i;
	uint64_t sum = sum_session();
	bool step;

	CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, s->pid, sizeof(i), &i) > 0);
	if (i.op == PTRACE_SYSCALL_INFO_ENTRY) {
		step = sum != s->sum || (s->left && s->bits);
		s->changes = !only_looks(&i);
		s->bits = (long)i.entry.nr == SYS_pwritev || (long)i.entry.nr == SYS_pwrite64 ||
			  (long)i.entry.nr == SYS_fallocate;
		s->left = false;
	} else {
		step = s->changes;
		s->left = true;
	}
	s->sum = sum;
	return step;
}

/* Kills a process that does it at its step `number`. False: it has none such, and does it all. */
static bool run_and_kill(const struct scene *s, unsigned int number)
{
	struct steps steps = {.sum = sum_session()};
	int status;

	steps.pid = fork();
	CHECK(steps.pid >= 0);
	if (steps.pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(s->run(&op) == 0 ? 0 : 1);
	}
	CHECK(waitpid(steps.pid, &status, 0) == steps.pid && WIFSTOPPED(status));
	CHECK(ptrace(PTRACE_SETOPTIONS, steps.pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) ==
		0);
	for (unsigned int n = 0;; n += is_step(&steps)) {
		if (n > number) {
			CHECK(kill(steps.pid, SIGKILL) == 0);
			CHECK(waitpid(steps.pid, &status, 0) == steps.pid);
			CHECK(WIFSIGNALED(status));
			return true;
		}
		CHECK(ptrace(PTRACE_SYSCALL, steps.pid, 0, 0) == 0);
		CHECK(waitpid(steps.pid, &status, 0) == steps.pid);
		if (WIFEXITED(status)) {
			CHECK(WEXITSTATUS(status) == 0);
			return false;
		}
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
	}
}

/* ---- one kill ------------------------------------------------------------------------------- */
struct results {
	struct lines seen, anew; /* by a process that goes on, and by one after the unmounting */
};

static void set_up(const struct scene *s)
{
	begin();
	make_files();
	if (s->before)
		s->before();
	note_known();
}

/* What a killed process leaves, it leaves. */
static void replace(void)
{
	u->upper->whiteout = 0;
	restart();
}

static void look(struct lines *l)
{
	describe_below(l, UNION_ROOT, "", true);
	describe_known(l);
}

/* What comes where something has gone, or moved away, is not that. */
static void again_there(uint64_t dir, const char *name)
{
	struct union_entry e;
	int r = union_lookup(u, dir, name, &e);

	if (r == -ESTALE || r == 0)
		return;
	CHECK(r == 1);
	CHECK(union_mkdir(u, &op, dir, name, 0700, &e) == 0);
	CHECK(e.st.st_mode == (S_IFDIR | 0700) && !known[e.node]);
}

/* Inode numbers of what has gone come again. */
static void go_on(void)
{
	struct union_entry e;
	uint64_t dir;

	for (int i = 0; i < 3; i++) {
		char name[16], name2[16];

		snprintf(name, sizeof(name), "later%d", i);
		snprintf(name2, sizeof(name2), "link%d", i);
		CHECK(union_mknod(u, &op, UNION_ROOT, name, S_IFREG | 0600, 0, &e) == 0);
		CHECK(e.st.st_nlink == 1 && e.st.st_size == 0);
		CHECK(union_link(u, &op, e.node, UNION_ROOT, name2, &e) == 0);
		CHECK(e.st.st_nlink == 2);
	}
	again_there(at_new, "f");
	again_there(at_new, "g");
	again_there(at_new, "sub");
	again_there(at_d, "small");
	again_there(UNION_ROOT, "dd");
	dir = make_dir(UNION_ROOT, "later");
	make(dir, "in");
	CHECK(union_getattr(u, dir, &now) == 0 && now.st_nlink > 0);
}

/* Nobody knows anything any more. */
static void forget_all(void)
{
	for (uint32_t id = session_nodes_end(session); id-- > 2;)
		if (session_node(session, id))
			union_forget(u, id, 1000000);
	CHECK(count_records(session) == 1);
	CHECK(count_in(u->upper->orphans_fd) == 0);
}

static void finish(struct results *ret)
{
	look(&ret->seen);
	replace();
	go_on();
	forget_all();
	end();
	CHECK(session_new(&session, NULL) == 0);
	open_union();
	describe_below(&ret->anew, UNION_ROOT, "", false);
	describe_work(&ret->anew);
	end();
}

static void results_done(struct results *r)
{
	lines_done(&r->seen);
	lines_done(&r->anew);
}

/* As it is when nothing is killed. */
static void run_whole(const struct scene *s, struct results *ret)
{
	set_up(s);
	CHECK(s->run(&op) == 0);
	session_note_remove(session, op.unique);
	replace();
	finish(ret);
}

static bool run_killed(const struct scene *s, unsigned int number, struct results *want)
{
	struct results have = {0};
	bool killed;
	int r;

	set_up(s);
	killed = run_and_kill(s, number);
	replace();
	r = s->run(&again);
	if (r < 0)
		fprintf(stderr, "step %u: %s\n", number, err_text(r));
	CHECK(r == 0);
	session_note_remove(session, op.unique);
	finish(&have);
	lines_check_same(&want->seen, &have.seen);
	lines_check_same(&want->anew, &have.anew);
	results_done(&have);
	return killed;
}

int main(int argc, char **argv)
{
	if (geteuid() != 0)
		return 77; /* trusted xattrs */
	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	fill_image = put_files;
	block_copy = true;
	make_image();
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
		struct results want = {0};
		unsigned int n = 0;

		if (argc > 1 && !strstr(scenes[i].name, argv[1]))
			continue;
		run_whole(&scenes[i], &want);
		fprintf(stderr, "%s\n", scenes[i].name);
		while (run_killed(&scenes[i], n, &want))
			n++;
		fprintf(stderr, "%s: %u steps\n", scenes[i].name, n);
		results_done(&want);
	}
	store_close(store);
	free(image.diff_ids);
	shell("rm -rf %s", root);
	return 0;
}
