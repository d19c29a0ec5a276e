/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"
#include "buf.h"
#include "bytes.h"
#include "err.h"
#include "io.h"
#include "relay.h"
#include "temp-file.h"
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_buf(void)
{
	_cleanup_buf_ struct buf b = {0};

	CHECK(buf_add(&b, "", 0) == 0 && b.n == 0 && b.p && b.p[0] == 0);
	for (int i = 0; i < 1000; i++)
		CHECK(buf_addf(&b, "%03d", i) == 0 && b.p[b.n] == 0);
	CHECK(b.n == 3000 && memcmp(b.p, "000001", 6) == 0 &&
		strcmp((char *)b.p + 2997, "999") == 0);
	CHECK(buf_add_zero(&b, 5) == 0 && b.n == 3005 && memcmp(b.p + 3000, "\0\0\0\0\0", 6) == 0);
	CHECK(buf_addf(&b, "%s", "") == 0 && b.n == 3005);
	CHECK(buf_reserve(&b, SIZE_MAX) == -ENOMEM && buf_reserve(&b, SIZE_MAX / 4) == -ENOMEM);
	CHECK(b.n == 3005);
	buf_done(&b);
	buf_done(&b);
	CHECK(!b.p && !b.n && !b.room);
}

static void test_arena(void)
{
	static const size_t sizes[] = {1, 7, 8, 9, 4096, 32767, 32768, 32769, 300000, 0};
	struct arena a = {0};
	uint8_t *last = NULL;

	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			uint8_t *p = arena_alloc(&a, sizes[i]);

			CHECK(p && (uintptr_t)p % 8 == 0);
			for (size_t k = 0; k < sizes[i]; k++)
				CHECK(p[k] == 0);
			memset(p, 0xff, sizes[i]); /* neighbours must stay zero */
		}
	}
	last = arena_copy(&a, "text", 5);
	CHECK(last && strcmp((char *)last, "text") == 0);
	CHECK(arena_copy(&a, NULL, 0));
	CHECK(!arena_alloc(&a, SIZE_MAX) && !arena_alloc(&a, SIZE_MAX / 2 + 1));
	arena_done(&a);
	arena_done(&a);
	CHECK(!a.blocks && !a.total);
	CHECK(arena_alloc(&a, 300000) && arena_alloc(&a, 1)); /* a big one first */
	arena_done(&a);
}

static void test_bytes(void)
{
	static const uint8_t raw[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct bytes b = bytes_of(raw, sizeof(raw)), s;

	CHECK(bytes_u8(&b) == 1 && bytes_le16(&b) == 0x0302 && bytes_le32(&b) == 0x07060504u);
	CHECK(bytes_le64(&b) == 0x0f0e0d0c0b0a0908u && b.n == 0 && !b.bad);
	CHECK(bytes_take(&b, 0) && !b.bad);
	CHECK(bytes_u8(&b) == 0 && b.bad && !bytes_take(&b, 0));
	b = bytes_of(raw, 3);
	CHECK(bytes_le32(&b) == 0 && b.bad && b.n == 0 && bytes_u8(&b) == 0);
	b = bytes_of(raw, sizeof(raw));
	s = bytes_sub(b, 3, 2);
	CHECK(!s.bad && s.n == 2 && s.p[0] == 4);
	CHECK(!bytes_sub(b, 15, 0).bad && bytes_sub(b, 16, 0).bad && bytes_sub(b, 15, 1).bad);
	CHECK(bytes_sub(b, UINT64_MAX, 2).bad && bytes_sub(b, 2, UINT64_MAX).bad);
	CHECK(bytes_sub(bytes_sub(b, 16, 1), 0, 0).bad);
}

static void test_err(void)
{
	struct err e = {0};
	char big[2000];

	CHECK(err_set(NULL, -EIO, "x") == -EIO && err_prefix(NULL, -EIO, "x") == -EIO);
	CHECK(err_set(&e, -EIO, "first\n%d", 7) == -EIO && e.code == -EIO);
	CHECK(strcmp(e.text, "first?7") == 0);
	CHECK(err_sys(&e, -ENOENT, "second") == -ENOENT && e.code == -EIO);
	CHECK(err_prefix(&e, -EINVAL, "in '%s'", "\033[1m") == -EINVAL && e.code == -EINVAL);
	CHECK(strcmp(e.text, "in '?[1m': first?7") == 0);
	e = (struct err){0};
	CHECK(err_prefix(&e, -ERR_DIGEST, "place") == -ERR_DIGEST);
	CHECK(strcmp(e.text, "place: content does not match its digest") == 0);
	e = (struct err){0};
	CHECK(err_sys(&e, -ENOENT, "file") == -ENOENT && strstr(e.text, "file: No such file"));
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	for (int i = 0; i < 3; i++)
		CHECK(err_prefix(&e, -EIO, "%s", big) == -EIO &&
			strlen(e.text) == sizeof(e.text) - 1);
	e = (struct err){0};
	CHECK(err_sys(&e, -EIO, "%s", big) == -EIO && strlen(e.text) == sizeof(e.text) - 1);
	for (int code = ERR_FIRST; code < ERR_LAST; code++)
		CHECK(err_text(-code) && *err_text(-code));
	CHECK(*err_text(-EIO) && *err_text(0) && *err_text(-100000));
}

static void in_temporary_directory(char path[32])
{
	snprintf(path, 32, "/tmp/plyfs-test-XXXXXX");
	CHECK(mkdtemp(path) && chdir(path) == 0);
}

static void test_io_files(void)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_close_ int fd = -1;
	char path[32], data[70000];
	size_t n;

	in_temporary_directory(path);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i % 251);
	CHECK(io_write_file(AT_FDCWD, "f", data, sizeof(data)) == 0);
	CHECK(io_write_file(AT_FDCWD, "f", data, 66000) == 0); /* replaces */
	CHECK(io_write_file(AT_FDCWD, "no/f", data, 1) == -ENOENT);
	fd = open("f", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && io_slurp(fd, 66000, &b) == 0 && b.n == 66000 && !memcmp(b.p, data, 66000));
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && io_slurp(fd, 65999, &b) == -EFBIG);
	CHECK(io_pread(fd, data, 10, 65995, &n) == 0 && n == 5);
	CHECK(io_pread_full(fd, data, 10, 65995) == -EIO && io_pread_full(fd, data, 5, 65995) == 0);
	CHECK(io_pread(fd, data, 10, UINT64_MAX, &n) == -EOVERFLOW);
	CHECK(io_pwrite_full(fd, "xyz", 3, 100000) == 0 && io_pread_full(fd, data, 3, 100000) == 0);
	CHECK(memcmp(data, "xyz", 3) == 0);
	CHECK(io_write_full(-1, "x", 1) == -EBADF && io_read(-1, data, 1, &n) == -EBADF);
	CHECK(io_mkdir(AT_FDCWD, "d", 0700) == 0 && io_mkdir(AT_FDCWD, "d", 0700) == 0);
	CHECK(io_mkdir(AT_FDCWD, "f", 0700) == -ENOTDIR &&
		io_mkdir(AT_FDCWD, "no/d", 0700) == -ENOENT);
	CHECK(io_fsync_dir(AT_FDCWD, "d") == 0 && io_fsync_dir(AT_FDCWD, "no") == -ENOENT);
	CHECK(unlink("f") == 0 && rmdir("d") == 0 &&
		rmdir(path) == 0); /* and nothing else is left */
}

/* Two that write the same file at once both succeed, and it is never seen half. */
static void test_io_race(void)
{
	char path[32], data[100], got[100];
	int status;

	memset(data, 'x', sizeof(data));
	in_temporary_directory(path);
	for (int child = 0; child < 4; child++) {
		if (fork() != 0)
			continue;
		for (int i = 0; i < 100; i++) {
			_cleanup_close_ int fd = -1;

			if (io_write_file(AT_FDCWD, "f", data, sizeof(data)) != 0)
				_exit(1);
			fd = open("f", O_RDONLY | O_CLOEXEC);
			if (fd < 0 || io_pread_full(fd, got, sizeof(got), 0) != 0)
				_exit(2);
		}
		_exit(0);
	}
	for (int child = 0; child < 4; child++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(unlink("f") == 0 && rmdir(path) == 0);
}

/* --- relay --------------------------------------------------------------------------------- */

#define RELAY_BYTES ((size_t)9 << 20) /* twice what the slabs hold, and a bit */

struct reading {
	struct source *in;
	size_t stop; /* gives up after so many bytes; 0: never */
	unsigned int delay_us;
	struct relay *relay;
	size_t n;
	int code;
	struct err e;
};

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 4096);
}

static void *read_all(void *arg)
{
	struct reading *d = arg;
	const uint8_t *p;
	size_t n;

	while ((d->code = d->in->next(d->in, &p, &n, &d->e)) == 1) {
		CHECK(n > 0 && p[0] == pattern(d->n) && p[n - 1] == pattern(d->n + n - 1));
		d->n += n;
		if (d->delay_us)
			usleep(d->delay_us);
		if (d->stop && d->n >= d->stop) {
			relay_abort(d->relay);
			return NULL;
		}
	}
	return NULL;
}

static int write_pattern(struct sink *s, size_t total, size_t step)
{
	for (size_t done = 0; done < total;) {
		uint8_t *room;
		size_t n;
		int r = s->room(s, &room, &n);

		if (r < 0)
			return r;
		n = n < step ? n : step;
		n = n < total - done ? n : total - done;
		for (size_t i = 0; i < n; i++)
			room[i] = pattern(done + i);
		r = s->fill(s, n);
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

/* Runs a relay; the result of writing is returned, those of the readers are in `d`. */
static int run_relay(struct reading *d, unsigned int readers, size_t total, int code)
{
	struct err e = {.code = -EIO, .text = "the writer's reason"};
	struct relay *relay = relay_new(readers);
	pthread_t threads[2];
	int r;

	CHECK(relay);
	for (unsigned int i = 0; i < readers; i++) {
		d[i].in = relay_source(relay, i);
		d[i].relay = relay;
		CHECK(pthread_create(&threads[i], NULL, read_all, &d[i]) == 0);
	}
	r = write_pattern(relay_sink(relay), total, 10007);
	relay_end(relay, code, code ? &e : NULL);
	for (unsigned int i = 0; i < readers; i++)
		pthread_join(threads[i], NULL);
	relay_free(relay);
	return r;
}

static void test_relay(void)
{
	struct reading all[2] = {{0}}, slow[2] = {{.delay_us = 5000}, {0}}, empty[1] = {{0}};

	CHECK(run_relay(all, 2, RELAY_BYTES, 0) == 0);
	CHECK(all[0].n == RELAY_BYTES && all[1].n == RELAY_BYTES && !all[0].code && !all[1].code);
	CHECK(run_relay(slow, 2, RELAY_BYTES, 0) == 0);
	CHECK(slow[0].n == RELAY_BYTES && slow[1].n == RELAY_BYTES);
	CHECK(run_relay(empty, 1, 0, 0) == 0 && empty[0].n == 0 && empty[0].code == 0);
	relay_free(NULL);
}

static void test_relay_failure(void)
{
	struct reading d[2] = {{0}};

	CHECK(run_relay(d, 2, 100000, -EIO) == 0);
	CHECK(d[0].code == -EIO && d[1].code == -EIO &&
		strcmp(d[0].e.text, "the writer's reason") == 0);
	CHECK(d[0].n == d[1].n && d[0].n <= 100000);
}

static void test_relay_abort(void)
{
	struct reading d[2] = {{.stop = 1 << 20}, {0}};

	CHECK(run_relay(d, 2, (size_t)64 << 20, 0) == -ECANCELED);
	CHECK(d[0].n >= 1 << 20 && (d[1].code == -ECANCELED || d[1].code == 0));
}

static size_t count_files(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fdopendir(fd);
	size_t n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	return n - 2;
}

static void check_content(int dirfd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY);
	_cleanup_buf_ struct buf b = {0};

	CHECK(fd >= 0 && io_slurp(fd, 100, &b) == 0);
	CHECK(strcmp((char *)b.p, text) == 0);
}

/* New, in place of another, parked, given up; `named`: as where O_TMPFILE is not known. */
static void check_temp_file(int dirfd, bool named)
{
	struct temp_file t = TEMP_FILE_NONE;

	for (int i = 0; i < 2; i++) {
		CHECK(temp_file_open(dirfd, &t) == 0);
		if (named && !t.name[0]) {
			strcpy(t.name, TEMP_FILE_PREFIX "x");
			close(t.fd);
			t.fd = openat(dirfd, t.name, O_RDWR | O_CREAT | O_EXCL, 0600);
		}
		CHECK(io_write_full(t.fd, i ? "two" : "one", 3) == 0);
		CHECK(count_files(dirfd) == (size_t)(i + (t.name[0] != 0)));
		CHECK(temp_file_name(&t, dirfd, "file") == 0);
		temp_file_done(&t);
		CHECK(count_files(dirfd) == 1);
		check_content(dirfd, "file", i ? "two" : "one");
	}
	CHECK(temp_file_open(dirfd, &t) == 0);
	CHECK(io_write_full(t.fd, "three", 5) == 0);
	CHECK(temp_file_park(&t) == 0 && t.fd < 0 && count_files(dirfd) == 2);
	CHECK(temp_file_name(&t, dirfd, "file") == 0);
	temp_file_done(&t);
	check_content(dirfd, "file", "three");
	CHECK(temp_file_open(dirfd, &t) == 0 && temp_file_park(&t) == 0);
	temp_file_done(&t);
	CHECK(count_files(dirfd) == 1);
	CHECK(temp_file_open(dirfd, &t) == 0);
	CHECK(temp_file_name(&t, dirfd, "no/such") == -ENOENT);
	temp_file_done(&t);
	CHECK(count_files(dirfd) == 1 && unlinkat(dirfd, "file", 0) == 0);
	/* a name that cannot be taken: nothing is left */
	CHECK(mkdirat(dirfd, "dir", 0700) == 0);
	CHECK(temp_file_open(dirfd, &t) == 0);
	CHECK(temp_file_name(&t, dirfd, "dir") == -EISDIR);
	temp_file_done(&t);
	CHECK(count_files(dirfd) == 1 && unlinkat(dirfd, "dir", AT_REMOVEDIR) == 0);
}

static void test_temp_file(void)
{
	char path[] = "/tmp/test-util-XXXXXX";
	_cleanup_close_ int dirfd = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY) : -1;

	CHECK(dirfd >= 0);
	check_temp_file(dirfd, false);
	check_temp_file(dirfd, true);
	CHECK(rmdir(path) == 0);
}

int main(void)
{
	test_buf();
	test_arena();
	test_bytes();
	test_err();
	test_io_files();
	test_io_race();
	test_temp_file();
	test_relay();
	test_relay_failure();
	test_relay_abort();
	return 0;
}
