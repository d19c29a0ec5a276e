/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 digests: of chunks, indexes, layers, manifests.
 *
 * Text form: "sha256:" and 64 lower-case hex digits (OCI image specification, descriptor.md,
 * "Digests"). No other algorithm is accepted.
 */
#pragma once

#include "util/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DIGEST_SIZE     32
#define DIGEST_HEX_SIZE (2 * DIGEST_SIZE)
#define DIGEST_TEXT_MAX (7 + DIGEST_HEX_SIZE + 1)

struct digest {
	uint8_t b[DIGEST_SIZE];
};

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->b, b->b, DIGEST_SIZE) == 0;
}

/* For qsort and bsearch: of digests, and of structs that begin with one. */
static inline int digest_order(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

/* Of one piece of memory. */
void digest_of(const void *p, size_t n, struct digest *ret);

/* A running digest; reusable after digest_ctx_final. NULL from new: no memory. */
struct digest_ctx;
struct digest_ctx *digest_ctx_new(void);
void digest_ctx_free(struct digest_ctx *c);
void digest_ctx_add(struct digest_ctx *c, const void *p, size_t n);
void digest_ctx_final(struct digest_ctx *c, struct digest *ret);
DEFINE_CLEANUP(struct digest_ctx *, digest_ctx_free);

/* Writes "sha256:<hex>" or the bare hex, with NUL; both return `text`. */
char *digest_text(const struct digest *d, char text[DIGEST_TEXT_MAX]);
char *digest_hex(const struct digest *d, char hex[DIGEST_HEX_SIZE + 1]);

/* -ERR_INPUT unless `text` is exactly a digest in its text form (or bare hex, respectively). */
_must_check_ int digest_parse(const char *text, struct digest *ret);
_must_check_ int digest_parse_hex(const char *hex, struct digest *ret);
