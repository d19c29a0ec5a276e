/* SPDX-License-Identifier: Apache-2.0 */
#include "tar-header.h"
#include "util/err.h"

#include <string.h>

enum tar_dialect tar_header_dialect(const struct tar_header *h)
{
	if (memcmp(h->magic, "ustar  ", 8) == 0)
		return TAR_GNU;
	if (memcmp(h->magic, "ustar", 6) != 0)
		return TAR_V7;
	return memcmp(h->pad + 8, "tar", 4) == 0 ? TAR_STAR : TAR_USTAR;
}

/* Both sums at once: a byte counts 256 less as a signed one if its top bit is set. */
static void checksum(const struct tar_header *h, int *ret_unsigned, int *ret_signed)
{
	const uint8_t *p = (const uint8_t *)h;
	const size_t at = offsetof(struct tar_header, checksum);
	int sum = 0, high = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		sum += p[i];
		high += p[i] >> 7;
	}
	for (size_t i = at; i < at + sizeof(h->checksum); i++) {
		sum -= p[i] - ' ';
		high -= p[i] >> 7;
	}
	*ret_unsigned = sum;
	*ret_signed = sum - 256 * high;
}

bool tar_checksum_ok(const struct tar_header *h)
{
	int sum, signed_sum;
	int64_t stored;

	if (tar_number(h->checksum, sizeof(h->checksum), &stored) < 0)
		return false;
	checksum(h, &sum, &signed_sum);
	return stored == sum || stored == signed_sum;
}

void tar_checksum_put(struct tar_header *h)
{
	int sum, signed_sum;

	checksum(h, &sum, &signed_sum);
	tar_number_put(h->checksum, sizeof(h->checksum) - 1, sum);
	h->checksum[7] = ' ';
}

bool tar_block_is_zero(const void *block)
{
	const char *p = block;

	return p[0] == 0 && memcmp(p, p + 1, TAR_BLOCK - 1) == 0;
}

/* Two's complement, big end first; the first byte's top bit is only a mark. */
static int number_base256(const uint8_t *p, size_t n, int64_t *ret)
{
	const bool negative = p[0] & 0x40;
	uint64_t v = negative ? ~UINT64_C(0) : 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t b = p[i];

		if (i == 0)
			b = negative ? b | 0x80 : b & 0x7f;
		if (v >> 55 != (negative ? 0x1ff : 0))
			return -ERR_INPUT;
		v = v << 8 | b;
	}
	if ((v >> 63) != negative)
		return -ERR_INPUT;
	*ret = (int64_t)v;
	return 0;
}

static bool is_blank(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return p == end || *p == 0;
}

/* Fields have at most 12 bytes: 12 octal digits never overflow. */
static int number_octal(const char *p, size_t n, int64_t *ret)
{
	const char *end = p + n;
	int64_t v = 0;

	while (p < end && *p == ' ')
		p++;
	if (p < end && *p == 0) {
		while (p < end && (*p == 0 || *p == ' '))
			p++;
		if (p < end)
			return -ERR_INPUT;
	}
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		v = v << 3 | (*p - '0');
	if (!is_blank(p, end))
		return -ERR_INPUT;
	*ret = v;
	return 0;
}

int tar_number(const char *field, size_t n, int64_t *ret)
{
	if ((uint8_t)field[0] & 0x80)
		return number_base256((const uint8_t *)field, n, ret);
	return number_octal(field, n, ret);
}

bool tar_number_is_octal(size_t n, int64_t v)
{
	return v >= 0 && v >> (3 * (n - 1)) == 0;
}

void tar_number_put(char *field, size_t n, int64_t v)
{
	uint64_t rest = (uint64_t)v;
	const uint64_t fill = v < 0 ? 0xff : 0;

	if (tar_number_is_octal(n, v)) {
		field[n - 1] = 0;
		for (size_t i = n - 1; i-- > 0; rest >>= 3)
			field[i] = (char)('0' + (rest & 7));
		return;
	}
	for (size_t i = n; i-- > 0; rest = rest >> 8 | fill << 56)
		field[i] = (char)(uint8_t)rest;
	field[0] = (char)(uint8_t)((uint8_t)field[0] | 0x80);
}
