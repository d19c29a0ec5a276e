/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: the same random operations in two trees, of which one is known to be right.
 *
 * Side 0 is the mount under test, side 1 a plain directory. Both begin alike. Each operation is
 * made on side 0, then on side 1; what they return, errno and data must agree, and now and then
 * the whole trees. All that is random comes from one seed, so that a run can be had again.
 *
 * Times: those that were set by hand lie before RECENT and must agree to the nanosecond; those that
 * the kernel set lie after it, on both sides. So it shows which operations touch a file's mtime.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define SIDES     2
#define RECENT    1600000000
#define FILES     12 /* open files at once */
#define SIZE_MAX_ (10 << 20)
#define OUT_SIZE  (1 << 20)

struct pcg {
	uint64_t state;
};
uint32_t pcg_next(struct pcg *p);
static inline uint32_t pcg_below(struct pcg *p, uint32_t n)
{
	return (uint32_t)(((uint64_t)pcg_next(p) * n) >> 32);
}
static inline bool pcg_chance(struct pcg *p, uint32_t percent)
{
	return pcg_below(p, 100) < percent;
}
void pcg_fill(struct pcg *p, uint8_t *bytes, size_t n);

/* What one operation works with; made before it, the same for both sides. */
struct args {
	char path[2][1024];
	int file, file2; /* slots of open files */
	int flags, mode;
	off_t off, off2;
	size_t len;
	uint64_t seed;     /* of what is written */
	unsigned int user; /* 0: root */
	uid_t uid;
	gid_t gid;
	int n; /* a choice within the operation */
};

struct open_file {
	int fd[SIDES];
	bool directory;
	char path[1024];
};

/* What the inode numbers were when last seen (compare.c). */
struct ino_map;

struct oracle {
	const char *root[SIDES];
	int root_fd[SIDES];
	struct pcg random;
	struct open_file files[FILES];
	uint8_t *out[SIDES]; /* what an operation returned, beside its result */
	size_t out_n[SIDES];
	uint8_t *data; /* what it writes */
	struct ino_map *inos;
	uint64_t skip; /* operations, by their number in the table */
	uint64_t count;
	unsigned int users; /* percentage of operations of other users than root */
	bool exdev_ok;      /* directories of the lower layer may refuse to be renamed */
	bool no_links;      /* hard links of the lower layer may come apart */
	bool keeps_setuid;  /* a write may leave what came while the file was open */
	bool no_direct;     /* O_DIRECT may be refused */
	bool no_inos, no_directory_times;
	bool may_die;           /* side 0 may go */
	bool weak;              /* others change the same trees: only faults count */
	bool no_data;           /* compare neither content nor sizes nor times */
	const char *touched[2]; /* paths that a comparison leaves alone */
	const struct args *now; /* of the operation that is being made or compared */
	char *history;
};

#define HISTORY_LINES 200
#define HISTORY_WIDTH 400

/* Says what is wrong, with the last operations, and exits with 1. */
__attribute__((format(printf, 2, 3), noreturn)) void wrong(
	struct oracle *o, const char *format, ...);

/* Lines TOUCHED, for --touched, of the operation at hand. */
void say_touched(const struct oracle *o);

/* ops.c: one operation. 3: the mount under test has gone (ENOTCONN and the like). */
int step(struct oracle *o);
int op_by_name(const char *name); /* its number, or -1 */
void close_files(struct oracle *o);

/* compare.c */
void compare_stat(struct oracle *o, const char *path, const struct stat *a, const struct stat *b);
/* An object by its path; both may lack it. */
void compare_path(struct oracle *o, const char *path);
/* All of both trees. Returns how many objects there are. */
size_t compare_trees(struct oracle *o);
void forget_inos(struct oracle *o);

/* make.c: a lower tree. */
int make_tree(const char *dir, uint64_t seed);
