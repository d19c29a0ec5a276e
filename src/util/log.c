/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>

enum log_level log_level = LOG_NORMAL;

static void log_line(const char *kind, const char *fmt, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "plyfs: %s", kind);

	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "%s\n", line);
}

#define LOG_FUNCTION(name, kind, condition) \
	void name(const char *fmt, ...) \
	{ \
		va_list ap; \
\
		if (!(condition)) \
			return; \
		va_start(ap, fmt); \
		log_line(kind, fmt, ap); \
		va_end(ap); \
	}

LOG_FUNCTION(log_error, "", true)
LOG_FUNCTION(log_warn, "warning: ", log_level > LOG_QUIET)
LOG_FUNCTION(log_debug, "debug: ", log_level >= LOG_DEBUG)
