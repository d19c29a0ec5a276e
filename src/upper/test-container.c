/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"
#include "image/fsck.h"
#include "image/import.h"
#include "store/gc.h"
#include "store/usage.h"
#include "util/io.h"
#include "util/remove.h"
#include "util/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[64];

static struct store *open_store(void)
{
	struct store *s;

	CHECK(store_open(root, true, &s, NULL) == 0);
	return s;
}

/* A store with one image whose root is 0711, 3:4, and without its name. */
static struct store *new_store(struct digest *ret_image)
{
	static const char text[] = "/ type=dir mode=0711 uid=3 gid=4 time=1234567890.5\n"
				   "/f type=file mode=0644 inline=hello\n";
	struct store *s;
	char path[96];
	struct err e = {0};
	int fd;

	snprintf(root, sizeof(root), "/var/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(root));
	snprintf(path, sizeof(path), "%s.m", root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && io_write_full(fd, text, strlen(text)) == 0);
	close(fd);
	s = open_store();
	snprintf(path, sizeof(path), "manifest:%s.m", root);
	if (image_import(s, path, "x:1", NULL, ret_image, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	CHECK(unlink(path + strlen("manifest:")) == 0);
	return s;
}

static void forget_name(struct store *s)
{
	MDB_txn *txn;

	CHECK(txn_begin(s, true, &txn, NULL) == 0);
	CHECK(record_delete_name(s, txn, "x:1") == 0);
	CHECK(txn_commit(&txn, NULL) == 0);
}

static void drop_store(struct store *s)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	store_close(s);
	CHECK(fd >= 0 && remove_below(fd) == 0 && rmdir(root) == 0);
	close(fd);
}

static uint64_t collect(struct store *s)
{
	struct gc_stats st;

	CHECK(store_gc(s, NULL, &st, NULL) == 0);
	return st.images;
}

static bool exists(struct store *s, const char *path)
{
	return faccessat(s->dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_names(void)
{
	char longest[CONTAINER_ID_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	CHECK(container_id_valid(longest, CONTAINER_ID_MAX));
	CHECK(!container_id_valid(longest, CONTAINER_ID_MAX + 1));
	CHECK(container_id_valid("A-b_c.9", 7));
	for (const char *const *p = (const char *const[]){"", ".", "..", "-a", ".a", "_", "a/b",
		     "a b", "a\n", NULL};
		*p; p++)
		CHECK(container_check_id(*p, NULL) == -EINVAL);
}

static void test_life(void)
{
	struct digest image;
	struct store *s = new_store(&image);
	_cleanup_free_ struct container *all = NULL;
	_cleanup_free_ char *upper = NULL, *work = NULL;
	struct lock lock = LOCK_NONE, other = LOCK_NONE;
	struct container c, d, found;
	struct usage_totals t;
	struct err e = {0};
	struct stat st;
	size_t n;

	CHECK(container_create(s, "one", &image, &c, NULL) == 0 && strcmp(c.id, "one") == 0);
	CHECK(container_create(s, "one", &image, &d, &e) == -ERR_CONFLICT);
	CHECK(container_create(s, "../x", &image, &d, NULL) == -EINVAL);
	CHECK(container_create(s, NULL, &image, &d, NULL) == 0 && strlen(d.id) == 12);
	CHECK(container_paths(s, &c, &upper, &work, NULL) == 0);
	CHECK(stat(upper, &st) == 0 && (st.st_mode & 07777) == 0711 &&
		st.st_mtim.tv_sec == 1234567890 && st.st_mtim.tv_nsec == 500000000);
	CHECK(geteuid() != 0 || (st.st_uid == 3 && st.st_gid == 4));
	CHECK(fstatat(s->dirfd, "containers", &st, 0) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(container_find(s, "one", &found, NULL) == 0 && digest_equal(&found.image, &image));
	CHECK(found.created == c.created && found.created > 0);
	CHECK(container_find(s, "on", &found, NULL) == -ERR_ABSENT);
	d.id[5] = 0; /* a beginning */
	CHECK(container_find(s, d.id, &found, NULL) == 0);
	CHECK(container_find(s, "../one", &found, NULL) == -ERR_ABSENT);
	CHECK(container_list(s, &all, &n, NULL) == 0 && n == 2);
	CHECK(usage_totals(s, &t, NULL) == 0 && t.containers == 2 && t.container_bytes > 0);
	/* its image lives without a name */
	forget_name(s);
	CHECK(collect(s) == 0);
	CHECK(container_lock(s, &c, &lock, NULL) == 0);
	CHECK(container_lock(s, &c, &other, NULL) == -ERR_CONFLICT);
	CHECK(container_remove(s, &c, NULL) == 0 && !exists(s, "containers/one"));
	CHECK(container_remove(s, &c, NULL) == -ERR_ABSENT);
	lock_release(&lock);
	CHECK(container_remove(s, &found, NULL) == 0);
	CHECK(collect(s) == 1);
	drop_store(s);
}

/* What a killed creation or removal leaves is gc's, unless somebody has the lock. */
static void test_leftovers(void)
{
	struct digest image;
	struct store *s = new_store(&image);
	struct lock lock = LOCK_NONE;
	struct container c;

	CHECK(container_create(s, "kept", &image, &c, NULL) == 0);
	CHECK(mkdirat(s->dirfd, "containers/half", 0700) == 0);
	CHECK(mkdirat(s->dirfd, "containers/half/upper", 0) == 0);
	CHECK(mkdirat(s->dirfd, "containers/-odd", 0700) == 0);
	CHECK(container_take_lock(s, "half", &lock, NULL) == 0);
	CHECK(collect(s) == 0 && exists(s, "containers/half") && !exists(s, "containers/-odd"));
	lock_release(&lock);
	CHECK(collect(s) == 0 && !exists(s, "containers/half") && exists(s, "containers/kept"));
	/* its place can be taken without a gc */
	CHECK(mkdirat(s->dirfd, "containers/two", 0700) == 0);
	CHECK(mkdirat(s->dirfd, "containers/two/rest", 0700) == 0);
	CHECK(container_create(s, "two", &image, &c, NULL) == 0);
	CHECK(!exists(s, "containers/two/rest") && exists(s, "containers/two/upper"));
	drop_store(s);
}

/* Killed at any instant: the store opens, a container is whole or not there, and gc cleans. */
static void test_killed(void)
{
	struct digest image;
	struct store *s = new_store(&image);
	int whole = 0, absent = 0;

	store_close(s);
	for (unsigned int us = 0; us < 6000; us += 300) {
		struct container c;
		pid_t pid = fork();
		int r;

		CHECK(pid >= 0);
		if (pid == 0) {
			s = open_store();
			_exit(container_create(s, "k", &image, &c, NULL) < 0);
		}
		usleep(us);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, NULL, 0) == pid);
		s = open_store();
		r = container_find(s, "k", &c, NULL);
		CHECK(r == 0 || r == -ERR_ABSENT);
		CHECK(collect(s) == 0);
		CHECK(exists(s, "containers/k/upper") == (r == 0));
		CHECK(exists(s, "containers/k") == (r == 0));
		whole += r == 0;
		absent += r != 0;
		if (r == 0)
			CHECK(container_remove(s, &c, NULL) == 0);
		store_close(s);
	}
	CHECK(absent > 0 && whole + absent == 20);
	drop_store(open_store());
}

/* A store of a version that knew no containers. */
static void test_older_store(void)
{
	struct digest image;
	struct store *s = new_store(&image);
	struct container c;
	struct gc_stats st;
	MDB_txn *txn;

	CHECK(txn_begin(s, true, &txn, NULL) == 0);
	CHECK(mdb_drop(txn, s->containers, 1) == 0 && txn_commit(&txn, NULL) == 0);
	CHECK(unlinkat(s->dirfd, "containers", AT_REMOVEDIR) == 0);
	store_close(s);
	s = open_store();
	CHECK(store_gc(s, NULL, &st, NULL) == 0);
	CHECK(container_find(s, "some", &c, NULL) == -ERR_ABSENT);
	CHECK(container_create(s, "some", &image, &c, NULL) == 0);
	CHECK(container_find(s, "some", &c, NULL) == 0);
	drop_store(s);
}

struct problems {
	int n;
	char text[256];
};

static void note(void *ctx, const struct fsck_problem *p)
{
	struct problems *q = ctx;

	q->n++;
	snprintf(q->text, sizeof(q->text), "%s: %s", p->kind, p->text);
}

static void test_fsck(void)
{
	struct digest image;
	struct store *s = new_store(&image);
	struct problems q = {0};
	struct fsck_options o = {.problem = note, .ctx = &q};
	struct fsck_stats st = {0};
	struct container c;

	CHECK(container_create(s, "one", &image, &c, NULL) == 0);
	CHECK(store_fsck(s, &o, &st, NULL) == 0 && q.n == 0 && st.containers == 1);
	CHECK(unlinkat(s->dirfd, "containers/one/work", AT_REMOVEDIR) == 0);
	CHECK(store_fsck(s, &o, &st, NULL) == 0 && q.n == 1);
	CHECK(strstr(q.text, "container: container 'one': containers/one/work is missing"));
	CHECK(mkdirat(s->dirfd, "containers/one/work", 0700) == 0);
	CHECK(mkdirat(s->dirfd, "containers/left", 0700) == 0);
	q.n = 0;
	CHECK(store_fsck(s, &o, &st, NULL) == 0 && q.n == 1 && st.leftovers == 1);
	CHECK(strstr(q.text, "leftover: containers/left"));
	drop_store(s);
}

int main(void)
{
	test_names();
	test_life();
	test_leftovers();
	test_killed();
	test_older_store();
	test_fsck();
	return 0;
}
