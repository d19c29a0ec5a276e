/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay: what fuse-overlayfs does, with its command line, so that programs which run it (podman's
 * mount_program) can run this instead. Also as a program of its own, plyfs-overlay.
 */
#include "tool.h"
#include "util/array.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

struct overlay {
	struct plyfs_overlay_options o;
	struct tool_values lowers;
	bool root, version;
	bool failed; /* why has been said */
};

enum kind {
	IGNORED, /* with or without a value: makes no difference here */
	FLAG_ON, /* mount(2)'s */
	FLAG_OFF,
	LOWER,
	UPPER,
	WORK,
	UIDS,
	GIDS,
	ROOT,
	SQUASH_UID,
	SQUASH_GID,
	VOLATILE,
	FSYNC,
	REDIRECT,
	BLOCK_COPY,
	PASSTHROUGH,
	ALLOW_OTHER,
	ZERO, /* only the value 0 can be done */
};

static const struct known {
	const char *name;
	enum kind kind;
	unsigned long flag;
} known[] = {
	{"lowerdir", LOWER, 0},
	{"upperdir", UPPER, 0},
	{"workdir", WORK, 0},
	{"uidmapping", UIDS, 0},
	{"gidmapping", GIDS, 0},
	{"squash_to_root", ROOT, 0},
	{"squash_to_uid", SQUASH_UID, 0},
	{"squash_to_gid", SQUASH_GID, 0},
	{"volatile", VOLATILE, 0},
	{"fsync", FSYNC, 0},
	{"redirect_dir", REDIRECT, 0},
	{"block_copy", BLOCK_COPY, 0},
	{"passthrough", PASSTHROUGH, 0},
	{"allow_other", ALLOW_OTHER, 0},
	{"xattr_permissions", ZERO, 0},
	{"ro", FLAG_ON, MS_RDONLY},
	{"rw", FLAG_OFF, MS_RDONLY},
	{"nosuid", FLAG_ON, MS_NOSUID},
	{"suid", FLAG_OFF, MS_NOSUID},
	{"nodev", FLAG_ON, MS_NODEV},
	{"dev", FLAG_OFF, MS_NODEV},
	{"noexec", FLAG_ON, MS_NOEXEC},
	{"exec", FLAG_OFF, MS_NOEXEC},
	{"noatime", FLAG_ON, MS_NOATIME},
	{"atime", FLAG_OFF, MS_NOATIME},
	{"nodiratime", FLAG_ON, MS_NODIRATIME},
	{"diratime", FLAG_OFF, MS_NODIRATIME},
	{"relatime", FLAG_ON, MS_RELATIME},
	{"norelatime", FLAG_OFF, MS_RELATIME},
	{"strictatime", FLAG_ON, MS_STRICTATIME},
	{"sync", FLAG_ON, MS_SYNCHRONOUS},
	{"async", FLAG_OFF, MS_SYNCHRONOUS},
	{"dirsync", FLAG_ON, MS_DIRSYNC},
	/* How it does its work, or what it always does. */
	{"noacl", IGNORED, 0},
	{"static_nlink", IGNORED, 0},
	{"fast_ino", IGNORED, 0},
	{"timeout", IGNORED, 0},
	{"threaded", IGNORED, 0},
	{"writeback", IGNORED, 0},
	{"clone_fd", IGNORED, 0},
	{"max_idle_threads", IGNORED, 0},
	{"max_threads", IGNORED, 0},
	{"lazytime", IGNORED, 0},
	{"nolazytime", IGNORED, 0},
	{"default_permissions", IGNORED, 0},
	{"allow_root", IGNORED, 0},
	{"auto_unmount", IGNORED, 0},
	{"debug", IGNORED, 0},
	{"fsname", IGNORED, 0},
	{"subtype", IGNORED, 0},
};

static bool fail(struct overlay *v, const char *what, const char *arg)
{
	tool_fail_text("%s%s (see plyfs overlay --help)", what, arg);
	v->failed = true;
	return false;
}

/* Ends the string at the first `end` that no backslash is in front of; what is behind it, or NULL.
 */
static char *cut(char *s, char end)
{
	for (; *s; s++) {
		if (*s == '\\' && s[1])
			s++;
		else if (*s == end) {
			*s = 0;
			return s + 1;
		}
	}
	return NULL;
}

/* Takes the backslashes away. */
static char *plain(char *s)
{
	char *to = s;

	for (char *from = s; *from; from++) {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	*to = 0;
	return s;
}

static bool set_lowers(struct overlay *v, char *list)
{
	v->lowers.n = 0;
	for (char *next; list; list = next) {
		next = cut(list, ':');
		if (!*list)
			return fail(v, "an empty name in lowerdir", "");
		if (array_room(&v->lowers.v, v->lowers.n, &v->lowers.room, sizeof(*v->lowers.v)) <
			0)
			return fail(v, "out of memory", "");
		v->lowers.v[v->lowers.n++] = plain(list);
	}
	return true;
}

static bool set_id(struct overlay *v, const char *text, int64_t *ret)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n >= UINT32_MAX)
		return fail(v, "no id: ", text);
	*ret = (int64_t)n;
	return true;
}

static bool is_off(const char *value)
{
	return value && (strcmp(value, "0") == 0 || strcmp(value, "off") == 0);
}

static bool set(struct overlay *v, const struct known *k, char *value)
{
	static const char needed[] = {[LOWER] = 1,
		[UPPER] = 1,
		[WORK] = 1,
		[UIDS] = 1,
		[GIDS] = 1,
		[SQUASH_UID] = 1,
		[SQUASH_GID] = 1,
		[ZERO] = 1};

	if (needed[k->kind] && (!value || !*value))
		return fail(v, "a value is missing: ", k->name);
	switch (k->kind) {
	case IGNORED:
		return true;
	case FLAG_ON:
		v->o.mount_flags |= k->flag;
		return true;
	case FLAG_OFF:
		v->o.mount_flags &= ~k->flag;
		return true;
	case LOWER:
		return set_lowers(v, value);
	case UPPER:
		v->o.upper_dir = plain(value);
		return true;
	case WORK:
		v->o.work_dir = plain(value);
		return true;
	case UIDS:
		v->o.uid_map = value;
		return true;
	case GIDS:
		v->o.gid_map = value;
		return true;
	case ROOT:
		v->root = true;
		return true;
	case SQUASH_UID:
		return set_id(v, value, &v->o.squash_uid);
	case SQUASH_GID:
		return set_id(v, value, &v->o.squash_gid);
	case VOLATILE:
		v->o.fsync = 0;
		return true;
	case FSYNC:
		v->o.fsync = !is_off(value);
		return true;
	case REDIRECT:
		v->o.redirect_dir = value && strcmp(value, "on") == 0;
		return true;
	case BLOCK_COPY:
		v->o.block_copy = 1;
		return true;
	case PASSTHROUGH:
		v->o.passthrough = 1;
		return true;
	case ALLOW_OTHER:
		v->o.allow_other = 1;
		return true;
	case ZERO:
		return is_off(value) || fail(v, "it cannot be done: ", k->name);
	}
	return false;
}

/* The argument of -o; what is set points into it. */
static bool set_options(struct overlay *v, char *list)
{
	for (char *next; list; list = next) {
		char *value;
		size_t i = 0;

		next = cut(list, ',');
		if (!*list)
			continue;
		value = strchr(list, '=');
		if (value)
			*value++ = 0;
		while (i < sizeof(known) / sizeof(known[0]) && strcmp(known[i].name, list) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return fail(v, "unknown option ", list);
		if (!set(v, &known[i], value))
			return false;
	}
	return true;
}

static int run(struct overlay *v, const char *dir)
{
	struct plyfs_error e;

	if (!v->lowers.n)
		return fail(v, "lowerdir is missing", ""), 2;
	if (!v->o.upper_dir != !v->o.work_dir)
		return fail(v, "upperdir and workdir go together", ""), 2;
	v->o.lower_dirs = v->lowers.v;
	v->o.n_lower_dirs = v->lowers.n;
	if (v->root && v->o.squash_uid < 0)
		v->o.squash_uid = 0;
	if (v->root && v->o.squash_gid < 0)
		v->o.squash_gid = 0;
	return plyfs_overlay(&v->o, dir, &e) < 0 ? tool_fail(&e) : 0;
}

int cmd_overlay(struct tool *t)
{
	struct overlay v = {.o = {.squash_uid = -1, .squash_gid = -1, .fsync = 1}};
	int status = 2;
	bool good = true;

	v.o.foreground = t->foreground || t->debug;
	for (size_t i = 0; good && i < t->mount_options.n; i++)
		good = set_options(&v, (char *)t->mount_options.v[i]);
	if (good)
		status = run(&v, t->argv[0]);
	free(v.lowers.v);
	return status;
}
