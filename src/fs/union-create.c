/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New files. One that nothing stands in the way of is made in its place, by one system call, with
 * its owner: the thread takes the caller's ids for it (setfsuid(2)), and keeps its capabilities.
 * What comes in place of a whiteout, or needs a mark, is made in scratch/ and renamed.
 */
#include "change.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct creation {
	uint32_t mode;
	dev_t dev;
	const char *target; /* of a symlink */
	uid_t uid;
	gid_t gid;
	struct stat st; /* what came of it */
	int fd;         /* a regular file's */
};

static void creation_done(struct creation *k)
{
	close_fdp(&k->fd);
}
#define _cleanup_creation_ _cleanup_(creation_done)

/* ---- one system call ------------------------------------------------------------------------- */
static void set_umask(mode_t mask)
{
	static _Thread_local mode_t current = (mode_t)-1;

	if (mask != current)
		umask(mask);
	current = mask;
}

/* What else this thread makes, in the work directory, is for us to open again. */
static void relax_umask(const struct union_op *op)
{
	if (op->umask & 0700)
		set_umask(022);
}

/* Without this, capabilities would go with the first id that is not 0. */
static bool keeps_capabilities(void)
{
	static _Thread_local int known;

	if (known == 0) {
		const int bits = prctl(PR_GET_SECUREBITS);

		known = bits >= 0 && prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) == 0
				? 1
				: -1;
	}
	return known > 0;
}

struct guise {
	bool worn;
	uid_t uid;
	gid_t gid;
};

static struct guise guise_take(const struct upper *up, const struct creation *k)
{
	struct guise g = {false, up->uid, up->gid};

	if (!up->may_chown || (k->uid == up->uid && k->gid == up->gid) || !keeps_capabilities())
		return g;
	setfsgid(k->gid);
	setfsuid(k->uid);
	g.worn = true;
	return g;
}

static void guise_leave(const struct guise *g)
{
	if (!g->worn)
		return;
	setfsuid(g->uid);
	setfsgid(g->gid);
}

static int make_file(struct creation *k, int dirfd, const char *name)
{
	k->fd = openat(
		dirfd, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, k->mode & 07777);
	return k->fd < 0 ? -errno : 0;
}

static int make_one(const struct upper *up, struct creation *k, int dirfd, const char *name)
{
	int r;

	switch (k->mode & S_IFMT) {
	case S_IFREG:
		return make_file(k, dirfd, name);
	case S_IFDIR:
		r = mkdirat(dirfd, name, k->mode & 07777);
		break;
	case S_IFLNK:
		r = symlinkat(k->target, dirfd, name);
		break;
	default:
		if (change_stands_in(up, k->mode))
			r = mknodat(dirfd, name, S_IFREG | (k->mode & 0777), 0);
		else
			r = mknodat(dirfd, name, k->mode, k->dev);
	}
	return r < 0 ? -errno : 0;
}

/* Makes it, and looks at it. Without a guise it may belong to the wrong one: then it is given to
 * who it is for; its group only if it was not the directory that chose that. */
static int make_as(struct upper *up, struct creation *k, int dirfd, const char *name)
{
	const struct guise g = guise_take(up, k);
	int r = make_one(up, k, dirfd, name);

	guise_leave(&g);
	if (r < 0)
		return r;
	if ((k->fd >= 0 ? fstat(k->fd, &k->st)
			: fstatat(dirfd, name, &k->st, AT_SYMLINK_NOFOLLOW)) < 0)
		return -errno;
	if (!up->may_chown || k->st.st_uid == k->uid)
		return 0;
	if (fchownat(dirfd, name, k->uid, k->st.st_gid == up->gid ? k->gid : (gid_t)-1,
		    AT_SYMLINK_NOFOLLOW) < 0 ||
		fstatat(dirfd, name, &k->st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* ---- in scratch/ ----------------------------------------------------------------------------- */
/*
 * A directory of scratch/ that does as the one where the file is to be: passes on its group and
 * its default ACL. *ret_fd is scratch/ itself if that one passes on nothing.
 */
struct proxy {
	struct draft dir;
	int fd;
	gid_t gid; /* that it passes on, or (gid_t)-1 */
};

static void proxy_done(struct proxy *p)
{
	close_fdp(&p->fd);
	draft_done(&p->dir);
}
#define _cleanup_proxy_ _cleanup_(proxy_done)

static int proxy_make(struct proxy *p, struct upper *up, const struct stat *dir)
{
	draft_begin(&p->dir, up);
	if (mkdirat(up->scratch_fd, p->dir.name, 0700) < 0)
		return -errno;
	if (dir->st_mode & S_ISGID && up->may_chown &&
		fchownat(up->scratch_fd, p->dir.name, (uid_t)-1, dir->st_gid, 0) < 0)
		return -errno;
	if (fchmodat(up->scratch_fd, p->dir.name, 0700 | (dir->st_mode & S_ISGID), 0) < 0)
		return -errno;
	p->fd = openat(up->scratch_fd, p->dir.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? -errno : 0;
}

static int proxy_begin(struct proxy *p, struct upper *up, int dirfd)
{
	static const char acl[] = "system.posix_acl_default";
	char value[4096];
	struct stat dir;
	size_t n = 0;
	int r;

	if (fstatat(dirfd, "", &dir, AT_EMPTY_PATH) < 0)
		return -errno;
	r = upper_owner_apply(up, dirfd, ".", &dir);
	if (r < 0)
		return r;
	p->gid = dir.st_mode & S_ISGID ? dir.st_gid : (gid_t)-1;
	r = upper_getxattr(dirfd, ".", acl, value, sizeof(value), &n);
	if (r < 0 && r != -ENODATA && r != -EOPNOTSUPP)
		return r;
	if (r < 0 && !(dir.st_mode & S_ISGID))
		return 0;
	r = proxy_make(p, up, &dir);
	return r < 0 || n == 0 ? r : upper_setxattr(p->fd, ".", acl, value, n, 0);
}

/* What the file would be, had it been made by root. */
static int mark_creation(
	struct upper *up, struct creation *k, const struct proxy *p, int fd, const char *name)
{
	struct stat want = k->st;

	if (!upper_has_owners(up) || S_ISLNK(k->mode))
		return 0;
	if (up->may_chown && !change_stands_in(up, k->mode))
		return 0;
	want.st_mode = (k->mode & (S_IFMT | S_ISUID | S_ISGID | S_ISVTX)) | (k->st.st_mode & 0777);
	want.st_uid = k->uid;
	want.st_gid = p->gid != (gid_t)-1 ? p->gid : k->gid;
	want.st_rdev = k->dev;
	if (S_ISDIR(k->mode) && p->gid != (gid_t)-1)
		want.st_mode |= S_ISGID;
	return change_owner_mode(up, fd, name, &want);
}

/* `over`: a whiteout is at the name, and, of a directory, hides something. */
static int make_draft(struct change *c, struct creation *k, const char *name, bool over)
{
	struct upper *up = c->u->upper;
	_cleanup_proxy_ struct proxy proxy = {.fd = -1};
	_cleanup_draft_ struct draft draft = {0};
	int r, fd;

	r = proxy_begin(&proxy, up, c->fd);
	if (r < 0)
		return r;
	fd = proxy.fd >= 0 ? proxy.fd : up->scratch_fd;
	draft_begin(&draft, up);
	r = make_as(up, k, fd, draft.name);
	if (r == 0)
		r = mark_creation(up, k, &proxy, fd, draft.name);
	if (r == 0 && over && S_ISDIR(k->mode))
		r = upper_set_opaque(up, fd, draft.name);
	if (r == 0 && renameat2(fd, draft.name, c->fd, name,
			      !over              ? RENAME_NOREPLACE
			      : S_ISDIR(k->mode) ? RENAME_EXCHANGE
						 : 0) < 0)
		r = -errno;
	if (fd != up->scratch_fd) { /* what is left there: a failure, or the whiteout */
		if (unlinkat(fd, draft.name, 0) < 0 && (errno == EISDIR || errno == EPERM))
			unlinkat(fd, draft.name, AT_REMOVEDIR);
		draft.name[0] = 0;
	}
	return r;
}

/* ---- in its place ---------------------------------------------------------------------------- */
/* 1 = done already, by a request that was not answered. */
static int make_over(struct change *c, struct creation *k, const char *name)
{
	struct stat st;
	int r = change_upper_stat(c->fd, name, &st);

	if (r != 0) /* nothing there: so it is in the lower layers */
		return r < 0 ? r : -EEXIST;
	if (overlay_is_whiteout(&st))
		return make_draft(c, k, name, true);
	if (!c->op->resent)
		return -EEXIST;
	r = upper_owner_apply(c->u->upper, c->fd, name, &st);
	if (r < 0)
		return r;
	return (st.st_mode & S_IFMT) == (k->mode & S_IFMT) ? 1 : -EEXIST;
}

static int make_there(struct change *c, struct creation *k, const char *name)
{
	int r = layers_have_lower(c->u, c->dir, name, strlen(name));

	if (r < 0)
		return r;
	if (r > 0)
		return make_over(c, k, name);
	if (upper_has_owners(c->u->upper))
		r = make_draft(c, k, name, false);
	else
		r = make_as(c->u->upper, k, c->fd, name);
	return r == -EEXIST ? make_over(c, k, name) : r;
}

static int enter_new(
	struct change *c, struct creation *k, const char *name, struct union_entry *ret)
{
	struct found f = {.ino = c->u->upper_ino_base + k->st.st_ino};
	_cleanup_node_ struct node_ref ref = {.u = c->u};
	int r;

	f.raw = f.stat = k->st;
	f.upper = &f.raw;
	r = upper_owner_apply(c->u->upper, c->fd, name, &f.stat);
	if (r < 0)
		return r;
	f.mode = f.stat.st_mode & S_IFMT;
	r = node_find(c->u, c->dir, name, strlen(name), &f, &ref.n);
	if (r < 0)
		return r;
	if (!(k->st.st_mode & (S_ISUID | S_ISGID)))
		ref.n->privileges = NODE_NO_CAPABILITY | NODE_NO_SUIDGID;
	if (k->fd >= 0)
		node_fd_give(c->u, ref.n, TAKE_FD(k->fd));
	ret->node = ref.n->id;
	ret->generation = 0;
	return node_stat_of(c->u, ref.n, &f.stat, &ret->st);
}

static int create(struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name,
	struct creation *k, struct union_entry *ret)
{
	_cleanup_change_ struct change c = {0};
	int r = change_check_name(name);

	if (r < 0)
		return r;
	if (S_ISCHR(k->mode) && k->dev == 0)
		return -EPERM; /* it would be a whiteout */
	if (!u->upper)
		return -EROFS;
	r = change_ids(u, op, &k->uid, &k->gid);
	if (r == 0)
		r = change_begin(u, op, parent, &c);
	if (r < 0)
		return r;
	set_umask(op->umask & 0777);
	r = make_there(&c, k, name);
	relax_umask(op);
	if (r < 0)
		return r;
	return r > 0 ? change_enter(&c, name, ret) : enter_new(&c, k, name, ret);
}

int union_mkdir(struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name,
	uint32_t mode, struct union_entry *ret)
{
	_cleanup_creation_ struct creation k = {.mode = S_IFDIR | (mode & 07777), .fd = -1};

	return create(u, op, parent, name, &k, ret);
}

int union_mknod(struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name,
	uint32_t mode, dev_t dev, struct union_entry *ret)
{
	_cleanup_creation_ struct creation k = {.mode = mode, .dev = dev, .fd = -1};

	if ((mode & S_IFMT) == 0)
		k.mode |= S_IFREG;
	if (S_ISDIR(k.mode) || S_ISLNK(k.mode))
		return -EINVAL;
	if (!S_ISCHR(k.mode) && !S_ISBLK(k.mode))
		k.dev = 0;
	return create(u, op, parent, name, &k, ret);
}

int union_symlink(struct union_fs *u, const struct union_op *op, uint64_t parent, const char *name,
	const char *target, struct union_entry *ret)
{
	_cleanup_creation_ struct creation k = {.mode = S_IFLNK | 0777, .target = target, .fd = -1};

	return create(u, op, parent, name, &k, ret);
}

/* ---- without a name -------------------------------------------------------------------------- */
/* Made as it would be in the directory: with its group and default ACL. */
static int make_nameless(struct change *c, struct creation *k, struct draft *draft)
{
	struct upper *up = c->u->upper;
	_cleanup_proxy_ struct proxy proxy = {.fd = -1};
	int r, fd;

	r = proxy_begin(&proxy, up, c->fd);
	if (r < 0)
		return r;
	fd = proxy.fd >= 0 ? proxy.fd : up->scratch_fd;
	draft_begin(draft, up);
	r = make_as(up, k, fd, draft->name);
	if (r == 0)
		r = mark_creation(up, k, &proxy, fd, draft->name);
	if (fd == up->scratch_fd)
		return r;
	if (r == 0 && renameat(fd, draft->name, up->scratch_fd, draft->name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(fd, draft->name, 0);
	return r;
}

static int enter_nameless(
	struct change *c, struct creation *k, struct draft *draft, struct union_entry *ret)
{
	struct found f = {.ino = c->u->upper_ino_base + k->st.st_ino, .mode = S_IFREG};
	_cleanup_node_ struct node_ref ref = {.u = c->u};
	struct upper *up = c->u->upper;
	char orphan[UPPER_NUMBER_SIZE];
	int r;

	f.raw = f.stat = k->st;
	f.upper = &f.raw;
	r = upper_owner_apply(up, up->scratch_fd, draft->name, &f.stat);
	if (r == 0)
		r = node_orphan_new(c->u, &f, &ref.n);
	if (r < 0)
		return r;
	if (renameat(up->scratch_fd, draft->name, up->orphans_fd,
		    upper_number_name(ref.n->id, orphan)) < 0) {
		r = -errno;
		union_forget(c->u, ref.n->id, 1);
		return r;
	}
	draft->name[0] = 0;
	node_fd_give(c->u, ref.n, TAKE_FD(k->fd));
	ret->node = ref.n->id;
	ret->generation = 0;
	return node_stat_of(c->u, ref.n, &f.stat, &ret->st);
}

int union_tmpfile(struct union_fs *u, const struct union_op *op, uint64_t parent, uint32_t mode,
	struct union_entry *ret)
{
	_cleanup_creation_ struct creation k = {.mode = S_IFREG | (mode & 07777), .fd = -1};
	_cleanup_change_ struct change c = {0};
	_cleanup_draft_ struct draft draft = {0};
	int r;

	if (!u->upper)
		return -EROFS;
	r = change_ids(u, op, &k.uid, &k.gid);
	if (r == 0)
		r = change_begin(u, op, parent, &c);
	if (r < 0)
		return r;
	set_umask(op->umask & 0777);
	r = make_nameless(&c, &k, &draft);
	relax_umask(op);
	return r < 0 ? r : enter_nameless(&c, &k, &draft, ret);
}
