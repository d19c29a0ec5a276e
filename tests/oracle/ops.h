/* SPDX-License-Identifier: Apache-2.0 */
/* The operations: tables of them, by what they work on. */
#pragma once

#include "oracle.h"

enum want { ANY, DIRECTORY, REGULAR, NEW };

struct op {
	const char *name;
	unsigned int weight;
	enum want want[2]; /* which paths it is most interesting with */
	bool on_file;      /* takes an open file rather than a path */
	/* The operation on side `s`: what it returns, or -errno. Data goes to o->out[s]. */
	long (*run)(struct oracle *o, int s, const struct args *a);
};

extern const struct op name_ops[], data_ops[];
extern const size_t n_name_ops, n_data_ops;

static inline int fd_of(const struct oracle *o, int s, int slot)
{
	return o->files[slot].fd[s];
}
/* -errno of a call that returned -1 */
long result(long r);
