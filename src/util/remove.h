/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cleanup.h"

/*
 * Removes everything below the directory `fd`, by descriptors, at any depth; what the modes of
 * directories forbid their owner is given to him first. 0 or the first -errno, whereupon the rest
 * stays.
 */
_must_check_ int remove_below(int fd);
