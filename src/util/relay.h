/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay between threads: one writer, several readers, each of which sees all the bytes. Memory
 * is bounded: the writer waits for the slowest reader.
 *
 * The writer fills the sink and then says relay_end. A reader that gives up says relay_abort,
 * after which the writer gets -ECANCELED. If the writer ended with a failure, every reader gets
 * that failure behind the last byte.
 */
#pragma once

#include "stream.h"

#define RELAY_READERS_MAX 2

struct relay;
struct relay *relay_new(unsigned int readers);
void relay_free(struct relay *r);
DEFINE_CLEANUP(struct relay *, relay_free);

struct sink *relay_sink(struct relay *r);
struct source *relay_source(struct relay *r, unsigned int reader);
/* `code` 0: the end; negative: `e` says why. */
void relay_end(struct relay *r, int code, const struct err *e);
void relay_abort(struct relay *r);
