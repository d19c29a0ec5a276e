/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upper and lower directories that the kernel's overlayfs wrote, by random operations: the union
 * must show them as overlayfs does, name by name.
 */
#include "test-union.h"

#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#define LAYERS 3

static char root[32];
static uint32_t seed;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* "/c/a/b": up to three names of a few. */
static const char *any_path(char p[PATH_MAX], const char *base)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	int n = snprintf(p, PATH_MAX, "%s", base);

	for (uint32_t depth = any(3) + 1; depth; depth--)
		n += snprintf(p + n, PATH_MAX - (size_t)n, "/%s", names[any(5)]);
	return p;
}

static void write_file(const char *path, uint32_t size)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0644);
	char data[64];

	memset(data, 'a' + (int)any(26), sizeof(data));
	if (fd >= 0) {
		CHECK(write(fd, data, size % sizeof(data)) >= 0 || errno == EPIPE);
		close(fd);
	}
}

/* What fails fails: it is the kernel's affair. */
static void any_operation(const char *base)
{
	char p[PATH_MAX], q[PATH_MAX], value[16];
	struct timespec times[2] = {{1000 + any(1000), 5}, {2000 + any(1000), 7}};

	any_path(p, base);
	switch (any(16)) {
	case 0:
	case 1:
	case 2:
		(void)!mkdir(p, 0755);
		break;
	case 3:
	case 4:
	case 5:
		write_file(p, any(60));
		break;
	case 6:
		(void)!unlink(p);
		break;
	case 7:
		(void)!rmdir(p);
		break;
	case 8:
	case 9:
	case 10:
		(void)!rename(p, any_path(q, base));
		break;
	case 11:
		(void)!link(p, any_path(q, base));
		break;
	case 12:
		(void)!symlink("some/where", p);
		break;
	case 13:
		(void)!(any(2) ? lchown(p, any(9), any(9))
			       : fchmodat(AT_FDCWD, p, 0600 | any(64), AT_SYMLINK_NOFOLLOW));
		break;
	case 14:
		snprintf(value, sizeof(value), "%u", any(1000));
		(void)!lsetxattr(p, any(2) ? "user.x" : "trusted.y", value, strlen(value), 0);
		break;
	case 15:
		(void)!(any(2) ? mkfifo(p, 0600)
			       : utimensat(AT_FDCWD, p, times, AT_SYMLINK_NOFOLLOW));
		break;
	}
}

/* The lower layers of layer n, as overlayfs takes them: "l1:l0". */
static char *lower_dirs(int n, char ret[256])
{
	int at = 0;

	for (int i = n - 1; i >= 0; i--)
		at += snprintf(ret + at, 256 - (size_t)at, "%s%s/l%d", at ? ":" : "", root, i);
	return ret;
}

static bool mount_layer(int n)
{
	char options[1024], lowers[256], dir[64];

	snprintf(dir, sizeof(dir), "%s/m", root);
	snprintf(options, sizeof(options),
		"lowerdir=%s,upperdir=%s/l%d,workdir=%s/w%d,redirect_dir=on,index=on,xino=off",
		lower_dirs(n, lowers), root, n, root, n);
	return mount("overlay", dir, "overlay", 0, options) == 0;
}

static void unmount(void)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "%s/m", root);
	CHECK(umount(dir) == 0);
}

static void make_layers(int operations)
{
	char dir[64];

	shell("mkdir -p %s/m", root);
	for (int n = 0; n <= LAYERS; n++) {
		shell("mkdir %s/l%d %s/w%d", root, n, root, n);
		if (n && !mount_layer(n)) {
			perror("overlayfs cannot be mounted here");
			shell("rm -rf %s", root);
			exit(77);
		}
		snprintf(dir, sizeof(dir), "%s/%s", root, n ? "m" : "l0");
		for (int i = 0; i < operations; i++)
			any_operation(dir);
		if (n)
			unmount();
	}
}

static struct union_fs *open_union(struct session *s)
{
	struct lower *lowers[LAYERS];
	struct union_config c = {.lowers = lowers, .n_lowers = LAYERS};
	struct union_fs *u;
	char path[64], work[64];
	struct err e = {0};

	for (int i = 0; i < LAYERS; i++) {
		snprintf(path, sizeof(path), "%s/l%d", root, LAYERS - 1 - i);
		CHECK(lower_dir_open(path, false, &lowers[i], NULL) == 0);
	}
	snprintf(path, sizeof(path), "%s/l%d", root, LAYERS);
	snprintf(work, sizeof(work), "%s/w%d", root, LAYERS);
	if (upper_open(path, work, session_is_attached(s) ? UPPER_RESUME : 0, &c.upper, &e) < 0 ||
		union_open(&c, s, &u, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return u;
}

/* All nodes, by their ids, as the kernel goes on using them. */
static void describe_known(struct lines *l, struct union_fs *u, struct session *s)
{
	char id[16];

	for (uint32_t n = 1; n < session_nodes_end(s); n++) {
		snprintf(id, sizeof(id), "%u", n);
		if (session_node(s, n))
			describe_node(l, u, n, id, true);
	}
}

static void look_up_all(struct union_fs *u, uint64_t node)
{
	struct children c = list_all(u, node, true, 1000);

	for (size_t i = 2; i < c.n; i++)
		if (c.v[i].type == DT_DIR)
			look_up_all(u, c.v[i].entry.node);
	free(c.v);
}

/* A process that comes after shows the same nodes as the one before. */
static void test_restart(struct session *s)
{
	struct lines before = {0}, after = {0};
	struct union_fs *u = open_union(s);
	struct session *t;
	int fd = session_fd(s);

	look_up_all(u, UNION_ROOT);
	describe_known(&before, u, s);
	union_close(u);
	CHECK(session_attach(fd, &t, NULL) == 0 && session_is_attached(t));
	u = open_union(t);
	look_up_all(u, UNION_ROOT);
	CHECK(count_records(t) == before.n);
	describe_known(&after, u, t);
	lines_check_same(&before, &after);
	for (uint32_t n = 2; n < session_nodes_end(t); n++)
		if (session_node(t, n))
			union_forget(u, n, session_node(t, n)->lookups);
	CHECK(count_records(t) == 1);
	union_close(u);
	session_close(t);
	lines_done(&before);
	lines_done(&after);
}

static void test_round(uint32_t number, int operations)
{
	struct lines kernel = {0}, ours = {0};
	struct union_fs *u;
	struct session *s;
	char dir[64];

	seed = number;
	node_unused_max = number % 3 ? 4 : 16384;
	make_layers(operations);
	CHECK(mount_layer(LAYERS));
	snprintf(dir, sizeof(dir), "%s/m", root);
	describe_path(&kernel, dir, "", true);
	unmount();
	CHECK(session_new(&s, NULL) == 0);
	u = open_union(s);
	describe_union(&ours, u, UNION_ROOT, "", true, number & 1, 1 + number % 4);
	lines_check_same(&kernel, &ours);
	CHECK(count_records(s) == 1);
	union_close(u);
	test_restart(s);
	close(session_fd(s));
	session_close(s);
	lines_done(&kernel);
	lines_done(&ours);
	shell("rm -rf %s/*", root);
}

int main(int argc, char **argv)
{
	uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 12;
	uint32_t first = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;

	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	CHECK(mkdtemp(root));
	for (uint32_t i = first; i < first + rounds; i++) {
		fprintf(stderr, "round %u\n", i);
		test_round(i, i % 4 == 0 ? 600 : 150);
	}
	shell("rm -rf %s", root);
	return 0;
}
