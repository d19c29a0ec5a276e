/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol without a kernel: the device is a socket of packets, and the test is the other end.
 * Answers are looked at byte by byte; then come requests that no kernel sends: cut short, too long,
 * with names that do not end, and at random.
 */
#include "fuse-wire.h"
#include "serve-config.h"
#include "test-union.h"
#include "util/buf.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

static int kernel; /* our end */
static struct union_fs *tree;
static _Atomic int readies;

static union {
	struct fuse_out_header h;
	uint8_t bytes[1 << 21];
} reply;
#define BODY (reply.bytes + sizeof(struct fuse_out_header))

static struct request {
	struct fuse_in_header h;
	uint8_t body[4000];
} q;

static void send_request(uint32_t opcode, uint64_t node, const void *arg, size_t n)
{
	static uint64_t unique = 2;

	CHECK(n <= sizeof(q.body));
	q.h = (struct fuse_in_header){.len = (uint32_t)(sizeof(q.h) + n),
		.opcode = opcode,
		.unique = unique += 2,
		.nodeid = node};
	if (n)
		memcpy(q.body, arg, n);
	CHECK(send(kernel, &q, q.h.len, 0) == (ssize_t)q.h.len);
}

/* The size of the answer's body, or its error. */
static int64_t receive(void)
{
	ssize_t n = recv(kernel, &reply, sizeof(reply), 0);

	CHECK(n >= (ssize_t)sizeof(reply.h) && reply.h.len == n && reply.h.unique == q.h.unique);
	CHECK(reply.h.error > -512 && reply.h.error <= 0);
	CHECK(reply.h.error == 0 || n == sizeof(reply.h));
	return reply.h.error ? reply.h.error : n - (ssize_t)sizeof(reply.h);
}

static int64_t ask(uint32_t opcode, uint64_t node, const void *arg, size_t n)
{
	send_request(opcode, node, arg, n);
	return receive();
}

static void ready(void *ctx _unused_)
{
	readies++;
}

static void *serve(void *ctx)
{
	struct err e = {0};
	int r = fuse_server_run(ctx, ready, NULL, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r >= 0);
	return (void *)(intptr_t)r;
}

struct running {
	struct fuse_server *f;
	pthread_t thread;
	int device;
};

static struct running start(struct session *s, const struct fuse_options *o)
{
	struct running x;
	int v[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, v) == 0);
	kernel = v[0];
	x.device = v[1];
	for (int i = 0; i < 2; i++) {
		int size = 4 << 20;

		CHECK(setsockopt(v[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0 ||
			geteuid() != 0);
	}
	CHECK(fuse_server_new(x.device, s, tree, o, &x.f, NULL) == 0);
	CHECK(pthread_create(&x.thread, NULL, serve, x.f) == 0);
	return x;
}

static void finish(struct running *x, intptr_t want)
{
	void *r;

	CHECK(pthread_join(x->thread, &r) == 0 && (intptr_t)r == want);
	fuse_server_free(x->f);
	close(x->device);
}

/* ---- what a kernel asks ------------------------------------------------------------------- */

static void test_init(bool writable, bool passthrough)
{
	struct fuse_init_in in = {.major = 8, .minor = 45, .max_readahead = 131072};
	struct wire_init_out *out = (void *)BODY;
	struct fuse_getattr_in g = {0};
	uint64_t flags;

	CHECK(ask(FUSE_GETATTR, 1, &g, sizeof(g)) == -EIO); /* not before INIT */
	CHECK(ask(FUSE_INIT, 0, &in, sizeof(in)) == sizeof(*out) && out->major == 7);
	in.major = 6;
	CHECK(ask(FUSE_INIT, 0, &in, sizeof(in)) == -EPROTO);
	in.major = 7;
	in.flags = in.flags2 = UINT32_MAX;
	CHECK(ask(FUSE_INIT, 0, &in, 16) == -EINVAL); /* says flags2, and has none */
	CHECK(ask(FUSE_INIT, 0, &in, sizeof(in)) == sizeof(*out));
	CHECK(out->major == 7 && out->minor == 40 && out->max_write == 1 << 20);
	CHECK(out->max_pages == 256 && out->time_gran == 1 && out->max_readahead == 131072);
	flags = out->flags | (uint64_t)out->flags2 << 32;
	CHECK(!(flags & (FUSE_ATOMIC_O_TRUNC | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS |
				FUSE_EXPORT_SUPPORT | FUSE_SECURITY_CTX)));
	CHECK((flags & FUSE_POSIX_ACL) && (flags & FUSE_DONT_MASK) && (flags & WIRE_HAS_RESEND));
	CHECK(!(flags & FUSE_WRITEBACK_CACHE) == !(writable && !passthrough));
	CHECK(!(flags & WIRE_PASSTHROUGH) == !passthrough);
	CHECK(out->max_stack_depth == passthrough);
}

static void test_looks(void)
{
	struct fuse_entry_out *e = (void *)BODY;
	struct fuse_attr_out *a = (void *)BODY;
	struct fuse_getattr_in g = {0};
	struct fuse_getxattr_in x[2] = {{.size = 0}};
	uint64_t before = tree->forgotten;
	struct {
		struct fuse_batch_forget_in in;
		struct fuse_forget_one v[2];
	} b = {{3, 0}, {{2, 5}, {3, 7}}}; /* one more than there are */

	CHECK(ask(FUSE_LOOKUP, 1, "f2", 3) == sizeof(*e) && e->nodeid == TU_F0 + 2);
	CHECK(e->attr.size == TU_SIZE && e->attr.mode == 0100644 && e->entry_valid > 1u << 30);
	CHECK(ask(FUSE_LOOKUP, 1, "none", 5) == sizeof(*e) && e->nodeid == 0 && e->entry_valid);
	CHECK(ask(FUSE_LOOKUP, 1, "f2", 2) == -EINVAL && ask(FUSE_LOOKUP, 1, "", 1) == -EINVAL);
	CHECK(ask(FUSE_LOOKUP, 1, "a/b", 4) == -EINVAL && ask(FUSE_LOOKUP, 1, "..", 3) == -EINVAL);
	CHECK(ask(FUSE_GETATTR, TU_DIR, &g, sizeof(g)) == sizeof(*a) && a->attr.mode == 040755);
	CHECK(ask(FUSE_GETATTR, 99, &g, sizeof(g)) == -ESTALE);
	CHECK(ask(FUSE_GETATTR, 1, &g, sizeof(g) - 1) == -EIO);
	CHECK(ask(FUSE_READLINK, TU_LINK, NULL, 0) == 2 && memcmp(BODY, "f0", 2) == 0);
	CHECK(ask(FUSE_LISTXATTR, 1, x, 8) == 8 && ((uint32_t *)BODY)[0] == 9);
	x[0].size = 8;
	CHECK(ask(FUSE_LISTXATTR, 1, x, 8) == -ERANGE);
	x[0].size = UINT32_MAX;
	memcpy(&x[1], "user.no", 8);
	CHECK(ask(FUSE_GETXATTR, 1, x, 16) == -ENODATA);
	CHECK(ask(FUSE_STATFS, 1, NULL, 0) == sizeof(struct fuse_statfs_out));
	send_request(FUSE_BATCH_FORGET, 0, &b, sizeof(b)); /* no answer */
	send_request(FUSE_FORGET, 2, &(struct fuse_forget_in){1}, 8);
	CHECK(ask(FUSE_POLL, 1, NULL, 0) == -ENOSYS && ask(FUSE_IOCTL, 1, NULL, 0) == -ENOTTY);
	CHECK(ask(WIRE_STATX, 1, NULL, 0) == -ENOSYS && ask(4000000000u, 1, NULL, 0) == -ENOSYS);
	while (tree->forgotten != before + 13)
		usleep(1000);
}

/* Reads the root in replies of `size` bytes; each record must be whole, padded, and in order. */
static void test_readdir(uint32_t opcode, uint32_t size)
{
	const size_t skip = opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;
	struct fuse_read_in in = {.size = size};
	uint64_t seen = 0;
	int64_t n;

	while ((n = ask(opcode, 1, &in, sizeof(in))) > 0) {
		CHECK(n <= size && n % 8 == 0);
		for (int64_t at = 0; at < n;) {
			struct fuse_dirent *d = (void *)(BODY + at + skip);
			uint64_t i = seen++;

			CHECK(i < TU_END && d->off == i + 1);
			CHECK(i < 2 || (d->namelen == strlen(tu_names[i]) &&
					       memcmp(d->name, tu_names[i], d->namelen) == 0));
			if (skip)
				CHECK(((struct fuse_entry_out *)(BODY + at))->nodeid ==
					(i < 2 ? 0 : i));
			at += (int64_t)FUSE_REC_ALIGN(skip + FUSE_NAME_OFFSET + d->namelen);
			in.offset = d->off;
		}
	}
	CHECK(n == 0 && seen == TU_END);
}

static void test_reads(void)
{
	static const uint64_t offs[] = {
		0, 1, 4095, TU_SIZE - 5000, TU_SIZE - 1, TU_SIZE, 1ull << 62};
	static const uint32_t sizes[] = {0, 1, 4096, 100000, 1 << 20, UINT32_MAX};

	for (uint64_t node = TU_F0; node <= TU_F3; node++)
		for (size_t i = 0; i < 7 * 6; i++) {
			struct fuse_read_in in = {.offset = offs[i % 7], .size = sizes[i / 7]};
			int64_t n = ask(FUSE_READ, node, &in, sizeof(in));
			size_t left = in.offset < TU_SIZE ? TU_SIZE - in.offset : 0;
			size_t room = in.size < (1 << 20) + 4096 ? in.size : (1 << 20) + 4096;

			CHECK(n == (int64_t)(left < room ? left : room));
			for (int64_t k = 0; k < n; k++)
				CHECK(BODY[k] == tu_byte(node, in.offset + (uint64_t)k));
		}
}

static void test_read_only(void)
{
	struct fuse_open_in o = {.flags = O_RDWR};
	uint8_t zero[128] = {0};

	CHECK(ask(FUSE_UNLINK, 1, "w", 2) == -EROFS && ask(FUSE_WRITE, 6, zero, 41) == -EROFS);
	CHECK(ask(FUSE_MKDIR, 1, zero, 10) == -EROFS && ask(FUSE_SETATTR, 1, zero, 88) == -EROFS);
	CHECK(ask(FUSE_OPEN, TU_F0, &o, sizeof(o)) == -ENOSYS);
	CHECK(ask(FUSE_OPENDIR, 1, &o, sizeof(o)) == -ENOSYS);
	CHECK(ask(FUSE_FLUSH, 1, zero, 24) == -ENOSYS && ask(FUSE_ACCESS, 1, zero, 8) == -ENOSYS);
	CHECK(ask(FUSE_FSYNC, 2, zero, 16) == -ENOSYS);
}

static void test_writes(void)
{
	struct {
		struct fuse_write_in in;
		uint8_t data[100];
	} w = {{.size = 100, .offset = 50}, {1, 2, 3}};
	struct fuse_read_in r = {.size = 4096};
	struct {
		struct fuse_setxattr_in in;
		char text[16];
	} x = {{.size = 3}, "user.a\0abc"};

	CHECK(ask(FUSE_WRITE, TU_W, &w, sizeof(w.in) + 100) == sizeof(struct fuse_write_out));
	CHECK(((struct fuse_write_out *)BODY)->size == 100);
	CHECK(ask(FUSE_READ, TU_W, &r, sizeof(r)) == 150 && BODY[51] == 2 && BODY[49] == 0);
	CHECK(ask(FUSE_WRITE, TU_W, &w, sizeof(w.in) + 99) == -EINVAL);
	w.in.size = UINT32_MAX;
	CHECK(ask(FUSE_WRITE, TU_W, &w, sizeof(w.in) + 100) == -EINVAL);
	CHECK(ask(FUSE_SETXATTR, TU_W, &x, sizeof(x.in) + 10) == -ENOSPC);
	CHECK(ask(FUSE_SETXATTR, TU_W, &x, sizeof(x.in) + 9) == -EINVAL);
	CHECK(ask(FUSE_SETXATTR, TU_W, &x, 8) == -EINVAL &&
		ask(FUSE_SETXATTR, TU_W, &x, 7) == -EIO);
	CHECK(ask(FUSE_RENAME2, 1, "0123456789abcdefa\0b", 20) == -ENOSPC);
	CHECK(ask(FUSE_RENAME2, 1, "0123456789abcdefa\0b", 19) == -EINVAL);
	CHECK(ask(FUSE_SYMLINK, 1, "a\0/b/../c", 10) == -ENOSPC);
	CHECK(ask(FUSE_SYMLINK, 1, "a\0", 3) == -EINVAL && ask(FUSE_SYMLINK, 1, "a", 2) == -EINVAL);
}

/* ---- what none asks ----------------------------------------------------------------------- */

static bool answered_or_not(int ms)
{
	struct pollfd p = {kernel, POLLIN, 0};

	if (poll(&p, 1, ms) <= 0)
		return false;
	CHECK(recv(kernel, &reply, sizeof(reply), 0) >= (ssize_t)sizeof(reply.h));
	CHECK(reply.h.error > -512 && reply.h.error <= 0);
	return true;
}

static void fill_randomly(uint8_t *p, size_t n)
{
	static const uint64_t odd[] = {
		0, 1, 2, 6, 8, 255, 4096, UINT32_MAX, 1ull << 31, 1ull << 63};

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(rand() % 4 ? rand() % 3 * 'a' : rand());
	for (size_t i = 0; i + 8 <= n && rand() % 3; i += 8)
		memcpy(p + i, &odd[rand() % 10], 8);
}

/* Each request is followed by one that is in order: it must be answered, and the server live. */
static void test_random(unsigned int rounds)
{
	for (unsigned int i = 0; i < rounds; i++) {
		struct fuse_getattr_in g = {0};
		size_t n = (size_t)rand() % (rand() % 2 ? 200 : sizeof(q.body)), sent;

		fill_randomly(q.body, n);
		q.h = (struct fuse_in_header){.len = (uint32_t)(sizeof(q.h) + n),
			.opcode = (uint32_t)rand() % 56,
			.unique = (uint64_t)i * 2 + 1000000,
			.nodeid = (uint64_t)rand() % 10,
			.total_extlen = rand() % 4 ? 0 : (uint16_t)rand()};
		if (q.h.opcode == FUSE_INIT || q.h.opcode == FUSE_DESTROY)
			continue;
		sent = rand() % 10 ? q.h.len : (size_t)rand() % sizeof(q);
		CHECK(send(kernel, &q, sent ? sent : 1, 0) > 0);
		g.dummy = 0;
		send_request(FUSE_GETATTR, 1, &g, sizeof(g));
		while (answered_or_not(5000) && reply.h.unique != q.h.unique)
			;
		CHECK(reply.h.unique == q.h.unique && reply.h.error == 0);
	}
	while (answered_or_not(50))
		;
}

/* ---- ends and resumptions ----------------------------------------------------------------- */

static void test_resume(struct session *s, const struct fuse_options *o)
{
	struct fuse_options other = *o;
	struct session *again;
	struct fuse_server *f;
	struct running x;
	struct err e = {0};

	CHECK(session_attach(session_fd(s), &again, NULL) == 0);
	other.writable = !o->writable;
	CHECK(fuse_server_new(kernel, again, tree, &other, &f, &e) == -ERR_CONFLICT);
	readies = 0;
	x = start(again, o);
	CHECK(recv(kernel, &reply, sizeof(reply), 0) == sizeof(reply.h));
	CHECK(reply.h.unique == 0 && reply.h.error == WIRE_NOTIFY_RESEND);
	q.h = (struct fuse_in_header){.len = sizeof(q.h) + 3,
		.opcode = FUSE_LOOKUP,
		.unique = 77 | WIRE_UNIQUE_RESEND,
		.nodeid = 1};
	memcpy(q.body, "f1", 3);
	CHECK(send(kernel, &q, q.h.len, 0) == (ssize_t)q.h.len);
	CHECK(receive() == sizeof(struct fuse_entry_out) && readies == 1);
	fuse_server_stop(x.f);
	finish(&x, 1);
	close(kernel);
	session_close(again);
}

static void test_server(bool writable, bool passthrough)
{
	const struct fuse_options o = {.writable = writable,
		.threads = 3,
		.mode = passthrough ? FUSE_PASSTHROUGH_FILES : FUSE_CACHED};
	struct session *s;
	struct running x;
	int fd;

	CHECK(session_new(&s, NULL) == 0);
	fd = session_fd(s);
	CHECK(tu_open(s, NULL, &tree) == 0);
	tree->w = memfd_create("w", MFD_CLOEXEC);
	CHECK(tree->w >= 0);
	readies = 0;
	x = start(s, &o);
	test_init(writable, passthrough);
	CHECK(readies == 1);
	test_looks();
	for (uint32_t size = 200; size < 4000; size += 161) {
		test_readdir(FUSE_READDIR, size);
		test_readdir(FUSE_READDIRPLUS, size);
	}
	test_reads();
	if (writable)
		test_writes();
	else
		test_read_only();
	test_random(writable ? 20000 : 5000);
	close(kernel); /* as if unmounted */
	finish(&x, 0);
	test_resume(s, &o);
	tu_close(tree);
	session_close(s);
	close(fd);
}

/* ---- descriptions of mounts --------------------------------------------------------------- */

static void test_config(void)
{
	char dir[] = "/mnt/a=b\n", source[] = "", one[] = "/l1", two[] = "/l2,:\\";
	char *lowers[] = {one, two};
	const struct serve_config c = {.dir = dir,
		.source = source,
		.lowers = lowers,
		.n_lowers = 2,
		.upper = one,
		.work = two,
		.mode = FUSE_PASSTHROUGH_FILES,
		.squash_uid = true,
		.uid = UINT32_MAX,
		.block_copy = true};
	_cleanup_serve_config_ struct serve_config d = {0};
	_cleanup_buf_ struct buf b = {0}, again = {0};
	_cleanup_close_ int fd = -1;

	CHECK(serve_config_encode(&c, &b) == 0);
	CHECK(serve_config_to_fd(&c, &fd) == 0 && serve_config_from_fd(fd, &d, NULL) == 0);
	CHECK(serve_config_encode(&d, &again) == 0);
	CHECK(b.n == again.n && memcmp(b.p, again.p, b.n) == 0);
	CHECK(strcmp(d.dir, dir) == 0 && *d.source == 0 && d.n_lowers == 2 && !d.store);
	CHECK(strcmp(d.lowers[1], two) == 0 && d.uid == UINT32_MAX && d.squash_uid);
	CHECK(d.mode == FUSE_PASSTHROUGH_FILES && d.block_copy && !d.sync && !d.squash_gid);
	for (size_t n = 0; n < b.n; n++) {
		struct serve_config part = {0};
		_cleanup_free_ uint8_t *copy = malloc(n + 1);

		CHECK(copy);
		memcpy(copy, b.p, n);
		if (serve_config_decode(copy, n, &part, NULL) == 0)
			serve_config_done(&part);
		else
			CHECK(!part.dir && !part.lowers);
	}
#define BAD(text) \
	CHECK(serve_config_decode(text, sizeof(text), &(struct serve_config){0}, NULL) < 0)
	BAD("dir=/a\0source=b\0what=1");
	BAD("dir=/a\0source=b\0uid=1x");
	BAD("dir=/a\0source=b\0uid=4294967296");
	BAD("dir=/a\0source=b\0uid=-1");
	BAD("dir=/a\0source=b\0mode=2");
	BAD("dir=/a\0source=b\0upper=/c");
	BAD("dir=/a\0");
	BAD("dir");
}

int main(void)
{
	srand(1);
	test_config();
	test_server(false, false);
	test_server(true, false);
	test_server(true, true);
	return 0;
}
