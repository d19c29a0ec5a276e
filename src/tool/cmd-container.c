/* SPDX-License-Identifier: Apache-2.0 */
/* containers, container rm */
#include "tool.h"

#include <time.h>

/* The table's parts for one container: its image, in short, and its date. */
static void print_image(const struct plyfs_container *c)
{
	char date[32];
	time_t created = c->created;
	struct tm tm;

	if (!gmtime_r(&created, &tm) || !strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm))
		date[0] = 0;
	printf("%-12.12s  %-16s  ", c->digest + 7, date);
}

static int print_container(void *ctx _unused_, const struct plyfs_container *c)
{
	char size[SIZE_TEXT_MAX];

	printf("%-16s  ", c->id);
	print_image(c);
	printf("%10s  ", tool_size(c->bytes, size));
	for (size_t i = 0; i < c->n_dirs; i++) {
		if (i)
			printf(", ");
		tool_put_name(c->dirs[i]);
	}
	if (!c->n_dirs)
		printf("%s", c->in_use ? "(in use)" : "-");
	putchar('\n');
	return 0;
}

static int add_container(void *ctx, const struct plyfs_container *c)
{
	json_t *dirs = json_array();

	for (size_t i = 0; dirs && i < c->n_dirs; i++)
		json_array_append_new(dirs, tool_json_bytes(c->dirs[i]));
	return json_array_append_new(
		ctx, json_pack("{ss ss sI sI so sb}", "id", c->id, "image", c->digest, "created",
			     (json_int_t)c->created, "bytes", (json_int_t)c->bytes, "mounts", dirs,
			     "in_use", c->in_use));
}

int cmd_containers(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	json_t *all = t->json ? json_array() : NULL;
	struct plyfs_error e = {.text = "cannot list the containers"};
	int r;

	if (!s)
		return 1;
	if (!t->json)
		printf("%-16s  %-12s  %-16s  %10s  %s\n", "CONTAINER", "IMAGE", "CREATED", "SIZE",
			"MOUNTED ON");
	r = plyfs_containers(s, t->json ? add_container : print_container, all, &e);
	if (r)
		return tool_fail(&e);
	return t->json ? tool_json(all) : 0;
}

int cmd_container_rm(struct tool *t)
{
	_cleanup_store_ struct plyfs_store *s = tool_store(t, false);
	struct plyfs_error e;
	int status = 0;

	if (!s)
		return 1;
	for (int i = 0; i < t->argc; i++)
		if (plyfs_container_remove(s, t->argv[i], &e) < 0)
			status = tool_fail(&e);
	return status;
}
