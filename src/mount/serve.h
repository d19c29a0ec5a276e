/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a FUSE server serves: the union that a mount's description (serve-config.h) names, of an
 * image of a store or of directories, opened.
 */
#pragma once

#include "supervisor.h"

/* For server_main. One union at a time in a process. */
extern const struct serve_ops serve_union;
