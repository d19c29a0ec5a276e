/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"
#include "util/log.h"

#define OLDEST_MINOR 31 /* Linux 5.4; below it structs have other sizes */

/*
 * What we ask for, of what the kernel has. Left out on purpose: FUSE_ATOMIC_O_TRUNC (there is no
 * OPEN that could truncate), the locks (the kernel's own outlive us), FUSE_AUTO_INVAL_DATA and
 * with it all doubts about what is cached (nobody else changes the tree), FUSE_EXPORT_SUPPORT
 * (look-ups of "." by node), FUSE_SPLICE_* (content is copied once, by writev(2)).
 */
static uint64_t wanted(const struct fuse_options *o)
{
	uint64_t v = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS |
		     FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_CACHE_SYMLINKS |
		     FUSE_NO_OPENDIR_SUPPORT | FUSE_POSIX_ACL | FUSE_DONT_MASK |
		     FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT | FUSE_INIT_EXT |
		     FUSE_ASYNC_DIO | FUSE_EXPLICIT_INVAL_DATA | WIRE_HAS_RESEND;

	if (o->mode == FUSE_PASSTHROUGH_FILES)
		return v | WIRE_PASSTHROUGH;
	return v | FUSE_NO_OPEN_SUPPORT | (o->writable ? FUSE_WRITEBACK_CACHE : 0);
}

/* Whatever there is in the session is there before the kernel is told: one that is killed in
 * between gets INIT again. */
static void agree(struct fuse_server *f, uint32_t minor, uint64_t flags)
{
	struct fuse_agreed *a = f->agreed;

	a->minor = minor;
	a->flags = flags;
	a->mode = (uint32_t)f->options.mode;
	a->writable = f->options.writable;
	a->done = FUSE_AGREED_DONE;
	f->no_backing = !(flags & WIRE_PASSTHROUGH);
}

static int reply_init(struct fuse_request *q, const struct fuse_init_in *in, uint64_t flags)
{
	struct wire_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < 40 ? in->minor : 40,
		.max_readahead = in->max_readahead,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = FUSE_MAX_WRITE,
		.time_gran = 1,
		.max_pages = FUSE_MAX_WRITE / 4096,
		.max_stack_depth = flags & WIRE_PASSTHROUGH ? 1 : 0,
	};

	agree(q->f, out.minor, flags);
	log_debug("kernel's FUSE 7.%u, flags %llx", in->minor, (unsigned long long)flags);
	return fuse_reply(q, &out, sizeof(out));
}

int fuse_do_init(struct fuse_request *q)
{
	const struct fuse_init_in *in = q->arg;
	struct fuse_init_out other = {.major = FUSE_KERNEL_VERSION};
	uint64_t has = in->flags;

	if (in->major > FUSE_KERNEL_VERSION) /* the kernel will ask again, in our words */
		return fuse_reply(q, &other, sizeof(other));
	if (in->major < FUSE_KERNEL_VERSION || in->minor < OLDEST_MINOR)
		return -EPROTO;
	/* flags2 is behind what the table has us check, and is there from minor 36 on */
	if (in->flags & FUSE_INIT_EXT) {
		if (!bytes_take(&q->in, 4))
			return -EINVAL;
		has |= (uint64_t)in->flags2 << 32;
	}
	return reply_init(q, in, has & wanted(&q->f->options));
}
