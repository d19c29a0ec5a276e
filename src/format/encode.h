/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression of a stream by two threads, in this process. What is written into the encoder's sink
 * goes on, compressed, into another. The bytes depend on the input (and the libraries' versions)
 * alone: not on timing, the sizes of the writes, or the number of processors.
 *
 * gzip: RFC 1952, a member for each ENCODE_MEMBER bytes of input, without name and time; what reads
 * gzip reads members one behind the other (2.2). zstd: RFC 8878, one frame with a checksum, cut
 * into jobs of a fixed size. plain: the bytes as they are.
 *
 * Memory is bounded: some 10 MiB for gzip, 50 MiB for zstd. The other sink is used only within
 * calls of the encoder's, by their caller's thread; its failures are returned from there unchanged.
 */
#pragma once

#include "codec.h"

#define ENCODE_MEMBER ((size_t)1 << 20)

struct encoder;
/* `out` must outlive it. -ENOMEM; -EAGAIN: no more threads; -ERR_UNSUPPORTED: zstd without them. */
_must_check_ int encoder_new(enum codec c, struct sink *out, struct encoder **ret);
/* Ends the threads, whatever they are at. */
void encoder_free(struct encoder *c);
DEFINE_CLEANUP(struct encoder *, encoder_free);

struct sink *encoder_sink(struct encoder *c);
/* Nothing more comes: 0 when everything is in `out`. */
_must_check_ int encoder_end(struct encoder *c);
