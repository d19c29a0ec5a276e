/* SPDX-License-Identifier: Apache-2.0 */
#include "file-sink.h"
#include "io.h"

#include <fcntl.h>

#define BUFFER_SIZE ((size_t)1 << 20)
/* Writing to the disk begins early, so that the sync at the end finds little to do. */
#define PUSH_STEP ((uint64_t)8 << 20)

int file_sink_flush(struct file_sink *f)
{
	int r = io_write_full(f->fd, f->buffer, f->fill);

	if (r < 0)
		return r;
	f->written += f->fill;
	f->fill = 0;
	if (f->written - f->pushed >= PUSH_STEP) { /* fails on a pipe; errors show at fsync */
		sync_file_range(f->fd, (off_t)f->pushed, (off_t)(f->written - f->pushed),
			SYNC_FILE_RANGE_WRITE);
		f->pushed = f->written;
	}
	return 0;
}

static int file_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct file_sink *f = (struct file_sink *)s;
	int r = f->fill == BUFFER_SIZE ? file_sink_flush(f) : 0;

	if (r < 0)
		return r;
	*ret_p = f->buffer + f->fill;
	*ret_n = BUFFER_SIZE - f->fill;
	return 0;
}

static int file_fill(struct sink *s, size_t n)
{
	struct file_sink *f = (struct file_sink *)s;

	f->fill += n;
	return 0;
}

int file_sink_init(struct file_sink *f, int fd)
{
	uint8_t *buffer = malloc(BUFFER_SIZE);

	if (!buffer)
		return -ENOMEM;
	*f = (struct file_sink){
		.sink = {.room = file_room, .fill = file_fill}, .fd = fd, .buffer = buffer};
	return 0;
}

void file_sink_done(struct file_sink *f)
{
	free(f->buffer);
	*f = (struct file_sink){.fd = -1};
}
