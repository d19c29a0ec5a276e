/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of whole streams, in this process, never by another program.
 *
 * gzip: RFC 1952, any number of members, each with its CRC-32 and length (and header checksum,
 * where there is one) verified; zstd: RFC 8878, any number of frames, skippable ones passed over,
 * checksums verified, windows up to CODEC_WINDOW_MAX (-ERR_UNSUPPORTED beyond). Memory use does
 * not depend on the input. A stream that is empty, ends early, or is followed by bytes that start
 * no member, is -ERR_INPUT. Zero bytes after the last gzip member are padding, as for gzip(1); it
 * only warns of other bytes there, Go refuses both.
 */
#pragma once

#include "util/stream.h"

#include <stdint.h>

#define CODEC_WINDOW_MAX ((uint64_t)64 << 20)

enum codec { CODEC_PLAIN, CODEC_GZIP, CODEC_ZSTD };

/* By magic number; fewer than 4 bytes are plain. */
enum codec codec_detect(const void *p, size_t n);
const char *codec_name(enum codec c); /* "plain", "gzip", "zstd" */

/* Reads `in` to its end, and decodes straight into the rooms of `out`. */
_must_check_ int codec_decode(enum codec c, struct source *in, struct sink *out, struct err *e);
