/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an index: as they are, and once more with a right superblock checksum and size,
 * which no fuzzer finds. What is accepted is written again, and must be accepted again.
 */
#include "format/test-index-walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t field = offsetof(struct index_header, file_size);
	_cleanup_free_ uint8_t *copy = malloc(size + 1);
	uint64_t n = htole64(size);

	CHECK(copy);
	memcpy(copy, data, size);
	walk_memory(copy, size);
	if (size < EROFS_BLOCK_SIZE)
		return 0;
	memcpy(copy + field, &n, sizeof(n));
	fix_checksum(copy, size);
	walk_memory(copy, size);
	return 0;
}
