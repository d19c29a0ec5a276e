/* SPDX-License-Identifier: Apache-2.0 */
/*
 * N1 to N3 of a whole union: a process that changes it is killed, and the next one goes on. It must
 * show what one shows that begins anew, and know each file under the number it had.
 */
#include "test-union-image.h"

#include <signal.h>
#include <time.h>

static uint32_t seed = 1;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* The image's names, and some others. */
static uint64_t any_dir(void)
{
	static const char *const names[] = {"dir", "dir/sub", "many", "new", "dir/new", "long"};
	uint64_t node = UNION_ROOT;
	char path[32];

	if (any(5) == 0)
		return node;
	strcpy(path, names[any(6)]);
	for (char *p = strtok(path, "/"); p; p = strtok(NULL, "/")) {
		struct union_entry e;

		if (union_lookup(u, node, p, &e) || !S_ISDIR(e.st.st_mode))
			break;
		node = e.node;
	}
	return node;
}

static const char *any_name(void)
{
	static const char *const names[] = {"sub", "file", "other", "link1", "link2", "fifo", "new",
		"n001", "n002", "n003", "n100", "dir", "many"};

	return names[any(13)];
}

static void change_any(void)
{
	const uint64_t dir = any_dir(), to = any_dir();
	const char *name = any_name(), *new_name = any_name();
	struct union_entry e;

	switch (any(9)) {
	case 0:
		(void)!union_mkdir(u, &op, dir, name, 0755, &e);
		break;
	case 1:
		(void)!union_mknod(u, &op, dir, name, S_IFREG | 0644, 0, &e);
		break;
	case 2:
		(void)!union_symlink(u, &op, dir, name, "target", &e);
		break;
	case 3:
		(void)!union_unlink(u, &op, dir, name);
		break;
	case 4:
		(void)!union_rmdir(u, &op, dir, name);
		break;
	case 5:
	case 6:
		(void)!union_rename(u, &op, dir, name, to, new_name, any(3) ? 0 : RENAME_EXCHANGE);
		break;
	case 7:
		if (union_lookup(u, dir, name, &e) == 0)
			(void)!union_link(u, &op, e.node, to, new_name, &e);
		break;
	case 8:
		if (union_lookup(u, dir, name, &e) == 0 && !S_ISLNK(e.st.st_mode))
			touch(e.node);
		break;
	}
}

/* What each file is known as, by its path. */
static void describe_ids(struct lines *l, uint64_t node, const char *path)
{
	struct children c = list_all(u, node, true, 100);

	for (size_t i = 2; i < c.n; i++) {
		struct buf b = {0};
		char p[PATH_MAX];

		snprintf(p, sizeof(p), "%s/%s", path, c.v[i].name);
		CHECK(c.v[i].entry.node);
		CHECK(buf_addf(&b, "%lu %s", c.v[i].entry.node, p) == 0);
		lines_add(l, &b);
		if (c.v[i].type == DT_DIR)
			describe_ids(l, c.v[i].entry.node, p);
	}
	free(c.v);
}

/* No file is known under two numbers. */
static void check_records(void)
{
	for (uint32_t a = 2; a < session_nodes_end(session); a++)
		for (uint32_t b = 2; b < a; b++) {
			struct node_record *x = session_node(session, a),
					   *y = session_node(session, b);
			struct stat st;

			if (!x || !y || !(x->flags & y->flags & NODE_UPPER) ||
				x->upper_ino != y->upper_ino)
				continue;
			/* Unless one of them is gone. */
			if (union_getattr(u, a, &st) == 0 && st.st_nlink)
				CHECK(union_getattr(u, b, &st) == -ESTALE || st.st_nlink == 0);
		}
}

/* A copy, as what is kept for who has files open is removed by one that begins anew. */
static void check_same_as_anew(void)
{
	struct lines known = {0}, anew = {0};
	struct session *s = session;
	struct union_fs *v = u;
	int fd;

	describe_union(&known, u, UNION_ROOT, "", false, true, 50);
	shell("rm -rf %s/copy; mkdir %s/copy; cp -a %s/upper %s/work %s/copy", root, root, root,
		root, root);
	CHECK(session_new(&session, NULL) == 0);
	open_union_at("copy/upper", "copy/work", 0);
	describe_union(&anew, u, UNION_ROOT, "", false, true, 50);
	lines_check_same(&anew, &known);
	union_close(u);
	fd = session_fd(session);
	session_close(session);
	close(fd);
	lines_done(&known);
	lines_done(&anew);
	session = s;
	u = v;
}

/* One that goes on after another must know what that knew. */
static void check_same_ids(void)
{
	struct lines before = {0}, after = {0};

	describe_ids(&before, UNION_ROOT, "");
	restart();
	describe_ids(&after, UNION_ROOT, "");
	lines_check_same(&before, &after);
	lines_done(&before);
	lines_done(&after);
}

static void run_child(int fd, uint32_t number)
{
	seed = number;
	CHECK(session_attach(fd, &session, NULL) == 0);
	open_union();
	for (;;)
		change_any();
}

static void test_kills(uint32_t rounds)
{
	begin();
	for (uint32_t round = 0; round < rounds; round++) {
		const struct timespec t = {0, 4000000 + any(30000000)};
		int fd = session_fd(session), status;
		pid_t pid;

		union_close(u);
		session_close(session);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			run_child(fd, round + 1);
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fprintf(stderr, "round %u\n", round);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		CHECK(session_attach(fd, &session, NULL) == 0);
		open_union();
		check_records();
		check_same_ids();
		check_same_as_anew();
	}
	end();
}

int main(int argc, char **argv)
{
	snprintf(root, sizeof(root), "/tmp/plyfs-test-XXXXXX");
	if (geteuid() != 0)
		return 77; /* trusted xattrs */
	CHECK(mkdtemp(root));
	make_image();
	node_unused_max = 8;
	test_kills(argc > 1 ? (uint32_t)atoi(argv[1]) : 40);
	store_close(store);
	free(image.diff_ids);
	shell("rm -rf %s", root);
	return 0;
}
