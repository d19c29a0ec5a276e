/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one table of commands (main.c), one file a family of them. A command gets its
 * positional arguments and its options, and returns an exit status: 0 done, 1 failed (after one
 * line on stderr), 2 wrong usage.
 */
#pragma once

#include "plyfs.h"
#include "util/cleanup.h"

#include <jansson.h>
#include <stdbool.h>

enum option_id {
	OPT_STORE = 256,
	OPT_JSON,
	OPT_QUIET,
	OPT_DEBUG,
	OPT_HELP,
	OPT_VERSION,
	OPT_PLATFORM,
	OPT_CHUNK_SIZE,
	OPT_COMPRESS,
	OPT_DRY_RUN,
	OPT_DRIVER,
	OPT_LAZY,
	OPT_LONG,
	OPT_RECURSIVE,
	OPT_ALL,
	OPT_DATA,
	OPT_REPAIR,
	OPT_LAYERS,
	OPT_RW,
	OPT_CONTAINER,
	OPT_FSYNC,
	OPT_PASSTHROUGH,
	OPT_UIDMAP,
	OPT_GIDMAP,
	OPT_TAR,
	OPT_MESSAGE,
	OPT_AUTHOR,
	OPT_CHANGE,
	OPT_OPTIONS,
	OPT_FOREGROUND,
};

/* Values of an option that may be given several times. */
struct tool_values {
	const char **v;
	size_t n, room;
};

struct tool {
	const char *store_path; /* NULL: the default */
	bool json, quiet;
	const char *platform, *driver, *compress;
	uint32_t chunk_size;
	const char *container, *tar, *message, *author;
	struct tool_values uid_maps, gid_maps, changes, mount_options;
	bool writable, fsync, passthrough, foreground, debug;
	bool dry_run, lazy, list_long, recursive, list_all, list_layers, data, repair;
	int argc; /* positional arguments */
	char **argv;
};

struct command {
	const char *name; /* one or two words */
	const char *args; /* for the usage line */
	const char *summary;
	int min_args, max_args;
	const int *options; /* option ids, ended by 0; the global ones are always taken */
	int (*run)(struct tool *t);
};

/* Prints the error's line and returns 1. */
int tool_fail(const struct plyfs_error *e);
_printf_(1, 2) int tool_fail_text(const char *fmt, ...);

/* Opens the store; NULL after it printed why. Commands that read do not make one. */
struct plyfs_store *tool_store(const struct tool *t, bool create);
struct plyfs_image *tool_image(struct plyfs_store *s, const char *name);
DEFINE_CLEANUP(struct plyfs_store *, plyfs_store_close);
DEFINE_CLEANUP(struct plyfs_image *, plyfs_image_close);
#define _cleanup_store_ _cleanup_(plyfs_store_closep)
#define _cleanup_image_ _cleanup_(plyfs_image_closep)

/* Directories below each other that ls -R and cp go down. */
#define TOOL_DEPTH_MAX 1024

/* Prints the value as one JSON document, and frees it. Returns 0, or 1 if it cannot be written. */
int tool_json(json_t *value);
/* A JSON string of any bytes: those that are not UTF-8 become the text \xHH. */
json_t *tool_json_bytes(const char *s);
/* 1536 -> "1.5 KiB"; returns `text`. */
#define SIZE_TEXT_MAX 32
char *tool_size(uint64_t bytes, char text[SIZE_TEXT_MAX]);
/* Writes a name with control characters and backslashes escaped as \ooo if stdout is a terminal. */
void tool_put_name(const char *name);

/* One line on a terminal while something goes on, drawn at most ten times a second. */
struct progress {
	bool on;
	uint64_t start_ms, last_ms;
	bool drawn;
};
struct progress tool_progress(const struct tool *t);
/* For struct plyfs_import_options and plyfs_export_options; `ctx` is the struct progress. */
void tool_progress_show(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total);
/* For struct plyfs_gc_options: shows nothing of what takes less than a second. */
void tool_progress_phase(void *ctx, const char *what, uint64_t done, uint64_t total);
/* For work that is counted in bytes alone: "verified 1.0 GiB of 2.0 GiB, 50 %". */
void tool_progress_bytes(struct progress *p, const char *what, uint64_t done, uint64_t total);
void tool_progress_end(struct progress *p);

/* The commands. */
int cmd_import(struct tool *t);
int cmd_layer_add(struct tool *t);
int cmd_export(struct tool *t);
int cmd_df(struct tool *t);
int cmd_gc(struct tool *t);
int cmd_fsck(struct tool *t);
int cmd_images(struct tool *t);
int cmd_inspect(struct tool *t);
int cmd_history(struct tool *t);
int cmd_tag(struct tool *t);
int cmd_rmi(struct tool *t);
int cmd_ls(struct tool *t);
int cmd_cat(struct tool *t);
int cmd_stat(struct tool *t);
int cmd_cp(struct tool *t);
int cmd_mount(struct tool *t);
int cmd_umount(struct tool *t);
int cmd_mounts(struct tool *t);
int cmd_containers(struct tool *t);
int cmd_container_rm(struct tool *t);
int cmd_overlay(struct tool *t);
int cmd_diff(struct tool *t);
int cmd_commit(struct tool *t);
int cmd_restart(struct tool *t);
