/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE protocol: <linux/fuse.h> of the system, which may be as old as minor 38 (Linux 6.2),
 * and what later kernels added that we use. The numbers are the published ones of the kernel's
 * include/uapi/linux/fuse.h, minors 39 (FUSE_STATX), 40 (passthrough, resending) and 41 to 44;
 * where the system's header has them, its own are taken.
 *
 * All is in the byte order of the machine, and every struct a multiple of eight bytes long.
 */
#pragma once

#include <linux/fuse.h>

/* Opcodes; enums cannot be asked for, so these have names of their own. */
#define WIRE_STATX   52
#define WIRE_OPCODES 64 /* all that are told apart are below */

/* Init flags; those from bit 32 on travel in flags2. */
#define WIRE_PASSTHROUGH (1ULL << 37) /* 7.40: fuse_init_out has max_stack_depth */
#define WIRE_HAS_RESEND  (1ULL << 39) /* 7.40: WIRE_NOTIFY_RESEND, WIRE_UNIQUE_RESEND */

/* Notification without a body: all requests that were read and not answered are queued again, with
 * the bit below in `unique`. The reply has the bit, too. */
#define WIRE_NOTIFY_RESEND 7
#define WIRE_UNIQUE_RESEND (1ULL << 63)

/* The file is read and written past the server: fuse_open_out has a backing id. */
#define WIRE_FOPEN_PASSTHROUGH (1 << 7)

/* fuse_init_out as of minor 40: the same size as of old. */
struct wire_init_out {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint32_t unused[6];
};
_Static_assert(sizeof(struct wire_init_out) == sizeof(struct fuse_init_out), "as of old");

/* fuse_open_out as of minor 40. */
struct wire_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};
_Static_assert(sizeof(struct wire_open_out) == sizeof(struct fuse_open_out), "as of old");

struct wire_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define WIRE_BACKING_OPEN  _IOW(FUSE_DEV_IOC_MAGIC, 1, struct wire_backing_map)
#define WIRE_BACKING_CLOSE _IOW(FUSE_DEV_IOC_MAGIC, 2, uint32_t)
