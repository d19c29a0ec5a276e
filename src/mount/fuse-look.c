/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-internal.h"

#include <string.h>

int fuse_do_lookup(struct fuse_request *q)
{
	struct union_entry e;
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r < 0)
		return r;
	r = union_lookup(q->f->u, q->h->nodeid, name, &e);
	if (r == 1) /* node 0: there is none, and that may be kept, too */
		e = (struct union_entry){0};
	return r < 0 ? r : fuse_reply_entry(q, &e);
}

int fuse_do_forget(struct fuse_request *q)
{
	const struct fuse_forget_in *in = q->arg;

	fuse_times_forget(q->f, q->h->nodeid);
	union_forget(q->f->u, q->h->nodeid, in->nlookup);
	return 0;
}

int fuse_do_batch_forget(struct fuse_request *q)
{
	const struct fuse_batch_forget_in *in = q->arg;

	for (uint32_t i = 0; i < in->count; i++) {
		struct fuse_forget_one one;
		const uint8_t *p = bytes_take(&q->in, sizeof(one));

		if (!p)
			break;
		memcpy(&one, p, sizeof(one));
		fuse_times_forget(q->f, one.nodeid);
		union_forget(q->f->u, one.nodeid, one.nlookup);
	}
	return 0;
}

int fuse_do_getattr(struct fuse_request *q)
{
	struct stat st;
	int r = union_getattr(q->f->u, q->h->nodeid, &st);

	return r < 0 ? r : fuse_reply_attr(q, &st);
}

int fuse_do_readlink(struct fuse_request *q)
{
	size_t n;
	int r = union_readlink(q->f->u, q->h->nodeid, (char *)q->w->out, 4095, &n);

	return r < 0 ? r : fuse_reply(q, q->w->out, n);
}

/* A size of 0 asks how long the value is. */
static int reply_xattr(struct fuse_request *q, size_t room, size_t n)
{
	struct fuse_getxattr_out out = {.size = (uint32_t)n};

	return room ? fuse_reply(q, q->w->out, n) : fuse_reply(q, &out, sizeof(out));
}

static size_t xattr_room(const struct fuse_request *q)
{
	const struct fuse_getxattr_in *in = q->arg;

	return in->size < FUSE_BUFFER_SIZE ? in->size : FUSE_BUFFER_SIZE;
}

int fuse_do_getxattr(struct fuse_request *q)
{
	size_t room = xattr_room(q), n;
	const char *name;
	int r = fuse_take_name(&q->in, &name);

	if (r == 0)
		r = union_getxattr(q->f->u, q->h->nodeid, name, q->w->out, room, &n);
	return r < 0 ? r : reply_xattr(q, room, n);
}

/* Takes the names away that are for root alone: other file systems do, FUSE leaves it to us. */
static size_t drop_trusted(char *list, size_t n)
{
	size_t kept = 0, len;

	for (size_t at = 0; at < n; at += len) {
		len = strnlen(list + at, n - at - 1) + 1;
		if (strncmp(list + at, "trusted.", 8) == 0)
			continue;
		memmove(list + kept, list + at, len);
		kept += len;
	}
	return kept;
}

int fuse_do_listxattr(struct fuse_request *q)
{
	size_t room = xattr_room(q), n;
	int r = union_listxattr(q->f->u, q->h->nodeid, (char *)q->w->out, room, &n);

	if (r == 0 && room > 0 && q->h->uid != 0)
		n = drop_trusted((char *)q->w->out, n);
	return r < 0 ? r : reply_xattr(q, room, n);
}

int fuse_do_statfs(struct fuse_request *q)
{
	struct statvfs v;
	int r = union_statfs(q->f->u, &v);
	struct fuse_statfs_out out;

	if (r < 0)
		return r;
	out = (struct fuse_statfs_out){.st = {
					       .blocks = v.f_blocks,
					       .bfree = v.f_bfree,
					       .bavail = v.f_bavail,
					       .files = v.f_files,
					       .ffree = v.f_ffree,
					       .bsize = (uint32_t)v.f_bsize,
					       .namelen = (uint32_t)v.f_namemax,
					       .frsize = (uint32_t)v.f_frsize,
				       }};
	return fuse_reply(q, &out, sizeof(out));
}

/* Names packed as the protocol has them: each record padded to eight bytes. */
struct packing {
	uint8_t *p;
	size_t n, room;
	bool plus;
};

static int pack_name(void *ctx, const struct union_name *name)
{
	struct packing *k = ctx;
	size_t head = k->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t size = FUSE_REC_ALIGN(head + name->len);
	struct fuse_dirent d = {name->ino, name->next, (uint32_t)name->len, name->type};
	uint8_t *p = k->p + k->n;

	if (name->len > 255 || size > k->room - k->n)
		return 1;
	memset(p + size - 8, 0, 8);
	if (k->plus) {
		struct fuse_entry_out e = {0};

		if (name->entry && name->entry->node)
			fuse_fill_entry(name->entry, &e);
		memcpy(p, &e, sizeof(e));
		p += sizeof(e);
	}
	memcpy(p, &d, FUSE_NAME_OFFSET);
	memcpy(p + FUSE_NAME_OFFSET, name->name, name->len);
	k->n += size;
	return 0;
}

static int read_dir(struct fuse_request *q, bool plus)
{
	const struct fuse_read_in *in = q->arg;
	struct packing k = {q->w->out, 0, in->size, plus};
	int r;

	if (k.room > FUSE_BUFFER_SIZE)
		k.room = FUSE_BUFFER_SIZE;
	r = union_readdir(q->f->u, q->h->nodeid, in->offset, plus, pack_name, &k);
	/* What is there is given (and counted); an error behind it comes again with the next. */
	return r < 0 && !k.n ? r : fuse_reply(q, k.p, k.n);
}

int fuse_do_readdir(struct fuse_request *q)
{
	return read_dir(q, false);
}

int fuse_do_readdirplus(struct fuse_request *q)
{
	return read_dir(q, true);
}
