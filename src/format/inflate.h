/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw deflate streams (RFC 1951) and the CRC-32 of RFC 1952, behind one table of functions for
 * each library that can do it.
 *
 * ISA-L inflates a Debian layer 2.4 times as fast as zlib on x86-64, and is taken there when the
 * build finds it (HAVE_ISAL). Elsewhere zlib is: ISA-L 2.30's aarch64 code decodes some streams
 * wrongly (mended in 2.32), and on other machines ISA-L is plain C.
 *
 * An engine does the deflate data only. The members around it are codec-gzip.c's, so that what is
 * accepted does not depend on the engine: ISA-L's own gzip header reader loses its place when a
 * header spans two inputs.
 */
#pragma once

#include "util/bytes.h"

/* An engine may have read this much past the end of the deflate data. */
#define INFLATE_REST_MAX 8

struct inflate_engine {
	const char *name;
	void *(*open)(void); /* NULL: no memory */
	void (*close)(void *state);
	void (*reset)(void *state); /* to the start of the next stream */
	/*
	 * Decodes from `in` (advanced) into `out`. 1 = the stream has ended; 0 = there is room or
	 * input left to go on with, *ret_n bytes were made (perhaps none, if `in` is used up);
	 * -ERR_INPUT, -ENOMEM.
	 */
	int (*run)(void *state, struct bytes *in, uint8_t *out, size_t room, size_t *ret_n);
	/* After the end: bytes of the input that are not part of the stream but no more in `in`. */
	size_t (*rest)(void *state, uint8_t rest[INFLATE_REST_MAX]);
	uint32_t (*crc)(uint32_t crc, const void *p, size_t n);
};

extern const struct inflate_engine inflate_zlib;
#ifdef HAVE_ISAL
extern const struct inflate_engine inflate_isal;
#endif
