/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a manifest: blanks between them, backslash escapes in them, and the paths that
 * they may be. Works in place: an escaped word is never longer than its text.
 */
#pragma once

#include "util/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

/* A piece of the text, or of what it stands for. Decoded ones have a NUL behind their `n`. */
struct word {
	char *p;
	size_t n;
};

/* Takes the next word off the line; false if there is none left. */
bool manifest_word(struct word *line, struct word *ret);

/* Resolves \ooo (three octal digits), \s \t \n \\ \#. -ERR_INPUT for any other. */
_must_check_ int manifest_unescape(struct word *w);

/*
 * Makes "usr/bin" of "/usr/bin", "./usr/bin" and "usr/bin", and "" of "/", "." and "./".
 * NULL = done; else what is wrong with the path.
 */
const char *manifest_path(struct word *w);
