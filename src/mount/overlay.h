/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "overlay": the kernel's overlayfs, with an image's EROFS mount as its lower layer and
 * a container's directories as the upper one. No process is left behind. The EROFS mount is not
 * attached anywhere: overlayfs holds it, and it the local index, so gc sees that the image is in
 * use (live.h).
 *
 * The options are those of one who knows nothing of layers: redirect_dir=on (directories of the
 * image can be renamed), index=on (hard links stay hard links when they are copied up, and no
 * upper directory is mounted twice), metacopy=off, xino=auto. Without fsync, "volatile": nothing
 * is synced, whoever asks for it. Overlayfs then leaves a mark in the work directory and refuses
 * the directory from then on, whether it was unmounted or the machine went down; what upper
 * directories hold after a loss of power is not promised here (docs/reliability.md), so the mark is
 * removed.
 *
 * Needs CAP_SYS_ADMIN in the first user namespace, for EROFS.
 */
#pragma once

#include "kernel.h"

struct overlay_options {
	const char *layer;  /* the directory that has "upper" and "work" in it, absolute */
	const char *source; /* what mountinfo calls it: overlay_source */
	bool fsync;
	const struct idmap *ids; /* NULL: owners as they are */
	bool by_path; /* as on kernels before 6.15: for tests; else it is tried after the other */
};

/* -ERR_CONFLICT: it is mounted, or has half-copied files. The caller has the container's lock. */
_must_check_ int overlay_mount(const struct kernel_source *lower, const struct overlay_options *o,
	const char *dir, struct err *e);

/* 1 = the container has half-copied files (upper/blocks.h), which overlayfs would take for whole.
 */
_must_check_ int overlay_has_half_copied(const char *layer, struct err *e);

/*
 * 1 = an overlayfs, in whatever mount namespace, has this upper directory mounted. Changes
 * nothing. Who has not CAP_SYS_ADMIN gets 0: that is what overlays need, too.
 */
_must_check_ int overlay_in_use(const char *upper, struct err *e);

/* "plyfs:STORE:ID"; from malloc, or NULL. And back: the ID in `source`, or NULL: it is not ours. */
char *overlay_source(const char *store, const char *id);
const char *overlay_source_id(const char *source, const char *store);
