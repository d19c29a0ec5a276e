/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
	"usage: oracle make DIR SEED\n"
	"       oracle compare [OPTION...] A B\n"
	"       oracle run [OPTION...] A B\n"
	"A is the mount under test, B a plain directory; both begin alike (`make`).\n"
	"  --seed N          which random operations (1)\n"
	"  --ops N           how many (10000)\n"
	"  --every N         whole trees are compared after so many (2000)\n"
	"  --users PERCENT   of the operations are of user 1000 (20)\n"
	"  --skip OP,...     leave out operations\n"
	"  --processes N     N at once, each in its own subtree p<i>, and as many in shared/\n"
	"  --exdev           renaming directories may fail with EXDEV\n"
	"  --no-links        hard links of the lower tree may come apart\n"
	"  --keeps-setuid    a write may leave setuid and setgid that came while the file was "
	"open\n"
	"  --no-direct       nothing is opened with O_DIRECT\n"
	"  --no-inos         inode numbers may change, and differ from what readdir gives\n"
	"  --no-dir-times    a directory's time may change without a change of its names\n"
	"  --no-data         compare neither content nor sizes nor times\n"
	"  --may-die         the mount may go: exit 3, and lines TOUCHED PATH for the last "
	"operation\n"
	"  --touched PATH    is left alone by `compare` (twice at most)\n";

/* Attributes may still be there from before; this is always asked. */
static bool mount_is_gone(const struct oracle *o)
{
	struct statfs st;

	return fstatfs(o->root_fd[0], &st) < 0;
}

void say_touched(const struct oracle *o)
{
	if (o->now)
		printf("TOUCHED %s\nTOUCHED %s\n", o->now->path[0], o->now->path[1]);
	fflush(stdout);
}

void wrong(struct oracle *o, const char *format, ...)
{
	va_list ap;
	uint64_t first = o->count >= HISTORY_LINES ? o->count - HISTORY_LINES + 1 : 1;

	if (o->may_die && mount_is_gone(o)) {
		say_touched(o);
		_exit(3);
	}
	fflush(stdout);
	for (uint64_t i = first; i <= o->count; i++)
		fprintf(stderr, "  %s\n", o->history + (i % HISTORY_LINES) * HISTORY_WIDTH);
	fprintf(stderr, "WRONG after %llu operations in %s: ", (unsigned long long)o->count,
		o->root[0]);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

struct settings {
	uint64_t seed, ops, every;
	unsigned int processes;
};

static void prepare(struct oracle *o, const char *a, const char *b)
{
	o->root[0] = realpath(a, NULL);
	o->root[1] = realpath(b, NULL);
	if (!o->root[0] || !o->root[1])
		err(2, "%s, %s", a, b);
	for (int s = 0; s < SIDES; s++) {
		o->root_fd[s] = open(o->root[s], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (o->root_fd[s] < 0)
			err(2, "%s", o->root[s]);
		if (posix_memalign((void **)&o->out[s], 4096, OUT_SIZE * 2) != 0)
			errx(2, "memory");
	}
	if (posix_memalign((void **)&o->data, 4096, OUT_SIZE) != 0)
		errx(2, "memory");
	o->history = calloc(HISTORY_LINES, HISTORY_WIDTH);
	forget_inos(o);
	for (int i = 0; i < FILES; i++)
		o->files[i].fd[0] = o->files[i].fd[1] = -1;
}

static int run(struct oracle *o, const struct settings *t)
{
	o->random.state = t->seed * 0x9e3779b97f4a7c15u + 12345;
	umask(022);
	while (o->count < t->ops) {
		uint64_t before = o->count;
		int r = step(o);

		o->now = NULL;
		if (r)
			return r;
		if (!o->weak && o->count != before && o->count % t->every == 0)
			compare_trees(o);
	}
	if (o->weak)
		return 0;
	compare_trees(o);
	close_files(o);
	compare_trees(o);
	return 0;
}

/* In subtrees of their own, and in one that they share, where only faults count. */
static int run_many(struct oracle *o, const struct settings *t)
{
	const char *top[SIDES] = {o->root[0], o->root[1]};
	int worst = 0, status;

	for (unsigned int i = 0; i < 2 * t->processes; i++) {
		struct settings mine = *t;
		char a[4096], b[4096], name[16];

		if (fork() != 0)
			continue;
		o->weak = i >= t->processes;
		snprintf(name, sizeof(name), o->weak ? "shared" : "p%u", i);
		snprintf(a, sizeof(a), "%s/%s", top[0], name);
		snprintf(b, sizeof(b), "%s/%s", top[1], name);
		mine.seed = t->seed * 100 + i;
		prepare(o, a, b);
		_exit(run(o, &mine));
	}
	while (wait(&status) > 0) {
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;

		if (WIFSIGNALED(status))
			fprintf(stderr, "a process of the oracle died of signal %d\n",
				WTERMSIG(status));

		worst = code == 1 || worst == 0 ? code : worst;
	}
	return worst;
}

static void skip_ops(struct oracle *o, char *list)
{
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		int i = op_by_name(name);

		if (i < 0)
			errx(2, "no such operation: %s", name);
		o->skip |= (uint64_t)1 << i;
	}
}

static const struct option options[] = {{"seed", 1, NULL, 's'}, {"ops", 1, NULL, 'n'},
	{"every", 1, NULL, 'e'}, {"users", 1, NULL, 'u'}, {"skip", 1, NULL, 'k'},
	{"processes", 1, NULL, 'p'}, {"exdev", 0, NULL, 'x'}, {"no-links", 0, NULL, 'l'},
	{"keeps-setuid", 0, NULL, 'S'}, {"no-direct", 0, NULL, 'o'}, {"no-inos", 0, NULL, 'i'},
	{"no-dir-times", 0, NULL, 'D'}, {"no-data", 0, NULL, 'd'}, {"may-die", 0, NULL, 'm'},
	{"touched", 1, NULL, 't'}, {NULL, 0, NULL, 0}};

static void parse(int argc, char **argv, struct oracle *o, struct settings *t)
{
	int c, touched = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			t->seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			t->ops = strtoull(optarg, NULL, 10);
			break;
		case 'e':
			t->every = strtoull(optarg, NULL, 10);
			break;
		case 'u':
			o->users = (unsigned int)atoi(optarg);
			break;
		case 'k':
			skip_ops(o, optarg);
			break;
		case 'p':
			t->processes = (unsigned int)atoi(optarg);
			break;
		case 'x':
			o->exdev_ok = true;
			break;
		case 'l':
			o->no_links = true;
			break;
		case 'S':
			o->keeps_setuid = true;
			break;
		case 'i':
			o->no_inos = true;
			break;
		case 'o':
			o->no_direct = true;
			break;
		case 'D':
			o->no_directory_times = true;
			break;
		case 'd':
			o->no_data = true;
			break;
		case 'm':
			o->may_die = true;
			break;
		case 't':
			if (touched < 2)
				o->touched[touched++] = optarg;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct oracle o = {.users = 20};
	struct settings t = {.seed = 1, .ops = 10000, .every = 2000};
	int r;

	if (argc == 4 && strcmp(argv[1], "make") == 0)
		return make_tree(argv[2], strtoull(argv[3], NULL, 10));
	if (argc < 4 || (strcmp(argv[1], "run") != 0 && strcmp(argv[1], "compare") != 0)) {
		fputs(usage, stderr);
		return 2;
	}
	bool comparing = argv[1][0] == 'c';
	signal(SIGPIPE, SIG_IGN);
	parse(argc - 1, argv + 1, &o, &t);
	argv += optind + 1;
	if (!argv[0] || !argv[1])
		return fputs(usage, stderr), 2;
	if (t.processes) {
		o.root[0] = argv[0];
		o.root[1] = argv[1];
		return run_many(&o, &t);
	}
	prepare(&o, argv[0], argv[1]);
	if (comparing) {
		printf("%zu objects, all alike\n", compare_trees(&o));
		return 0;
	}
	r = run(&o, &t);
	if (r == 0)
		printf("%llu operations, all alike\n", (unsigned long long)o.count);
	return r;
}
