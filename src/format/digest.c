/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"
#include "util/err.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

void digest_of(const void *p, size_t n, struct digest *ret)
{
	SHA256(p, n, ret->b);
}

/*
 * OpenSSL's EVP interface finds the fastest code for the CPU just as SHA256() does; the context
 * is kept between digests because making one costs more than hashing a small file.
 */
struct digest_ctx {
	EVP_MD_CTX *md;
};

struct digest_ctx *digest_ctx_new(void)
{
	struct digest_ctx *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->md = EVP_MD_CTX_new();
	if (!c->md || EVP_DigestInit_ex(c->md, EVP_sha256(), NULL) != 1) {
		digest_ctx_free(c);
		return NULL;
	}
	return c;
}

void digest_ctx_free(struct digest_ctx *c)
{
	if (!c)
		return;
	EVP_MD_CTX_free(c->md);
	free(c);
}

void digest_ctx_add(struct digest_ctx *c, const void *p, size_t n)
{
	int ok = EVP_DigestUpdate(c->md, p, n);

	assert(ok == 1);
}

void digest_ctx_final(struct digest_ctx *c, struct digest *ret)
{
	int ok = EVP_DigestFinal_ex(c->md, ret->b, NULL);

	assert(ok == 1);
	ok = EVP_DigestInit_ex(c->md, NULL, NULL);
	assert(ok == 1);
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
