/* SPDX-License-Identifier: Apache-2.0 */
/* One step: an operation is chosen, made on both sides, and what came of it compared. */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

uint32_t pcg_next(struct pcg *p)
{
	uint64_t old = p->state;
	uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);

	p->state = old * 6364136223846793005u + 1442695040888963407u;
	return (x >> turn) | (x << ((32 - turn) & 31));
}

void pcg_fill(struct pcg *p, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = pcg_next(p);

		memcpy(bytes + i, &v, n - i < 4 ? n - i : 4);
	}
}

long result(long r)
{
	return r < 0 ? -errno : r;
}

static const struct op *op_at(size_t i)
{
	return i < n_name_ops ? &name_ops[i] : &data_ops[i - n_name_ops];
}

int op_by_name(const char *name)
{
	for (size_t i = 0; i < n_name_ops + n_data_ops; i++)
		if (strcmp(op_at(i)->name, name) == 0)
			return (int)i;
	return -1;
}

static const struct op *choose_op(struct oracle *o)
{
	unsigned int total = 0, at;

	for (size_t i = 0; i < n_name_ops + n_data_ops; i++)
		total += op_at(i)->weight;
	for (;;) {
		at = pcg_below(&o->random, total);
		for (size_t i = 0; i < n_name_ops + n_data_ops; i++) {
			if (at < op_at(i)->weight && !(o->skip >> i & 1))
				return op_at(i);
			if (at < op_at(i)->weight)
				break;
			at -= op_at(i)->weight;
		}
	}
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* A name in directory `path`, which becomes the path: one that is there, or any. False: none. */
static bool descend(struct oracle *o, char *path, size_t size, bool is_new)
{
	struct dirent **names;
	size_t len = strlen(path);
	int n = scandirat(o->root_fd[1], len ? path : ".", &names, no_dots, by_name);
	char name[256];
	bool found = n > 0 || is_new;

	if (n < 0)
		return false;
	if (n > 0 && !is_new)
		strcpy(name, names[pcg_below(&o->random, (uint32_t)n)]->d_name);
	else
		sprintf(name, "%c%u", 'a' + (int)pcg_below(&o->random, 8),
			pcg_below(&o->random, 3));
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	if (!found || len + 300 > size)
		return false;
	sprintf(path + len, "%s%s", len ? "/" : "", name);
	return true;
}

static mode_t type_of(const struct oracle *o, const char *path)
{
	struct stat st;

	return fstatat(o->root_fd[1], path[0] ? path : ".", &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? 0
		       : st.st_mode & S_IFMT;
}

/* A random path: by the wish mostly, and now and then by none, for what fails. */
static void choose_path(struct oracle *o, enum want want, char *path, size_t size)
{
	for (int tries = 0; tries < 6; tries++) {
		unsigned int depth = 1 + pcg_below(&o->random, 5);

		path[0] = '\0';
		while (depth-- > 0 && type_of(o, path) == S_IFDIR && descend(o, path, size, false))
			;
		mode_t type = type_of(o, path);
		if (want == NEW && type == S_IFDIR && descend(o, path, size, true))
			return;
		if (want == DIRECTORY && type == S_IFDIR && path[0])
			return;
		if ((want == REGULAR && type == S_IFREG) || (want == ANY && path[0]))
			return;
		if (path[0] && pcg_chance(&o->random, 5))
			return;
	}
	if (!path[0])
		strcpy(path, "a0");
}

static off_t choose_offset(struct oracle *o)
{
	struct pcg *p = &o->random;

	switch (pcg_below(p, 6)) {
	case 0:
		return pcg_below(p, 100);
	case 1: /* beside the borders of blocks */
		return (off_t)pcg_below(p, SIZE_MAX_ / 4096) * 4096 + (off_t)pcg_below(p, 5);
	case 2:
		return (off_t)pcg_below(p, 64) * 4096;
	case 3:
		return pcg_below(p, SIZE_MAX_);
	default:
		return pcg_below(p, 20000);
	}
}

static void choose_args(struct oracle *o, const struct op *op, struct args *a)
{
	static const uid_t ids[] = {0, 1000, 1000, 1001, (uid_t)-1};
	struct pcg *p = &o->random;

	memset(a, 0, sizeof(*a));
	for (int i = 0; i < 2; i++)
		choose_path(o, op->want[i], a->path[i], sizeof(a->path[i]));
	a->file = (int)pcg_below(p, FILES);
	a->file2 = (int)pcg_below(p, FILES);
	a->flags = (int)pcg_below(p, 1 << 16);
	a->mode = (int)pcg_below(p, 1 << 16);
	a->n = (int)pcg_below(p, 1 << 16);
	a->off = choose_offset(o);
	a->off2 = choose_offset(o);
	a->len = pcg_chance(p, 5)    ? pcg_below(p, 512 << 10)
		 : pcg_chance(p, 30) ? (size_t)4096 * (1 + pcg_below(p, 8))
				     : pcg_below(p, 10000);
	a->seed = (uint64_t)pcg_next(p) << 32 | pcg_next(p);
	a->user = pcg_chance(p, o->users) ? 1000 : 0;
	a->uid = ids[pcg_below(p, 5)];
	a->gid = ids[pcg_below(p, 5)];
}

static void remember(
	struct oracle *o, const struct op *op, const struct args *a, const long r[SIDES])
{
	char *line = o->history + (o->count % HISTORY_LINES) * HISTORY_WIDTH;

	snprintf(line, HISTORY_WIDTH,
		"%llu %s%s '%.100s' '%.100s' file %d '%.60s' %d off %lld %lld len %zu flags %x "
		"mode %o n %d ids %d:%d: %ld, "
		"expected %ld",
		(unsigned long long)o->count, op->name, a->user ? " (user)" : "", a->path[0],
		a->path[1], a->file, o->files[a->file].path, a->file2, (long long)a->off,
		(long long)a->off2, a->len, a->flags, a->mode, a->n, (int)a->uid, (int)a->gid, r[0],
		r[1]);
}

static void close_file(struct open_file *f)
{
	for (int s = 0; s < SIDES; s++) {
		if (f->fd[s] >= 0)
			close(f->fd[s]);
		f->fd[s] = -1;
	}
}

void close_files(struct oracle *o)
{
	for (int i = 0; i < FILES; i++)
		close_file(&o->files[i]);
}

static long run_on(struct oracle *o, int s, const struct op *op, const struct args *a)
{
	long r;

	if (fchdir(o->root_fd[s]) < 0)
		return -errno;
	o->out_n[s] = 0;
	setfsgid(a->user);
	setfsuid(a->user);
	r = op->run(o, s, a);
	setfsuid(0);
	setfsgid(0);
	return r;
}

static void compare_parent(struct oracle *o, const char *path)
{
	char parent[1024];
	char *slash;

	strcpy(parent, path);
	slash = strrchr(parent, '/');
	*(slash ? slash : parent) = '\0';
	compare_path(o, parent);
}

static void compare_files(struct oracle *o, const struct args *a)
{
	struct stat st[SIDES];

	for (int i = 0; i < 2; i++) {
		int slot = i ? a->file2 : a->file;

		if (fd_of(o, 1, slot) < 0)
			continue;
		for (int s = 0; s < SIDES; s++)
			if (fstat(fd_of(o, s, slot), &st[s]) < 0)
				wrong(o, "fstat on side %d of open '%s': %s", s,
					o->files[slot].path, strerror(errno));
		compare_stat(o, o->files[slot].path, &st[0], &st[1]);
	}
}

static void compare_results(
	struct oracle *o, const struct op *op, const struct args *a, const long r[SIDES])
{
	if (r[0] != r[1])
		wrong(o, "%s: %ld (%s), expected %ld (%s)", op->name, r[0],
			r[0] < 0 ? strerror((int)-r[0]) : "", r[1],
			r[1] < 0 ? strerror((int)-r[1]) : "");
	if (o->out_n[0] != o->out_n[1] || memcmp(o->out[0], o->out[1], o->out_n[0]) != 0) {
		size_t i = 0;

		while (i < o->out_n[0] && i < o->out_n[1] && o->out[0][i] == o->out[1][i])
			i++;
		wrong(o,
			"%s: returns other data (%zu bytes, expected %zu; the first difference at "
			"%zu)",
			op->name, o->out_n[0], o->out_n[1], i);
	}
	for (int i = 0; i < 2; i++) {
		compare_path(o, a->path[i]);
		compare_parent(o, a->path[i]);
	}
	compare_files(o, a);
}

static bool is_gone(long r)
{
	return r == -ENOTCONN || r == -ECONNABORTED || r == -EIO || r == -ENODEV;
}

static bool opens(const struct op *op)
{
	return strcmp(op->name, "open") == 0;
}

int step(struct oracle *o)
{
	const struct op *op = choose_op(o);
	struct args a;
	long r[SIDES] = {0, 0};
	struct pcg content;

	choose_args(o, op, &a);
	alarm(120); /* nothing takes so long, unless for ever */
	if (op->on_file && fd_of(o, 1, a.file) < 0)
		return 0;
	if ((strcmp(op->name, "copy-range") == 0 || strcmp(op->name, "sendfile") == 0) &&
		fd_of(o, 1, a.file2) < 0)
		return 0;
	if (o->weak && strncmp(op->name, "map-", 4) == 0)
		return 0; /* another process may cut the file: SIGBUS */
	if (opens(op)) {
		close_file(&o->files[a.file]);
		strcpy(o->files[a.file].path, a.path[0]);
	}
	content.state = a.seed;
	pcg_fill(&content, o->data, a.len + 8192);
	o->count++;
	remember(o, op, &a, (long[]){999, 999}); /* should it never come back */
	o->now = &a;
	r[0] = run_on(o, 0, op, &a);
	if (is_gone(r[0]) && o->may_die) {
		say_touched(o);
		return 3;
	}
	if (o->exdev_ok && r[0] == -EXDEV)
		return 0;
	r[1] = run_on(o, 1, op, &a);
	remember(o, op, &a, r);
	if (o->weak) {
		if ((is_gone(r[0]) && r[0] != -ENODEV) || r[0] == -ENOSYS || r[0] == -EFAULT ||
			r[0] == -ESTALE)
			wrong(o, "%s: %s", op->name, strerror((int)-r[0]));
		return 0;
	}
	compare_results(o, op, &a, r);
	return 0;
}
