/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"

#include <sys/sysmacros.h>

/* The kernel takes codes of errno(3) only; ours above them are "something is wrong with the
 * store", which is EIO to a program that reads a file. */
static int32_t kernel_code(int code)
{
	return code > -512 ? code : -EIO;
}

/*
 * A failed write: ENOENT, the request was given up meanwhile; else the kernel has ended it with
 * EIO (memory that is not there, as where a pack was cut short). Nothing is left to be said.
 */
static void send_reply(struct fuse_server *f, const struct iovec *v, int n)
{
	while (writev(f->fd, v, n) < 0 && errno == EINTR)
		;
}

int fuse_reply_iov(struct fuse_request *q, struct iovec *v, int n)
{
	struct fuse_out_header h = {.unique = q->h->unique};
	size_t size = sizeof(h);

	for (int i = 1; i < n; i++)
		size += v[i].iov_len;
	h.len = (uint32_t)size;
	v[0] = (struct iovec){&h, sizeof(h)};
	send_reply(q->f, v, n);
	return 0;
}

int fuse_reply(struct fuse_request *q, const void *p, size_t n)
{
	struct iovec v[2] = {[1] = {(void *)p, n}};

	return fuse_reply_iov(q, v, n ? 2 : 1);
}

void fuse_reply_error(struct fuse_request *q, int code)
{
	struct fuse_out_header h = {sizeof(h), kernel_code(code), q->h->unique};
	struct iovec v = {&h, sizeof(h)};

	send_reply(q->f, &v, 1);
}

int fuse_notify(struct fuse_server *f, int code, const void *p, size_t n)
{
	struct fuse_out_header h = {(uint32_t)(sizeof(h) + n), code, 0};
	struct iovec v[2] = {{&h, sizeof(h)}, {(void *)p, n}};

	return writev(f->fd, v, n ? 2 : 1) < 0 ? -errno : 0;
}

/* As the kernel's new_encode_dev: 32 bits are all that the protocol has for a device. */
static uint32_t encode_dev(dev_t d)
{
	return (minor(d) & 0xff) | (major(d) & 0xfff) << 8 | (minor(d) & 0xfff00) << 12;
}

static void fill_attr(const struct stat *st, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = encode_dev(st->st_rdev),
		.blksize = (uint32_t)st->st_blksize,
	};
}

void fuse_fill_entry(const struct union_entry *e, struct fuse_entry_out *ret)
{
	*ret = (struct fuse_entry_out){
		.nodeid = e->node,
		.generation = e->generation,
		.entry_valid = FUSE_FOREVER,
		.attr_valid = FUSE_FOREVER,
	};
	fill_attr(&e->st, &ret->attr);
}

int fuse_reply_entry(struct fuse_request *q, const struct union_entry *e)
{
	struct fuse_entry_out out;

	fuse_fill_entry(e, &out);
	return fuse_reply(q, &out, sizeof(out));
}

int fuse_reply_attr(struct fuse_request *q, const struct stat *st)
{
	struct fuse_attr_out out = {.attr_valid = FUSE_FOREVER};

	fill_attr(st, &out.attr);
	return fuse_reply(q, &out, sizeof(out));
}

static int take_text(struct bytes *b, size_t max, const char **ret)
{
	const char *s = (const char *)b->p, *end = b->n ? memchr(s, 0, b->n) : NULL;

	if (!end || end == s)
		return -EINVAL;
	if ((size_t)(end - s) > max)
		return -ENAMETOOLONG;
	bytes_take(b, (size_t)(end - s) + 1);
	*ret = s;
	return 0;
}

int fuse_take_name(struct bytes *b, const char **ret)
{
	const char *s;
	int r = take_text(b, 255, &s);

	if (r < 0)
		return r;
	if (strchr(s, '/') || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return -EINVAL;
	*ret = s;
	return 0;
}

int fuse_take_target(struct bytes *b, const char **ret)
{
	return take_text(b, 4095, ret);
}
