/* SPDX-License-Identifier: Apache-2.0 */
/* mount, umount, mounts */
#include "tool.h"
#include "util/buf.h"

#include <string.h>

/* "a,b,c", as the library takes maps; NULL for none. */
static int join(const struct tool_values *v, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < v->n; i++)
		r = buf_addf(ret, "%s%s", i ? "," : "", v->v[i]);
	return r;
}

static int usage(const char *what)
{
	tool_fail_text("%s (see plyfs mount --help)", what);
	return 2;
}

/* 0, or the exit status of wrong usage. */
static int check_mount(const struct tool *t)
{
	static const char *const drivers[2][3] = {
		{"auto", "kernel", "fuse"}, {"auto", "overlay", "cow"}};
	const char *const *known = drivers[t->writable];

	if (t->argc == 1 && !t->container)
		return usage("either an image or, with --rw, a container");
	if (t->container && !t->writable)
		return usage("--container is for --rw");
	if (t->fsync && !t->writable)
		return usage("--fsync is for --rw");
	for (int i = 0; t->driver && i < 3; i++)
		if (strcmp(t->driver, known[i]) == 0)
			return 0;
	if (!t->driver)
		return 0;
	tool_fail_text("there is no driver '%s' %s --rw: %s, %s or %s (see plyfs mount --help)",
		t->driver, t->writable ? "with" : "without", known[0], known[1], known[2]);
	return 2;
}

static int run_mount(const struct tool *t, struct plyfs_store *s)
{
	_cleanup_buf_ struct buf uids = {0}, gids = {0};
	char id[PLYFS_CONTAINER_MAX];
	struct plyfs_mount_options o = {
		.writable = t->writable,
		.driver = t->driver,
		.container = t->container,
		.fsync = t->fsync,
		.passthrough = t->passthrough,
	};
	struct plyfs_error e;

	if (join(&t->uid_maps, &uids) < 0 || join(&t->gid_maps, &gids) < 0)
		return tool_fail_text("out of memory");
	o.uid_map = (char *)uids.p;
	o.gid_map = (char *)gids.p;
	if (plyfs_mount(s, t->argc == 2 ? t->argv[0] : NULL, t->argv[t->argc - 1], &o, id, &e) < 0)
		return tool_fail(&e);
	if (t->json)
		return tool_json(json_pack("{so ss*}", "dir", tool_json_bytes(t->argv[t->argc - 1]),
			"container", *id ? id : NULL));
	if (*id)
		printf("%s\n", id);
	return 0;
}

int cmd_mount(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = NULL;
	int status = check_mount(t);

	if (status)
		return status;
	s = tool_store(t, false);
	return s ? run_mount(t, s) : 1;
}

struct list {
	char **v;
	size_t n;
};

static int collect(void *ctx, const struct plyfs_mount *m)
{
	struct list *l = ctx;
	char **v = reallocarray(l->v, l->n + 1, sizeof(*v));

	if (!v)
		return 1;
	l->v = v;
	v[l->n] = strdup(m->dir);
	return v[l->n++] ? 0 : 1;
}

/* The last first: one may lie below another. */
static int umount_all(const struct tool *t, struct plyfs_store *s)
{
	struct list l = {0};
	struct plyfs_error e;
	int status = plyfs_mounts(s, collect, &l, &e) ? 1 : 0;

	for (size_t i = l.n; i > 0; i--) {
		if (!status && plyfs_umount(s, l.v[i - 1], t->lazy, &e) < 0)
			status = tool_fail(&e);
		free(l.v[i - 1]);
	}
	free(l.v);
	return status;
}

int cmd_umount(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = NULL;
	struct plyfs_error e;
	int status = 0;

	if (t->list_all ? t->argc : !t->argc) {
		tool_fail_text(
			"either directories or --all (usage: plyfs umount [OPTION]... DIR...)");
		return 2;
	}
	s = tool_store(t, false);
	if (!s)
		return 1;
	if (t->list_all)
		return umount_all(t, s);
	for (int i = 0; i < t->argc; i++)
		if (plyfs_umount(s, t->argv[i], t->lazy, &e) < 0)
			status = tool_fail(&e);
	return status;
}

static int print_mount(void *ctx _unused_, const struct plyfs_mount *m)
{
	printf("%-19.19s  %-7s  %-12s  ", *m->digest ? m->digest : "-", m->driver,
		m->container ? m->container : "-");
	tool_put_name(m->dir);
	putchar('\n');
	return 0;
}

static int add_mount(void *ctx, const struct plyfs_mount *m)
{
	return json_array_append_new(
		ctx, json_pack("{so ss* ss ss*}", "dir", tool_json_bytes(m->dir), "digest",
			     *m->digest ? m->digest : NULL, "driver", m->driver, "container",
			     m->container));
}

int cmd_mounts(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	json_t *all = t->json ? json_array() : NULL;
	struct plyfs_error e = {.text = "cannot list the mounts"};
	int r;

	if (!s)
		return 1;
	r = plyfs_mounts(s, t->json ? add_mount : print_mount, all, &e);
	if (r)
		return tool_fail(&e);
	return t->json ? tool_json(all) : 0;
}

int cmd_restart(struct tool *t)
{
	struct plyfs_error e;
	int status = 0;

	for (int i = 0; i < t->argc; i++)
		if (plyfs_restart(t->argv[i], &e) < 0)
			status = tool_fail(&e);
	return status;
}
