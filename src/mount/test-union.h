/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A union for tests of the transport: all of fs/union.h, over a tree that is the same in each
 * process: the files f0 to f3 of 3 MiB (read as pieces, by descriptor, as a buffer, and mixed),
 * "w", which is kept in a file on disk, "link", and "d", an empty directory. The root's xattr
 * user.pid tells which process answers.
 */
#pragma once

#include "fs/union.h"
#include "util/io.h"
#include "util/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

#define TU_SIZE ((size_t)3 << 20)
enum { TU_F0 = 2, TU_F3 = 5, TU_W = 6, TU_LINK = 7, TU_DIR = 8, TU_END };

static const char *const tu_names[TU_END] = {[TU_F0] = "f0", "f1", "f2", "f3", "w", "link", "d"};

struct union_fs {
	struct session *session;
	int content; /* of f0 to f3, one behind the other */
	uint8_t *map;
	int w;
	_Atomic uint64_t forgotten, looked_up, calls;
	_Atomic uint64_t held;
};

static uint8_t tu_byte(uint64_t node, uint64_t off)
{
	return (uint8_t)(off * 7 + (off >> 12) + node * 31);
}

static int tu_open(struct session *s, const char *w, struct union_fs **ret)
{
	struct union_fs *u = calloc(1, sizeof(*u));

	CHECK(u);
	u->session = s;
	u->content = memfd_create("content", MFD_CLOEXEC);
	CHECK(u->content >= 0 && ftruncate(u->content, (off_t)(4 * TU_SIZE)) == 0);
	u->map = mmap(NULL, 4 * TU_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, u->content, 0);
	CHECK(u->map != MAP_FAILED);
	for (uint64_t node = TU_F0; node <= TU_F3; node++)
		for (size_t i = 0; i < TU_SIZE; i++)
			u->map[(node - TU_F0) * TU_SIZE + i] = tu_byte(node, i);
	u->w = w ? open(w, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	CHECK(!w || u->w >= 0);
	*ret = u;
	return 0;
}

static void tu_close(struct union_fs *u)
{
	munmap(u->map, 4 * TU_SIZE);
	close(u->content);
	if (u->w >= 0)
		close(u->w);
	free(u);
}

static int tu_stat(struct union_fs *u, uint64_t node, struct stat *ret)
{
	struct stat st = {.st_ino = node, .st_nlink = 1, .st_blksize = 4096, .st_mode = 0100644};

	if (node == UNION_ROOT || node == TU_DIR)
		st.st_mode = 040755, st.st_nlink = 2;
	else if (node >= TU_F0 && node <= TU_F3)
		st.st_size = TU_SIZE, st.st_blocks = TU_SIZE / 512;
	else if (node == TU_LINK)
		st.st_mode = 0120777, st.st_size = 2;
	else if (node == TU_W && u->w >= 0) {
		CHECK(fstat(u->w, &st) == 0);
		st.st_ino = node;
		st.st_mode = 0100644;
		st.st_uid = st.st_gid = 0;
	} else
		return -ESTALE;
	*ret = st;
	return 0;
}

static int tu_entry(struct union_fs *u, uint64_t node, struct union_entry *ret)
{
	ret->node = node;
	ret->generation = 0;
	u->looked_up++;
	return tu_stat(u, node, &ret->st);
}

int union_lookup(struct union_fs *u, uint64_t parent, const char *name, struct union_entry *ret)
{
	u->calls++;
	for (uint64_t n = TU_F0; n < TU_END && parent == UNION_ROOT; n++)
		if (strcmp(tu_names[n], name) == 0)
			return tu_entry(u, n, ret);
	return 1;
}

void union_end(struct union_fs *u)
{
	CHECK(u->held == 0);
}

void union_forget(struct union_fs *u, uint64_t node _unused_, uint64_t n)
{
	u->forgotten += n;
}

int union_getattr(struct union_fs *u, uint64_t node, struct stat *ret)
{
	u->calls++;
	return tu_stat(u, node, ret);
}

int union_readlink(struct union_fs *u _unused_, uint64_t node, char *p, size_t n, size_t *ret_n)
{
	if (node != TU_LINK || n < 2)
		return -EINVAL;
	memcpy(p, "f0", *ret_n = 2);
	return 0;
}

int union_getxattr(struct union_fs *u _unused_, uint64_t node _unused_, const char *name, void *p,
	size_t n, size_t *ret_n)
{
	char text[16];

	if (strcmp(name, "user.pid") != 0)
		return -ENODATA;
	*ret_n = (size_t)snprintf(text, sizeof(text), "%ld", (long)getpid());
	if (n && n < *ret_n)
		return -ERANGE;
	if (n)
		memcpy(p, text, *ret_n);
	return 0;
}

int union_listxattr(
	struct union_fs *u _unused_, uint64_t node _unused_, char *p, size_t n, size_t *ret_n)
{
	*ret_n = 9;
	if (n && n < 9)
		return -ERANGE;
	if (n)
		memcpy(p, "user.pid", 9);
	return 0;
}

int union_statfs(struct union_fs *u _unused_, struct statvfs *ret)
{
	*ret = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255, .f_blocks = 9};
	return 0;
}

int union_readdir(
	struct union_fs *u, uint64_t dir, uint64_t off, bool plus, union_fill fill, void *ctx)
{
	for (uint64_t i = off; i < TU_END && (dir == UNION_ROOT || i < 2); i++) {
		struct union_entry e = {0};
		struct union_name n = {.name = i < 2 ? (i ? ".." : ".") : tu_names[i],
			.ino = i < 2 ? 1 : i,
			.type = i < 2 || i == TU_DIR ? DT_DIR : DT_REG,
			.next = i + 1,
			.entry = plus ? &e : NULL};

		n.len = strlen(n.name);
		if (i >= 2 && plus && tu_entry(u, i, &e) < 0)
			continue;
		if (fill(ctx, &n)) {
			if (e.node)
				u->looked_up--;
			break;
		}
	}
	return 0;
}

int union_setattr(struct union_fs *u, const struct union_op *op _unused_, uint64_t node,
	const struct stat *st, unsigned int what, struct stat *ret)
{
	if (node != TU_W)
		return -EPERM;
	if ((what & UNION_SET_SIZE) && ftruncate(u->w, st->st_size) < 0)
		return -errno;
	return tu_stat(u, node, ret);
}

int union_mkdir(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t parent _unused_, const char *name _unused_, uint32_t mode _unused_,
	struct union_entry *ret _unused_)
{
	return -ENOSPC;
}

int union_mknod(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t parent _unused_, const char *name _unused_, uint32_t mode _unused_,
	dev_t dev _unused_, struct union_entry *ret _unused_)
{
	return -ENOSPC;
}

int union_symlink(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t parent _unused_, const char *name _unused_, const char *target _unused_,
	struct union_entry *ret _unused_)
{
	return -ENOSPC;
}

int union_tmpfile(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t parent _unused_, uint32_t mode _unused_, struct union_entry *ret _unused_)
{
	return -ENOSPC;
}

int union_link(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t node _unused_, uint64_t parent _unused_, const char *name _unused_,
	struct union_entry *ret _unused_)
{
	return -ENOSPC;
}

int union_unlink(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t parent _unused_, const char *name _unused_)
{
	return -ENOSPC;
}

int union_rmdir(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t parent _unused_, const char *name _unused_)
{
	return -ENOSPC;
}

int union_rename(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t from _unused_, const char *name _unused_, uint64_t to _unused_,
	const char *new_name _unused_, unsigned int flags _unused_)
{
	return -ENOSPC;
}

int union_setxattr(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t node _unused_, const char *name _unused_, const void *p, size_t n,
	int flags _unused_, bool kill_sgid _unused_)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++) /* reads what it was given: for the sanitizer */
		sum = (uint8_t)(sum + ((const uint8_t *)p)[i]);
	return sum == 255 ? -EDQUOT : -ENOSPC;
}

int union_removexattr(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t node _unused_, const char *name _unused_)
{
	return -ENODATA;
}

/* f3 comes as a piece of one byte and the rest. */
static int tu_pieces(uint64_t node, uint8_t *p, size_t n, struct union_read *ret)
{
	ret->kind = UNION_READ_PIECES;
	ret->pieces.n = 0;
	if (node == TU_F3 && n > 1) {
		ret->pieces.pieces[ret->pieces.n++] = (struct iovec){p++, 1};
		n--;
	}
	if (n)
		ret->pieces.pieces[ret->pieces.n++] = (struct iovec){p, n};
	return 0;
}

int union_read(
	struct union_fs *u, uint64_t node, void *p, size_t n, uint64_t off, struct union_read *ret)
{
	uint64_t at = (node - TU_F0) * TU_SIZE + (off < TU_SIZE ? off : 0);

	u->calls++;
	if (node == TU_W) {
		ret->kind = UNION_READ_BUFFER;
		return io_pread(u->w, p, n, off, &ret->size);
	}
	if (node < TU_F0 || node > TU_F3)
		return -EISDIR;
	n = off >= TU_SIZE ? 0 : n < TU_SIZE - off ? n : TU_SIZE - off;
	ret->size = ret->pieces.size = n;
	if (node == TU_F0 || node == TU_F3)
		return tu_pieces(node, u->map + at, n, ret);
	ret->kind = node == TU_F0 + 1 ? UNION_READ_FD : UNION_READ_BUFFER;
	ret->fd = u->content;
	ret->off = at;
	if (node == TU_F0 + 2 && n)
		memcpy(p, u->map + at, n);
	return 0;
}

void union_read_done(struct union_fs *u _unused_, struct union_read *r _unused_)
{
}

int union_write(struct union_fs *u, const struct union_op *op _unused_, uint64_t node,
	const void *p, size_t n, uint64_t off, unsigned int flags _unused_)
{
	if (node != TU_W || u->w < 0)
		return -EPERM;
	CHECK(u->held != node);
	return off > (uint64_t)1 << 40 ? -EFBIG : io_pwrite_full(u->w, p, n, off);
}

int union_fallocate(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t node _unused_, int mode _unused_, uint64_t off _unused_, uint64_t n _unused_)
{
	return -EOPNOTSUPP;
}

int union_lseek(struct union_fs *u _unused_, uint64_t node _unused_, uint64_t off,
	int whence _unused_, uint64_t *ret)
{
	*ret = off;
	return off > TU_SIZE ? -ENXIO : 0;
}

int union_copy_range(struct union_fs *u _unused_, const struct union_op *op _unused_,
	uint64_t from _unused_, uint64_t from_off _unused_, uint64_t to _unused_,
	uint64_t to_off _unused_, size_t n _unused_, size_t *ret_n _unused_)
{
	return -EOPNOTSUPP;
}

int union_fsync(struct union_fs *u _unused_, uint64_t node _unused_, bool data_only _unused_)
{
	return 0;
}

int union_passthrough(struct union_fs *u, const struct union_op *op _unused_, uint64_t node,
	bool write _unused_, int *ret_fd)
{
	*ret_fd = node == TU_W ? dup(u->w) : -1;
	return 0;
}

void union_release(struct union_fs *u _unused_, uint64_t node _unused_, bool passthrough _unused_)
{
}

int union_hold(struct union_fs *u, const char *path, uint64_t *ret_node)
{
	if (strcmp(path, "w") != 0)
		return -ENOENT;
	u->held = *ret_node = TU_W;
	return 0;
}

void union_unhold(struct union_fs *u, uint64_t node)
{
	CHECK(u->held == node);
	u->held = 0;
}

bool union_is_held(struct union_fs *u, uint64_t node)
{
	return u->held == node;
}
