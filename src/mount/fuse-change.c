/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"

#include <sys/sysmacros.h>

static unsigned int what_is_set(uint32_t valid)
{
	static const struct {
		uint32_t fattr;
		unsigned int what;
	} bits[] = {
		{FATTR_MODE, UNION_SET_MODE},
		{FATTR_UID, UNION_SET_UID},
		{FATTR_GID, UNION_SET_GID},
		{FATTR_SIZE, UNION_SET_SIZE},
		{FATTR_ATIME, UNION_SET_ATIME},
		{FATTR_MTIME, UNION_SET_MTIME},
		{FATTR_ATIME_NOW, UNION_SET_ATIME_NOW},
		{FATTR_MTIME_NOW, UNION_SET_MTIME_NOW},
		{FATTR_KILL_SUIDGID, UNION_KILL_SUIDGID},
	};
	unsigned int what = 0;

	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		if (valid & bits[i].fattr)
			what |= bits[i].what;
	return what;
}

int fuse_do_setattr(struct fuse_request *q)
{
	const struct fuse_setattr_in *in = q->arg;
	struct stat got, st = {
				 .st_mode = in->mode,
				 .st_uid = in->uid,
				 .st_gid = in->gid,
				 .st_size = (off_t)in->size,
				 .st_atim = {(time_t)in->atime, in->atimensec},
				 .st_mtim = {(time_t)in->mtime, in->mtimensec},
			 };
	int r;

	if (st.st_size < 0)
		return -EFBIG;
	r = fuse_times_set(q, &st, what_is_set(in->valid), &got);
	return r < 0 ? r : fuse_reply_attr(q, &got);
}

/* As the kernel's new_decode_dev. */
static dev_t decode_dev(uint32_t d)
{
	return makedev(d >> 8 & 0xfff, (d & 0xff) | (d >> 12 & 0xfff00));
}

int fuse_do_mknod(struct fuse_request *q)
{
	const struct fuse_mknod_in *in = q->arg;
	struct union_entry e;
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r < 0)
		return r;
	q->op.umask = in->umask;
	r = union_mknod(q->f->u, &q->op, q->h->nodeid, name, in->mode, decode_dev(in->rdev), &e);
	return r < 0 ? r : fuse_reply_entry(q, &e);
}

int fuse_do_mkdir(struct fuse_request *q)
{
	const struct fuse_mkdir_in *in = q->arg;
	struct union_entry e;
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r < 0)
		return r;
	q->op.umask = in->umask;
	r = union_mkdir(q->f->u, &q->op, q->h->nodeid, name, in->mode, &e);
	return r < 0 ? r : fuse_reply_entry(q, &e);
}

int fuse_do_symlink(struct fuse_request *q)
{
	struct union_entry e;
	const char *name, *target;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = fuse_take_target(&q->in, &target);
	if (r == 0)
		r = union_symlink(q->f->u, &q->op, q->h->nodeid, name, target, &e);
	return r < 0 ? r : fuse_reply_entry(q, &e);
}

int fuse_do_link(struct fuse_request *q)
{
	const struct fuse_link_in *in = q->arg;
	struct union_entry e;
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = union_link(q->f->u, &q->op, in->oldnodeid, q->h->nodeid, name, &e);
	return r < 0 ? r : fuse_reply_entry(q, &e);
}

int fuse_do_unlink(struct fuse_request *q)
{
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = union_unlink(q->f->u, &q->op, q->h->nodeid, name);
	return r < 0 ? r : fuse_reply(q, NULL, 0);
}

int fuse_do_rmdir(struct fuse_request *q)
{
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = union_rmdir(q->f->u, &q->op, q->h->nodeid, name);
	return r < 0 ? r : fuse_reply(q, NULL, 0);
}

static int rename_to(struct fuse_request *q, uint64_t to, unsigned int flags)
{
	const char *name, *new_name;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = fuse_take_name(&q->in, &new_name);
	if (r == 0)
		r = union_rename(q->f->u, &q->op, q->h->nodeid, name, to, new_name, flags);
	if (r == 0)
		fuse_reply(q, NULL, 0);
	if (flags) /* an exchange is noted, in case it comes again */
		session_note_remove(q->f->session, q->op.unique);
	return r;
}

int fuse_do_rename(struct fuse_request *q)
{
	const struct fuse_rename_in *in = q->arg;

	return rename_to(q, in->newdir, 0);
}

int fuse_do_rename2(struct fuse_request *q)
{
	const struct fuse_rename2_in *in = q->arg;

	return rename_to(q, in->newdir, in->flags);
}

/* Kernels older than 5.12 send the first half of the struct only. */
int fuse_do_setxattr(struct fuse_request *q)
{
	const struct fuse_setxattr_in *in = q->arg;
	bool kill_sgid = false;
	const uint8_t *value;
	const char *name;
	int r;

	if (q->f->agreed->flags & FUSE_SETXATTR_EXT) {
		if (!bytes_take(&q->in, sizeof(*in) - FUSE_COMPAT_SETXATTR_IN_SIZE))
			return -EINVAL;
		kill_sgid = in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
	}
	r = fuse_take_name(&q->in, &name);
	if (r < 0)
		return r;
	value = bytes_take(&q->in, in->size);
	if (!value)
		return -EINVAL;
	r = union_setxattr(
		q->f->u, &q->op, q->h->nodeid, name, value, in->size, (int)in->flags, kill_sgid);
	return r < 0 ? r : fuse_reply(q, NULL, 0);
}

int fuse_do_removexattr(struct fuse_request *q)
{
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = union_removexattr(q->f->u, &q->op, q->h->nodeid, name);
	return r < 0 ? r : fuse_reply(q, NULL, 0);
}
