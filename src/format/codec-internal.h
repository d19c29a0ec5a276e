/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoders behind codec_decode(), each with the same contract. For codec.c and for tests that
 * choose an engine; everybody else calls codec_decode().
 */
#pragma once

#include "inflate.h"
#include "util/stream.h"

_must_check_ int codec_gzip_decode(
	const struct inflate_engine *engine, struct source *in, struct sink *out, struct err *e);
_must_check_ int codec_zstd_decode(struct source *in, struct sink *out, struct err *e);
