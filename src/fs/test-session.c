/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, and N1: whatever instant a process is killed at, the next one finds each change done or
 * not done. A child is stopped after each machine instruction of all kinds of changes.
 */
#include "session.h"
#include "util/io.h"
#include "util/test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static struct session *attach(int fd)
{
	struct session *s;
	struct err e = {0};

	if (session_attach(fd, &s, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	CHECK(session_is_attached(s) && session_fd(s) == fd);
	return s;
}

static void new_node(struct session *s, uint64_t ino, uint32_t *ret)
{
	const struct node_record r = {.lookups = 1,
		.upper_ino = ino,
		.ino = ino + 1,
		.flags = NODE_UPPER,
		.mode = S_IFREG};

	CHECK(session_node_new(s, &r, ret) == 0);
}

static void end(struct session *s)
{
	int fd = session_fd(s);

	session_close(s);
	close(fd);
}

/* All that a later process sees. */
static char *describe(struct session *s)
{
	struct buf b = {0};
	uint64_t value;

	CHECK(buf_add(&b, "", 0) == 0);
	for (uint32_t id = 1; id < session_nodes_end(s); id++) {
		const struct node_record *r = session_node(s, id);
		struct session_name n;
		uint64_t at = 0;

		if (!r)
			continue;
		CHECK(buf_addf(&b, "%u: %lu lookups, ino %lu %lu, mode %o;", id, r->lookups,
			      r->upper_ino, r->ino, r->mode) == 0);
		while (session_name_next(s, id, &at, &n) == 1)
			CHECK(strlen(n.name) == n.len &&
				buf_addf(&b, " %u/%s", n.parent, n.name) == 0);
		CHECK(buf_addf(&b, "\n") == 0);
	}
	for (uint64_t u = 1; u < 9; u++)
		if (session_note_find(s, u, &value) == 0)
			CHECK(buf_addf(&b, "note %lu %lu\n", u, value) == 0);
	CHECK(buf_addf(&b, ".") == 0);
	return (char *)b.p;
}

static void test_nodes(void)
{
	struct session *s;
	uint32_t a, b, c;

	CHECK(session_new(&s, NULL) == 0 && !session_is_attached(s));
	CHECK(!session_node(s, 0) && !session_node(s, 1) && !session_node(s, UINT64_MAX));
	new_node(s, 10, &a);
	new_node(s, 20, &b);
	CHECK(a == 1 && b == 2 && session_node(s, b)->upper_ino == 20);
	session_node_free(s, a);
	CHECK(!session_node(s, a));
	new_node(s, 30, &c);
	CHECK(c == a && session_node(s, c)->lookups == 1 && !session_node(s, c)->names);
	CHECK(session_nodes_end(s) == 3);
	memset(session_transport(s), 7, SESSION_TRANSPORT_SIZE);
	CHECK(session_node(s, c)->upper_ino == 30);
	end(s);
}

static void test_names(void)
{
	struct session *s, *t;
	char name[256], *before, *after;
	uint32_t id;

	CHECK(session_new(&s, NULL) == 0);
	new_node(s, 1, &id);
	memset(name, 'x', sizeof(name));
	for (size_t len = 1; len <= 255; len++)
		CHECK(session_name_add(s, id, (uint32_t)len, name, len) == 0);
	for (size_t len = 1; len <= 255; len += 2)
		session_name_remove(s, id, (uint32_t)len, name, len);
	session_name_remove(s, id, 7, "not there", 9);
	before = describe(s);
	t = attach(session_fd(s));
	after = describe(t);
	CHECK(strcmp(before, after) == 0);
	/* What is free is found: adding the same again needs no new room. */
	for (size_t len = 1; len <= 255; len += 2)
		CHECK(session_name_add(t, id, 9, name, len) == 0);
	for (uint64_t at = 0, i = 0; i < 255; i++) {
		struct session_name n;

		CHECK(session_name_next(t, id, &at, &n) == 1 && n.at < 255 * 280);
	}
	free(before);
	free(after);
	session_close(t);
	end(s);
}

static void test_notes(void)
{
	struct session *s;
	uint64_t v;

	CHECK(session_new(&s, NULL) == 0);
	for (uint64_t u = 1; u <= 64; u++)
		session_note(s, u, u * 2);
	session_note(s, 64, 5);
	CHECK(session_note_find(s, 64, &v) == 0 && v == 5);
	CHECK(session_note_find(s, 65, &v) == 1 && session_note_find(s, 0, &v) == 1);
	session_note_remove(s, 3);
	CHECK(session_note_find(s, 3, &v) == 1);
	session_note(s, 65, 1);
	CHECK(session_note_find(s, 65, &v) == 0 && session_note_find(s, 1, &v) == 0);
	session_note(s, 66, 1);
	CHECK(session_note_find(s, 66, &v) == 0 && session_note_find(s, 1, &v) == 1);
	end(s);
}

/* Other versions, and what is no session. */
static void test_refused(void)
{
	struct session *s, *t;
	uint8_t *p;
	int fd = memfd_create("x", 0);

	CHECK(session_attach(fd, &t, NULL) == -ERR_UNSUPPORTED);
	close(fd);
	CHECK(session_new(&s, NULL) == 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, session_fd(s), 0);
	CHECK(p != MAP_FAILED);
	for (size_t i = 0; i < 24; i++) { /* magic number, version, sizes */
		p[i] ^= 0x40;
		CHECK(session_attach(session_fd(s), &t, NULL) == -ERR_UNSUPPORTED);
		p[i] ^= 0x40;
	}
	munmap(p, 4096);
	end(s);
}

/* ---- step by step -----------------------------------------------------------------------------
 */

#define STEPS 14

static void change(struct session *s, int step)
{
	static const char *const names[] = {"first", "second", "third"};
	uint32_t id;

	switch (step) {
	case 0:
		new_node(s, 10, &id);
		break;
	case 1:
	case 2:
	case 3:
		CHECK(session_name_add(s, 1, 7, names[step - 1], strlen(names[step - 1])) == 0);
		break;
	case 4:
		new_node(s, 20, &id);
		break;
	case 5: /* in the middle, at the head, at the end */
		session_name_remove(s, 1, 7, "second", 6);
		break;
	case 6:
		CHECK(session_name_add(s, 2, 8, "fourth", 6) == 0);
		break;
	case 7:
		session_name_remove(s, 1, 7, "third", 5);
		break;
	case 8:
		session_note(s, 5, 50);
		break;
	case 9:
		session_note(s, 5, 51);
		break;
	case 10:
		session_note_remove(s, 5);
		break;
	case 11:
		session_node_free(s, 1);
		break;
	case 12:
		new_node(s, 30, &id);
		break;
	case 13:
		CHECK(session_name_add(s, 1, 7, "fifth", 5) == 0);
		break;
	}
}

static void run_child(struct session *s)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	for (int i = 0; i < STEPS; i++)
		change(s, i);
	_exit(0);
}

static char *look(int fd)
{
	struct session *s = attach(fd);
	char *p = describe(s);

	session_close(s);
	return p;
}

static void test_every_instruction(void)
{
	char *expected[STEPS + 1];
	struct session *s;
	size_t stops = 0;
	int status, at = 0;
	pid_t pid;

	CHECK(session_new(&s, NULL) == 0);
	expected[0] = describe(s);
	for (int i = 0; i < STEPS; i++) {
		change(s, i);
		expected[i + 1] = describe(s);
	}
	end(s);
	CHECK(session_new(&s, NULL) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		run_child(s);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	for (;;) {
		char *now;

		CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status))
			break;
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		now = look(session_fd(s));
		if (strcmp(now, expected[at]) != 0) {
			at++;
			if (at > STEPS || strcmp(now, expected[at]) != 0)
				fprintf(stderr, "step %d: %s\n", at, now);
			CHECK(at <= STEPS && strcmp(now, expected[at]) == 0);
		}
		stops++;
		free(now);
	}
	CHECK(WEXITSTATUS(status) == 0 && at == STEPS && stops > 500);
	printf("stopped %zu times\n", stops);
	for (int i = 0; i <= STEPS; i++)
		free(expected[i]);
	end(s);
}

/* ---- kills ------------------------------------------------------------------------------------
 */

static uint32_t seed = 1;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Names tell whose they are. */
static int name_of(uint32_t id, uint32_t k, char name[64])
{
	return snprintf(
		name, 64, "%u-%.*s", id, (int)(k % 40), "0123456789012345678901234567890123456789");
}

static void change_at_random(struct session *s)
{
	for (;;) {
		uint32_t id = 1 + any(200), k = any(200);
		char name[64];
		int len = name_of(id, k, name);

		if (any(4) == 0)
			new_node(s, any(1000), &id);
		else if (!session_node(s, id))
			continue;
		else if (any(8) == 0)
			session_node_free(s, id);
		else if (any(2))
			CHECK(session_name_add(s, id, k, name, (size_t)len) == 0);
		else
			session_name_remove(s, id, k, name, (size_t)len);
	}
}

static void check_names(struct session *s)
{
	for (uint32_t id = 1; id < session_nodes_end(s); id++) {
		struct session_name n;
		uint64_t at = 0;

		while (session_node(s, id) && session_name_next(s, id, &at, &n) == 1) {
			char name[64];

			name_of(id, n.parent, name);
			CHECK(strcmp(name, n.name) == 0);
		}
	}
}

static void test_kills(void)
{
	struct session *s;
	int fd, status;

	CHECK(session_new(&s, NULL) == 0);
	fd = session_fd(s);
	session_close(s);
	for (uint32_t round = 0; round < 200; round++) {
		const struct timespec t = {0, 100000 + any(3000000)};
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			seed = round;
			change_at_random(attach(fd));
		}
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
			WTERMSIG(status) == SIGKILL);
		s = attach(fd);
		check_names(s);
		session_close(s);
	}
	close(fd);
}

int main(void)
{
	test_nodes();
	test_names();
	test_notes();
	test_refused();
	test_every_instruction();
	test_kills();
	return 0;
}
