/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "util/err.h"

/* Deprecated there since 3.0, for an interface that allocates, and may so fail. */
#define OPENSSL_API_COMPAT 10100
#include <openssl/sha.h>

/*
 * These functions of OpenSSL find the fastest code for the CPU just as its EVP interface does.
 * Unlike it they cannot fail: a digest is always one, also where memory has run out.
 */
struct digest_ctx {
	SHA256_CTX sha;
};

void digest_of(const void *p, size_t n, struct digest *ret)
{
	struct digest_ctx c;

	SHA256_Init(&c.sha);
	digest_ctx_add(&c, p, n);
	digest_ctx_final(&c, ret);
}

struct digest_ctx *digest_ctx_new(void)
{
	struct digest_ctx *c = malloc(sizeof(*c));

	if (c)
		SHA256_Init(&c->sha);
	return c;
}

void digest_ctx_free(struct digest_ctx *c)
{
	free(c);
}

void digest_ctx_add(struct digest_ctx *c, const void *p, size_t n)
{
	SHA256_Update(&c->sha, p, n);
}

void digest_ctx_final(struct digest_ctx *c, struct digest *ret)
{
	SHA256_Final(ret->b, &c->sha);
	SHA256_Init(&c->sha);
}

char *digest_hex(const struct digest *d, char hex[DIGEST_HEX_SIZE + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		hex[2 * i] = digits[d->b[i] >> 4];
		hex[2 * i + 1] = digits[d->b[i] & 15];
	}
	hex[DIGEST_HEX_SIZE] = 0;
	return hex;
}

char *digest_text(const struct digest *d, char text[DIGEST_TEXT_MAX])
{
	memcpy(text, "sha256:", 7);
	digest_hex(d, text + 7);
	return text;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int digest_parse_hex(const char *hex, struct digest *ret)
{
	struct digest d;

	if (strnlen(hex, DIGEST_HEX_SIZE + 1) != DIGEST_HEX_SIZE)
		return -ERR_INPUT;
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int hi = hex_value(hex[2 * i]);
		int lo = hex_value(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -ERR_INPUT;
		d.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret = d;
	return 0;
}

int digest_parse(const char *text, struct digest *ret)
{
	if (strncmp(text, "sha256:", 7) != 0)
		return -ERR_INPUT;
	return digest_parse_hex(text + 7, ret);
}
