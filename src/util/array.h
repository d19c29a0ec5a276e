/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow by doubling. */
#pragma once

#include "cleanup.h"

#include <errno.h>
#include <string.h>

/* `array` is the address of a pointer to `n` elements of `size` bytes: makes room for one more. */
_must_check_ static inline int array_room(void *array, size_t n, size_t *room, size_t size)
{
	void *v, *w;

	if (n < *room)
		return 0;
	memcpy(&v, array, sizeof(v)); /* it has a type of its own */
	w = reallocarray(v, *room * 2 + 64, size);
	if (!w)
		return -ENOMEM;
	memcpy(array, &w, sizeof(w));
	*room = *room * 2 + 64;
	return 0;
}
