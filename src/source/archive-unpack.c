/* SPDX-License-Identifier: Apache-2.0 */
#include "image-files.h"
#include "util/io.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define PIECE ((size_t)256 << 10)

/* A file descriptor, read from where it stands. The first piece may have been read already. */
struct fd_source {
	struct source source;
	int fd;
	size_t peeked;
	uint8_t data[PIECE];
};

static int fd_next(struct source *source, const uint8_t **ret_p, size_t *ret_n, struct err *e)
{
	struct fd_source *s = (struct fd_source *)source;
	size_t n = s->peeked;
	int r;

	s->peeked = 0;
	if (n == 0) {
		r = io_read(s->fd, s->data, PIECE, &n);
		if (r < 0)
			return err_sys(e, r, "reading the archive");
	}
	*ret_p = s->data;
	*ret_n = n;
	return n > 0;
}

struct fd_sink {
	struct sink sink;
	int fd;
	uint8_t data[PIECE];
};

static int fd_room(struct sink *sink, uint8_t **ret_p, size_t *ret_n)
{
	*ret_p = ((struct fd_sink *)sink)->data;
	*ret_n = PIECE;
	return 0;
}

static int fd_fill(struct sink *sink, size_t n)
{
	struct fd_sink *s = (struct fd_sink *)sink;

	return io_write_full(s->fd, s->data, n);
}

/* Where the file system has no O_TMPFILE: a name for a moment. */
static int named_tmpfile(int dirfd)
{
	static atomic_uint counter;

	for (int tries = 0; tries < 100; tries++) {
		char name[64];
		int fd;

		snprintf(name, sizeof(name), ".unpack-%ld-%u", (long)getpid(),
			atomic_fetch_add(&counter, 1));
		fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return -errno;
		unlinkat(dirfd, name, 0);
		return fd;
	}
	return -EEXIST;
}

static int new_tmpfile(int dirfd)
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;
	return named_tmpfile(dirfd);
}

static int unpack(struct fd_source *source, enum codec codec, int tmp_dirfd, struct err *e)
{
	_cleanup_free_ struct fd_sink *sink = malloc(sizeof(*sink));
	_cleanup_close_ int fd = new_tmpfile(tmp_dirfd);
	int r;

	if (fd < 0)
		return err_sys(e, fd, "making a temporary file");
	if (!sink)
		return err_sys(e, -ENOMEM, "unpacking the archive");
	sink->sink = (struct sink){fd_room, fd_fill};
	sink->fd = fd;
	r = codec_decode(codec, &source->source, &sink->sink, e);
	if (r < 0)
		return err_prefix(e, r, "unpacking the archive");
	return TAKE_FD(fd);
}

/* Whether the file can be read in place; then it stands at its beginning, as a source needs it. */
static bool rewindable(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_SET) == 0;
}

int archive_unpack(int fd, int tmp_dirfd, int *ret_fd, struct err *e)
{
	_cleanup_free_ struct fd_source *source = malloc(sizeof(*source));
	_cleanup_close_ int in = fd;
	bool in_place = rewindable(fd);
	enum codec codec;
	int r;

	if (!source)
		return err_sys(e, -ENOMEM, "opening the archive");
	*source = (struct fd_source){.source = {fd_next}, .fd = in};
	r = io_read(in, source->data, PIECE, &source->peeked);
	if (r < 0)
		return err_sys(e, r, "reading the archive");
	codec = codec_detect(source->data, source->peeked);
	if (in_place && codec == CODEC_PLAIN) {
		*ret_fd = TAKE_FD(in);
		return 0;
	}
	r = unpack(source, codec, tmp_dirfd, e);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}
