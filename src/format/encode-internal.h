/* SPDX-License-Identifier: Apache-2.0 */
/* What the encode*.c files share. */
#pragma once

#include "encode.h"

#define ENCODE_THREADS 2

/* The first member of each encoder. */
struct encoder {
	struct sink *sink; /* to be filled by the user */
	int (*end)(struct encoder *c);
	void (*free)(struct encoder *c);
};

_must_check_ int encode_gzip_new(struct sink *out, struct encoder **ret);
_must_check_ int encode_zstd_new(struct sink *out, struct encoder **ret);
