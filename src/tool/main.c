/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"
#include "util/array.h"
#include "util/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

static const struct {
	enum option_id id;
	const char *name;
	const char *arg; /* NULL: none */
	const char *help;
	bool global;
} options[] = {
	{OPT_STORE, "store", "DIR", "use the store in DIR", true},
	{OPT_JSON, "json", NULL, "print results as JSON", true},
	{OPT_QUIET, "quiet", NULL, "print no progress and no warnings", true},
	{OPT_DEBUG, "debug", NULL, "say what is going on", true},
	{OPT_HELP, "help", NULL, "show this help", true},
	{OPT_VERSION, "version", NULL, "show the version", true},
	{OPT_PLATFORM, "platform", "OS/ARCH[/VARIANT]", "choose from a multi-platform image",
		false},
	{OPT_CHUNK_SIZE, "chunk-size", "BYTES", "chunk size, a power of two from 4096 to 1048576",
		false},
	{OPT_COMPRESS, "compress", "CODEC", "gzip, zstd or none", false},
	{OPT_DRY_RUN, "dry-run", NULL, "only say what would be freed", false},
	{OPT_DRIVER, "driver", "DRIVER", "auto; kernel or fuse; with --rw overlay or cow", false},
	{OPT_LAZY, "lazy", NULL, "detach now, clean up when it is no longer busy", false},
	{OPT_LONG, "long", NULL, "type, mode, owner, size and time of each file", false},
	{OPT_RECURSIVE, "recursive", NULL, "everything below, too", false},
	{OPT_ALL, "all", NULL, "all mounts of this store", false},
	{OPT_DATA, "data", NULL, "verify the content of every chunk, too", false},
	{OPT_REPAIR, "repair", NULL, "quarantine what is damaged, and heal what can be", false},
	{OPT_LAYERS, "layers", NULL, "each layer, too", false},
	{OPT_RW, "rw", NULL, "writable: make a container, or mount one again", false},
	{OPT_CONTAINER, "container", "ID", "the container's ID, instead of a random one", false},
	{OPT_FSYNC, "fsync", NULL, "do what fsync and the like ask for", false},
	{OPT_PASSTHROUGH, "passthrough", NULL, "FUSE: read and write whole files past the server",
		false},
	{OPT_UIDMAP, "uidmap", "C:H:N", "show N user ids of the image from C on as H on", false},
	{OPT_GIDMAP, "gidmap", "C:H:N", "the same for group ids", false},
	{OPT_TAR, "tar", "FILE", "write the changes as a layer's tar (- for standard output)",
		false},
	{OPT_MESSAGE, "message", "TEXT", "the comment in the image's history", false},
	{OPT_AUTHOR, "author", "TEXT", "who made the image", false},
	{OPT_CHANGE, "change", "INSTRUCTION", "change how the image is run, as in a Dockerfile",
		false},
	{OPT_OPTIONS, "options", "OPTION,...",
		"as fuse-overlayfs takes them: lowerdir=, upperdir=, ...", false},
	{OPT_FOREGROUND, "foreground", NULL, "stay until it is unmounted", false},
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static const struct {
	char letter;
	enum option_id id;
} letters[] = {
	{'h', OPT_HELP},
	{'V', OPT_VERSION},
	{'d', OPT_DEBUG},
	{'l', OPT_LONG},
	{'R', OPT_RECURSIVE},
	{'o', OPT_OPTIONS},
	{'f', OPT_FOREGROUND},
};
#define N_LETTERS (sizeof(letters) / sizeof(letters[0]))

static const int import_options[] = {OPT_PLATFORM, OPT_CHUNK_SIZE, 0};
static const int layer_options[] = {OPT_CHUNK_SIZE, 0};
static const int export_options[] = {OPT_COMPRESS, 0};
static const int gc_options[] = {OPT_DRY_RUN, 0};
static const int fsck_options[] = {OPT_DATA, OPT_REPAIR, 0};
static const int ls_options[] = {OPT_LONG, OPT_RECURSIVE, 0};
static const int mount_options[] = {
	OPT_DRIVER, OPT_RW, OPT_CONTAINER, OPT_FSYNC, OPT_PASSTHROUGH, OPT_UIDMAP, OPT_GIDMAP, 0};
static const int overlay_options[] = {OPT_OPTIONS, OPT_FOREGROUND, 0};
static const int diff_options[] = {OPT_TAR, 0};
static const int commit_options[] = {OPT_MESSAGE, OPT_AUTHOR, OPT_CHANGE, 0};
static const int umount_options[] = {OPT_LAZY, OPT_ALL, 0};
static const int df_options[] = {OPT_LAYERS, 0};
static const int no_options[] = {0};

static const struct command commands[] = {
	{"import", "SOURCE NAME", "import an image", 2, 2, import_options, cmd_import},
	{"layer add", "NAME SOURCE NEWNAME", "stack one more layer on an image", 3, 3,
		layer_options, cmd_layer_add},
	{"export", "NAME DEST", "write an image to where others take it", 2, 2, export_options,
		cmd_export},
	{"mount", "[NAME] DIR", "mount an image, or a container of it", 1, 2, mount_options,
		cmd_mount},
	{"umount", "DIR...", "unmount", 0, INT32_MAX, umount_options, cmd_umount},
	{"mounts", "", "list what is mounted", 0, 0, no_options, cmd_mounts},
	{"containers", "", "list the containers", 0, 0, no_options, cmd_containers},
	{"container rm", "ID...", "remove containers", 1, INT32_MAX, no_options, cmd_container_rm},
	{"diff", "ID | NAME NAME", "show what a container, or another image, has changed", 1, 2,
		diff_options, cmd_diff},
	{"commit", "ID NAME", "make an image of a container", 2, 2, commit_options, cmd_commit},
	{"restart", "DIR...", "replace the servers of FUSE mounts by those installed", 1, INT32_MAX,
		no_options, cmd_restart},
	{"overlay", "DIR", "mount a union of directories, as fuse-overlayfs does", 1, 1,
		overlay_options, cmd_overlay},
	{"images", "", "list the images", 0, 0, no_options, cmd_images},
	{"inspect", "NAME", "show all about an image", 1, 1, no_options, cmd_inspect},
	{"history", "NAME", "show how an image was made", 1, 1, no_options, cmd_history},
	{"tag", "NAME NEWNAME", "give an image another name", 2, 2, no_options, cmd_tag},
	{"rmi", "NAME...", "remove names of images", 1, INT32_MAX, no_options, cmd_rmi},
	{"ls", "NAME [PATH]", "list a directory of an image", 1, 2, ls_options, cmd_ls},
	{"cat", "NAME PATH...", "print files of an image", 2, INT32_MAX, no_options, cmd_cat},
	{"stat", "NAME PATH...", "show a file's attributes", 2, INT32_MAX, no_options, cmd_stat},
	{"cp", "NAME:PATH DEST", "copy files out of an image", 2, 2, no_options, cmd_cp},
	{"df", "", "show what the store holds", 0, 0, df_options, cmd_df},
	{"gc", "", "free what no image needs", 0, 0, gc_options, cmd_gc},
	{"fsck", "[SOURCE...]", "check the store, and repair it from sources", 0, INT32_MAX,
		fsck_options, cmd_fsck},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int tool_fail(const struct plyfs_error *e)
{
	log_error("%s", e->text);
	return 1;
}

int tool_fail_text(const char *fmt, ...)
{
	char text[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s", text);
	return 1;
}

struct plyfs_store *tool_store(const struct tool *t, bool create)
{
	struct plyfs_store *s = NULL;
	struct plyfs_error e;

	if (plyfs_store_open(t->store_path, create, &s, &e) < 0)
		tool_fail(&e);
	return s;
}

struct plyfs_image *tool_image(struct plyfs_store *s, const char *name)
{
	struct plyfs_image *image = NULL;
	struct plyfs_error e;

	if (plyfs_image_open(s, name, &image, &e) < 0)
		tool_fail(&e);
	return image;
}

static bool takes(const struct command *c, size_t option)
{
	if (options[option].global)
		return true;
	for (const int *id = c->options; *id; id++)
		if (*id == (int)options[option].id)
			return true;
	return false;
}

static char letter_of(enum option_id id)
{
	for (size_t i = 0; i < N_LETTERS; i++)
		if (letters[i].id == id)
			return letters[i].letter;
	return 0;
}

static void print_options(const struct command *c, bool global)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		char text[64], letter[8] = "";

		if (options[i].global != global || (c && !takes(c, i)))
			continue;
		if (letter_of(options[i].id))
			snprintf(letter, sizeof(letter), "-%c, ", letter_of(options[i].id));
		snprintf(text, sizeof(text), "%s--%s%s%s", letter, options[i].name,
			options[i].arg ? " " : "", options[i].arg ? options[i].arg : "");
		printf("  %-28s %s\n", text, options[i].help);
	}
}

static int print_help(const struct command *c)
{
	if (c) {
		printf("Usage: plyfs %s [OPTION]... %s\n\n%s\n", c->name, c->args, c->summary);
		if (c->options[0]) {
			printf("\nOptions:\n");
			print_options(c, false);
		}
		printf("\nGlobal options:\n");
		print_options(c, true);
		if (c->options[0] == OPT_COMPRESS)
			printf("\nDestinations: oci:DIR[:TAG], oci-archive:FILE[:TAG],\n"
			       "docker-archive:FILE[:TAG], tar:FILE (- for standard output), "
			       "rootfs:DIR\n");
		if (c->options[0] == OPT_PLATFORM || c->options[0] == OPT_DATA)
			printf("\nSources: oci:DIR[:TAG], oci-archive:FILE[:TAG], "
			       "docker-archive:FILE[:TAG],\n"
			       "tar:FILE (- for standard input), rootfs:DIR, manifest:FILE\n");
		return 0;
	}
	printf("Usage: plyfs [OPTION]... COMMAND [ARGUMENT]...\n\n"
	       "Layered images for containers, in one content-addressed store.\n\nCommands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s %s", commands[i].name, commands[i].args);
		printf("  %-32s %s\n", text, commands[i].summary);
	}
	printf("\nGlobal options:\n");
	print_options(NULL, true);
	printf("\nplyfs COMMAND --help shows a command's own options.\n");
	return 0;
}

/* For the completion: a line for each command, with its options. */
static int print_table(void)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		printf("%s:", commands[i].name);
		for (size_t k = 0; k < N_OPTIONS; k++)
			if (takes(&commands[i], k))
				printf(" --%s%s", options[k].name, options[k].arg ? "=" : "");
		printf("\n");
	}
	return 0;
}

static int usage(const struct command *c, const char *fmt, const char *what)
{
	char text[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), fmt, what);
#pragma GCC diagnostic pop
	if (c)
		log_error("%s (usage: plyfs %s [OPTION]... %s)", text, c->name, c->args);
	else
		log_error("%s (see plyfs --help)", text);
	return 2;
}

static bool parse_number(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || end == text || text[0] == '-' || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool add_value(struct tool_values *v, const char *arg)
{
	if (array_room(&v->v, v->n, &v->room, sizeof(*v->v)) < 0)
		return false;
	v->v[v->n++] = arg;
	return *arg;
}

/* Returns false if the value cannot be. */
static bool set_option(struct tool *t, int id, const char *arg)
{
	switch (id) {
	case OPT_STORE:
		t->store_path = arg;
		return *arg;
	case OPT_JSON:
		t->json = true;
		return true;
	case OPT_QUIET:
		t->quiet = true;
		log_level = LOG_QUIET;
		return true;
	case OPT_DEBUG:
		t->debug = true;
		log_level = LOG_DEBUG;
		return true;
	case OPT_PLATFORM:
		t->platform = arg;
		return true;
	case OPT_CHUNK_SIZE:
		return parse_number(arg, &t->chunk_size) && t->chunk_size >= 4096 &&
		       t->chunk_size <= 1 << 20 && !(t->chunk_size & (t->chunk_size - 1));
	case OPT_COMPRESS:
		t->compress = arg;
		return strcmp(arg, "gzip") == 0 || strcmp(arg, "zstd") == 0 ||
		       strcmp(arg, "none") == 0;
	case OPT_DRY_RUN:
		t->dry_run = true;
		return true;
	case OPT_DRIVER:
		t->driver = arg;
		return true;
	case OPT_LAZY:
		t->lazy = true;
		return true;
	case OPT_LONG:
		t->list_long = true;
		return true;
	case OPT_RECURSIVE:
		t->recursive = true;
		return true;
	case OPT_ALL:
		t->list_all = true;
		return true;
	case OPT_DATA:
		t->data = true;
		return true;
	case OPT_REPAIR:
		t->repair = true;
		return true;
	case OPT_LAYERS:
		t->list_layers = true;
		return true;
	case OPT_RW:
		t->writable = true;
		return true;
	case OPT_CONTAINER:
		t->container = arg;
		return *arg;
	case OPT_FSYNC:
		t->fsync = true;
		return true;
	case OPT_PASSTHROUGH:
		t->passthrough = true;
		return true;
	case OPT_UIDMAP:
		return add_value(&t->uid_maps, arg);
	case OPT_GIDMAP:
		return add_value(&t->gid_maps, arg);
	case OPT_TAR:
		t->tar = arg;
		return *arg;
	case OPT_MESSAGE:
		t->message = arg;
		return true;
	case OPT_AUTHOR:
		t->author = arg;
		return true;
	case OPT_CHANGE:
		return add_value(&t->changes, arg);
	case OPT_OPTIONS:
		return add_value(&t->mount_options, arg);
	case OPT_FOREGROUND:
		t->foreground = true;
		return true;
	default:
		return false;
	}
}

enum { GO_ON = -1 };

/* The option's id, whether getopt gave that or its letter. */
static int of_letter(int id)
{
	for (size_t i = 0; i < N_LETTERS; i++)
		if (letters[i].letter == id)
			return (int)letters[i].id;
	return id;
}

/* For getopt_long: what `c` takes, or if it is NULL what stands in front of a command. */
static void list_options(const struct command *c, struct option *longs, char *shorts)
{
	shorts += sprintf(shorts, "%s", c ? ":" : "+:");
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (c ? !takes(c, i) : !options[i].global)
			continue;
		*longs++ = (struct option){options[i].name,
			options[i].arg ? required_argument : no_argument, NULL, (int)options[i].id};
		if (letter_of(options[i].id))
			shorts += sprintf(shorts, "%c%s", letter_of(options[i].id),
				options[i].arg ? ":" : "");
	}
	*shorts = 0;
}

/* Parses the options of `c` (NULL: in front of the command). GO_ON, or an exit status. */
static int parse(struct tool *t, const struct command *c, int argc, char **argv)
{
	struct option longs[N_OPTIONS + 1] = {0};
	char shorts[2 * N_OPTIONS + 3];
	int id;

	list_options(c, longs, shorts);
	optind = 0;
	opterr = 0;
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		id = of_letter(id);
		if (id == OPT_HELP)
			return print_help(c);
		if (id == OPT_VERSION) {
			printf("plyfs %s\n", PLYFS_VERSION);
			return 0;
		}
		if (id == ':')
			return usage(c, "%s needs a value", argv[optind - 1]);
		if (id == '?')
			return usage(c, "unknown option %s", argv[optind - 1]);
		if (!set_option(t, id, optarg))
			return usage(c, "wrong value '%s'", optarg);
	}
	return GO_ON;
}

/* Finds the command; *ret_words is how many words its name has. */
static const struct command *find_command(int argc, char **argv, int *ret_words)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *space = strchr(commands[i].name, ' ');
		size_t n = space ? (size_t)(space - commands[i].name) : strlen(commands[i].name);

		if (strlen(argv[0]) != n || strncmp(commands[i].name, argv[0], n) != 0)
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1) != 0))
			continue;
		*ret_words = space ? 2 : 1;
		return &commands[i];
	}
	return NULL;
}

static int run(struct tool *t, int argc, char **argv)
{
	const struct command *c;
	int words, status = parse(t, NULL, argc, argv);

	if (status != GO_ON)
		return status;
	argc -= optind;
	argv += optind;
	if (argc == 0)
		return usage(NULL, "no command given%s", "");
	if (strcmp(argv[0], "help") == 0) {
		c = argc > 1 ? find_command(argc - 1, argv + 1, &words) : NULL;
		return argc > 1 && !c ? usage(NULL, "unknown command '%s'", argv[1])
				      : print_help(c);
	}
	if (strcmp(argv[0], "__commands") == 0)
		return print_table();
	status = plyfs_fuse_command(argv[0]);
	if (status >= 0)
		return status;
	c = find_command(argc, argv, &words);
	if (!c)
		return usage(NULL, "unknown command '%s'", argv[0]);
	argc -= words - 1;
	argv += words - 1;
	status = parse(t, c, argc, argv);
	if (status != GO_ON)
		return status;
	t->argc = argc - optind;
	t->argv = argv + optind;
	if (t->argc < c->min_args)
		return usage(c, "too few arguments%s", "");
	if (t->argc > c->max_args)
		return usage(c, "too many arguments%s", "");
	return c->run(t);
}

/* As plyfs-overlay, the command is known already. */
static int run_as(struct tool *t, int argc, char **argv)
{
	const char *name = argc ? strrchr(argv[0], '/') : NULL;
	_cleanup_free_ char **args = NULL;

	name = name ? name + 1 : argc ? argv[0] : "";
	if (strcmp(name, "plyfs-overlay") != 0)
		return run(t, argc, argv);
	args = calloc((size_t)argc + 2, sizeof(*args));
	if (!args)
		return tool_fail_text("out of memory");
	args[0] = argv[0];
	args[1] = (char *)"overlay";
	memcpy(args + 2, argv + 1, (size_t)argc * sizeof(*argv));
	return run(t, argc + 1, args);
}

int main(int argc, char **argv)
{
	struct tool t = {0};
	int status;

	signal(SIGPIPE, SIG_IGN); /* a write that fails is an error like any other */
	status = run_as(&t, argc, argv);
	free(t.uid_maps.v);
	free(t.gid_maps.v);
	free(t.changes.v);
	free(t.mount_options.v);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno != EPIPE)
			log_error("cannot write the output: %s", strerror(errno));
		return status ? status : 1;
	}
	return status;
}
