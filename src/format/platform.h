/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platforms: os/architecture[/variant], in Go's words, as OCI image indexes name them (OCI image
 * specification, image-index.md, "platform").
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>

struct platform {
	char os[32];
	char architecture[32];
	char variant[32]; /* empty: any */
};

#define PLATFORM_TEXT_MAX 96

/* This machine's, by uname(2). */
void platform_host(struct platform *ret);
/*
 * "linux/amd64", "linux/arm64/v8"; uname's words for a machine ("x86_64", "aarch64") are taken
 * too. -ERR_INPUT with `e` filled.
 */
_must_check_ int platform_parse(const char *text, struct platform *ret, struct err *e);
/* Writes the text form; returns `text`. */
char *platform_text(const struct platform *p, char text[PLATFORM_TEXT_MAX]);

/*
 * How well something made for `have` serves where `want` is wanted: 0 = not at all, else the
 * larger the better. An empty variant on either side serves, the same one serves best; of the
 * 32-bit ARM versions an older one serves too.
 */
int platform_rank(const struct platform *want, const struct platform *have);
