/* SPDX-License-Identifier: Apache-2.0 */
/* diff, commit */
#include "tool.h"

#include <string.h>

static int print_change(void *ctx _unused_, char kind, const char *path)
{
	printf("%c ", kind);
	tool_put_name(path);
	putchar('\n');
	return 0;
}

static int add_change(void *ctx, char kind, const char *path)
{
	char text[2] = {kind, 0};

	return json_array_append_new(
		ctx, json_pack("{ss so}", "change", text, "path", tool_json_bytes(path)));
}

static int usage(const char *what)
{
	tool_fail_text("%s (see plyfs diff --help)", what);
	return 2;
}

int cmd_diff(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = NULL;
	const char *to = t->argc == 2 ? t->argv[1] : NULL;
	struct plyfs_error e = {.text = "cannot list the changes"};
	json_t *all;
	int r;

	if (t->tar && to)
		return usage("--tar is for the changes of a container");
	s = tool_store(t, false);
	if (!s)
		return 1;
	if (t->tar)
		return plyfs_diff_tar(s, t->argv[0], t->tar, &e) < 0 ? tool_fail(&e) : 0;
	all = t->json ? json_array() : NULL;
	r = plyfs_diff(s, t->argv[0], to, t->json ? add_change : print_change, all, &e);
	if (r) {
		json_decref(all);
		return tool_fail(&e);
	}
	return t->json ? tool_json(all) : 0;
}

int cmd_commit(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	struct plyfs_commit_options o = {
		.message = t->message,
		.author = t->author,
		.changes = t->changes.v,
		.n_changes = t->changes.n,
	};
	struct plyfs_commit c;
	struct plyfs_error e;

	if (!s)
		return 1;
	if (plyfs_commit(s, t->argv[0], t->argv[1], &o, &c, &e) < 0)
		return tool_fail(&e);
	if (t->json)
		return tool_json(json_pack("{ss ss sI sI sI}", "name", t->argv[1], "digest",
			c.digest, "files", (json_int_t)c.files, "read_bytes",
			(json_int_t)c.read_bytes, "new_bytes", (json_int_t)c.new_bytes));
	printf("%s\n", c.digest);
	return 0;
}
