/* SPDX-License-Identifier: Apache-2.0 */
/* mount, umount, mounts */
#include "tool.h"

#include <string.h>

int cmd_mount(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = NULL;
	struct plyfs_error e;

	if (t->driver && strcmp(t->driver, "auto") != 0 && strcmp(t->driver, "kernel") != 0) {
		tool_fail_text("there is no driver '%s': auto or kernel (see plyfs mount --help)",
			t->driver);
		return 2;
	}
	s = tool_store(t, false);
	if (!s)
		return 1;
	return plyfs_mount(s, t->argv[0], t->argv[1], &e) < 0 ? tool_fail(&e) : 0;
}

struct list {
	char **v;
	size_t n;
};

static int collect(void *ctx, const char *dir, const char *digest _unused_)
{
	struct list *l = ctx;
	char **v = reallocarray(l->v, l->n + 1, sizeof(*v));

	if (!v)
		return 1;
	l->v = v;
	v[l->n] = strdup(dir);
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

static int print_mount(void *ctx _unused_, const char *dir, const char *digest)
{
	printf("%.19s  ", digest);
	tool_put_name(dir);
	putchar('\n');
	return 0;
}

static int add_mount(void *ctx, const char *dir, const char *digest)
{
	return json_array_append_new(ctx, json_pack("{so ss ss}", "dir", tool_json_bytes(dir),
						  "digest", digest, "driver", "kernel"));
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
