/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for people, on stderr, one line each with "plyfs: " in front.
 *
 * A failure's own line is printed once, by the tool, from its struct err; what is logged here is
 * what goes on meanwhile. The level is one variable of the process, set once at start.
 */
#pragma once

#include "cleanup.h"

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_DEBUG };

extern enum log_level log_level;

void log_error(const char *fmt, ...) _printf_(1, 2);
void log_warn(const char *fmt, ...) _printf_(1, 2);  /* not when quiet */
void log_debug(const char *fmt, ...) _printf_(1, 2); /* only with --debug */
