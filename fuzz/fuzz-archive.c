/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of an image archive's tar. Headers without a checksum get one, or a fuzzer would hardly
 * ever write a second header.
 */
#include "source/archive-index.h"
#include "util/io.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_checksum(uint8_t *block)
{
	char text[8];
	unsigned sum = 0;

	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += block[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(block + 148, text, 7);
}

static int new_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", 0);

	assert(fd >= 0);
	for (size_t at = 0; at < size; at += BLOCK) {
		size_t n = size - at < BLOCK ? size - at : BLOCK;
		uint8_t block[BLOCK];

		memcpy(block, data + at, n);
		if (n == BLOCK && block[148] == '?')
			set_checksum(block);
		assert(io_write_full(fd, block, n) == 0);
	}
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"manifest.json", "a/layer.tar", "b/layer.tar", ""};
	_cleanup_(archive_index_freep) struct archive_index *a = NULL;
	_cleanup_close_ int fd = new_file(data, size);
	struct err e = {0};

	if (archive_index_new(fd, &a, &e) < 0) {
		assert(e.text[0]);
		return 0;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t offset, n;
		int r = archive_index_find(a, names[i], &offset, &n, &e);

		assert(r <= 0 || (offset <= size && n <= size - offset));
	}
	return 0;
}
