/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a layer's split: read to its end, or refused. */
#include "format/split.h"
#include "format/test-index-walk.h"
#include "util/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct split *s)
{
	uint64_t sum = 0;
	struct split_op op;
	struct err e = {0};
	size_t n_extras;
	int r;

	split_extras(s, &n_extras);
	for (uint32_t id = 0; id < split_ids(s); id++) {
		uint32_t n;

		if (split_id(s, id, &n))
			CHECK(n < n_extras);
	}
	while ((r = split_next(s, &op, &e)) == 1) {
		for (uint64_t i = 0; op.kind == SPLIT_LITERAL && i < op.n; i++)
			sum += op.p[i];
		if (op.kind == SPLIT_CHUNKS)
			CHECK(op.n && op.n <= split_ids(s) && op.id <= split_ids(s) - op.n);
		if (op.kind == SPLIT_PART)
			CHECK(op.id < split_ids(s));
	}
	CHECK(r == 0 || (r == -ERR_STORE && e.code == r));
	if (sum == 1) /* every byte is looked at */
		fprintf(stderr, "one\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(split_closep) struct split *s = NULL;
	_cleanup_close_ int fd = test_memfd();
	struct err e = {0};
	int r;

	CHECK(io_pwrite_full(fd, data, size, 0) == 0);
	r = split_open(fd, &s, &e);
	if (r < 0)
		CHECK(r == -ERR_STORE && e.code == r && *e.text);
	else
		read_all(s);
	return 0;
}
