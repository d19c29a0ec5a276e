/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-mount.h"
#include "util/buf.h"
#include "util/io.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DEVICE     "/dev/fuse"
#define CONF       "/etc/fuse.conf"
#define MOUNTER    "fusermount3"
#define COMMFD     3 /* its end of the socket, as _FUSE_COMMFD tells it */
#define SOURCE_MAX 255

extern char **environ;

static const struct {
	uint32_t ms;
	unsigned int attr; /* of fsmount(2); 0: an option of the file system, by its word */
	const char *word;
} flag_words[] = {
	{MS_NOSUID, MOUNT_ATTR_NOSUID, "nosuid"},
	{MS_NODEV, MOUNT_ATTR_NODEV, "nodev"},
	{MS_NOEXEC, MOUNT_ATTR_NOEXEC, "noexec"},
	{MS_NOATIME, MOUNT_ATTR_NOATIME, "noatime"},
	{MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, NULL},
	{MS_STRICTATIME, MOUNT_ATTR_STRICTATIME, NULL},
	{MS_SYNCHRONOUS, 0, "sync"},
	{MS_DIRSYNC, 0, "dirsync"},
};
#define N_FLAGS (sizeof(flag_words) / sizeof(*flag_words))

static bool read_only(const struct fuse_mount *m)
{
	return !m->writable || (m->flags & MS_RDONLY);
}

/* ---- by our own calls --------------------------------------------------------------------- */

static int set_number(int fs, const char *key, const char *fmt, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), fmt, value);
	return fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0) < 0 ? -errno : 0;
}

static int configure(int fs, const struct fuse_mount *m, int device, mode_t mode)
{
	static const char *const flags[] = {"default_permissions", "allow_other"};
	int r;

	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0) < 0)
		return -errno;
	/* Kernels that cannot take it show "fuse" alone, which is all the same to us. */
	if (fsconfig(fs, FSCONFIG_SET_STRING, "subtype", "plyfs", 0) < 0)
		log_debug("no subtype: %s", err_text(-errno));
	r = set_number(fs, "fd", "%u", (unsigned int)device);
	if (r == 0)
		r = set_number(fs, "rootmode", "%o", mode & S_IFMT);
	if (r == 0)
		r = set_number(fs, "user_id", "%u", geteuid());
	if (r == 0)
		r = set_number(fs, "group_id", "%u", getegid());
	for (size_t i = 0; i < 2 && r == 0; i++)
		if (fsconfig(fs, FSCONFIG_SET_FLAG, flags[i], NULL, 0) < 0)
			r = -errno;
	for (size_t i = 0; i < N_FLAGS && r == 0; i++)
		if ((m->flags & flag_words[i].ms) && !flag_words[i].attr &&
			fsconfig(fs, FSCONFIG_SET_FLAG, flag_words[i].word, NULL, 0) < 0)
			r = -errno;
	if (r == 0 && read_only(m) && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		r = -errno;
	if (r == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	return r;
}

static int mount_self(const struct fuse_mount *m, mode_t mode, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fs = fsopen("fuse", FSOPEN_CLOEXEC), mnt = -1, device = -1;
	unsigned int attr = read_only(m) ? MOUNT_ATTR_RDONLY : 0;
	int r;

	for (size_t i = 0; i < N_FLAGS; i++)
		if (m->flags & flag_words[i].ms)
			attr |= flag_words[i].attr;
	if (fs < 0)
		return -errno == -ENODEV ? err_set(e, -ERR_UNSUPPORTED, "this kernel has no FUSE")
					 : err_sys(e, -errno, "cannot mount on %s", m->dir);
	device = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		return err_sys(e, -errno, "cannot open %s", DEVICE);
	r = configure(fs, m, device, mode);
	if (r < 0)
		return err_sys(e, r, "cannot mount on %s", m->dir);
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, attr);
	if (mnt < 0 || move_mount(mnt, "", AT_FDCWD, m->dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(e, -errno, "cannot mount on %s", m->dir);
	*ret_fd = TAKE_FD(device);
	return 0;
}

/* ---- through fusermount3 ------------------------------------------------------------------ */

/* Whether users may let others in: a line of its own in the administrator's file. */
static int users_may_allow(void)
{
	_cleanup_fclose_ FILE *f = fopen(CONF, "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	int found = 0;

	while (f && !found && getline(&line, &room, f) > 0) {
		char *s = line + strspn(line, " \t");

		s[strcspn(s, " \t\r\n#")] = 0;
		found = strcmp(s, "user_allow_other") == 0;
	}
	return found;
}

/* Its options are a list with commas: one in the source has a backslash in front. */
static int mounter_options(const struct fuse_mount *m, struct buf *b)
{
	const uint32_t flags = m->flags | MS_NOSUID | MS_NODEV;
	int r = buf_addf(b, "%s,default_permissions,subtype=plyfs%s", read_only(m) ? "ro" : "rw",
		m->allow_other ? ",allow_other" : "");

	for (size_t i = 0; i < N_FLAGS && r == 0; i++)
		if ((flags & flag_words[i].ms) && flag_words[i].word)
			r = buf_addf(b, ",%s", flag_words[i].word);
	if (r == 0)
		r = buf_addf(b, ",fsname=");
	for (const char *s = m->source; *s && r == 0; s++)
		r = buf_addf(b, *s == ',' || *s == '\\' ? "\\%c" : "%c", *s);
	return r;
}

static int receive_fd(int socket, int *ret_fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	char byte;
	struct iovec v = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	struct cmsghdr *h;
	ssize_t n;

	while ((n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (!h || h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof(int)))
		return n < 0 ? -errno : -EIO;
	memcpy(ret_fd, CMSG_DATA(h), sizeof(int));
	return 0;
}

/* Runs fusermount3; `socket` is its end, or -1. What it says goes to our standard error. */
static int run_mounter(const char *const *argv, int socket)
{
	posix_spawn_file_actions_t actions;
	int r, status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	r = socket < 0 ? 0 : -posix_spawn_file_actions_adddup2(&actions, socket, COMMFD);
	if (r == 0)
		r = -posix_spawnp(&pid, MOUNTER, &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int no_mounter(const char *dir, int code, struct err *e)
{
	if (code == -ENOENT)
		return err_set(e, -EPERM, "mounting on %s needs root, or %s (package fuse3)", dir,
			MOUNTER);
	return err_set(e, code, "%s could not mount on %s", MOUNTER, dir);
}

static int mount_by_mounter(const struct fuse_mount *m, int *ret_fd, struct err *e)
{
	_cleanup_close_ int ours = -1, theirs = -1, high = -1;
	_cleanup_buf_ struct buf b = {0};
	char comm[16];
	int s[2], r;

	if (m->allow_other && !users_may_allow())
		return err_set(e, -EPERM,
			"letting other users in (allow_other) needs the line user_allow_other in "
			"%s",
			CONF);
	if (mounter_options(m, &b) < 0)
		return err_sys(e, -ENOMEM, "cannot mount on %s", m->dir);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(e, -errno, "cannot mount on %s", m->dir);
	ours = s[0];
	theirs = s[1];
	high = fcntl(theirs, F_DUPFD_CLOEXEC, COMMFD + 1); /* dup2 onto itself would not do */
	snprintf(comm, sizeof(comm), "%d", COMMFD);
	if (high < 0 || setenv("_FUSE_COMMFD", comm, 1) < 0)
		return err_sys(e, -errno, "cannot mount on %s", m->dir);
	r = run_mounter(
		(const char *const[]){MOUNTER, "-o", (const char *)b.p, "--", m->dir, NULL}, high);
	unsetenv("_FUSE_COMMFD");
	if (r == 0)
		r = receive_fd(ours, ret_fd);
	return r < 0 ? no_mounter(m->dir, r, e) : 0;
}

int fuse_mount(const struct fuse_mount *m, int *ret_fd, struct err *e)
{
	struct err own = {0};
	struct stat st;
	int r;

	if (stat(m->dir, &st) < 0)
		return err_sys(e, -errno, "cannot mount on %s", m->dir);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, -ENOTDIR, "cannot mount on %s", m->dir);
	if (strlen(m->source) > SOURCE_MAX)
		return err_set(e, -ENAMETOOLONG, "the mount's source is too long: %s", m->source);
	r = mount_self(m, st.st_mode, ret_fd, &own);
	if (r == 0)
		return 0;
	if (r != -EPERM || geteuid() == 0)
		return err_set(e, r, "%s", own.text);
	return mount_by_mounter(m, ret_fd, e);
}

int fuse_unmount(const char *dir, struct err *e)
{
	int r;

	if (umount2(dir, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
		return 0;
	if (errno != EPERM || geteuid() == 0)
		return err_sys(e, -errno, "cannot unmount %s", dir);
	r = run_mounter((const char *const[]){MOUNTER, "-u", "-z", "--", dir, NULL}, -1);
	return r < 0 ? err_set(e, r, "%s could not unmount %s", MOUNTER, dir) : 0;
}
