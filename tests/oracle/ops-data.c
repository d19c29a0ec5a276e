/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on content: of open files, which may have lost their names, and by path. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_direct(const struct oracle *o, int slot)
{
	return fcntl(fd_of(o, 1, slot), F_GETFL) & O_DIRECT;
}

/* O_DIRECT wants whole blocks; whether others fail is each file system's own affair. */
static void range_of(const struct oracle *o, const struct args *a, off_t *off, size_t *len)
{
	*off = a->off;
	*len = a->len;
	if (is_direct(o, a->file)) {
		*off &= -4096;
		*len = (*len + 4095) & (size_t)-4096;
	}
}

static int flags_of(const struct args *a)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
	static const int more[] = {0, 0, 0, 0, O_CREAT, O_CREAT, O_CREAT | O_EXCL,
		O_CREAT | O_TRUNC, O_TRUNC, O_APPEND, O_APPEND | O_CREAT, O_DIRECT, O_NOFOLLOW,
		O_DIRECTORY, O_SYNC, O_PATH, O_CREAT | O_DIRECT};

	/* no waiting for the other end of a fifo */
	return modes[a->flags & 3] | more[(a->flags >> 2) % 17] | O_NONBLOCK | O_CLOEXEC;
}

static long op_open(struct oracle *o, int s, const struct args *a)
{
	int fd;

	if (a->n % 16 == 0)
		fd = open(a->path[0],
			O_TMPFILE | (a->n & 16 ? O_RDWR : O_WRONLY) | (a->n & 32 ? O_EXCL : 0),
			0640);
	else
		fd = open(
			a->path[0], flags_of(a) & (o->no_direct ? ~O_DIRECT : ~0), a->mode & 0777);
	if (fd < 0)
		return -errno;
	o->files[a->file].fd[s] = fd;
	return 0;
}

static long op_close(struct oracle *o, int s, const struct args *a)
{
	int fd = fd_of(o, s, a->file);

	o->files[a->file].fd[s] = -1;
	return result(close(fd));
}

static long op_pread(struct oracle *o, int s, const struct args *a)
{
	off_t off;
	size_t len;
	long n;

	range_of(o, a, &off, &len);
	n = result(pread(fd_of(o, s, a->file), o->out[s], len, off));
	o->out_n[s] = n > 0 ? (size_t)n : 0;
	return n;
}

/* read(2) from where the file stands: directories too */
static long op_read(struct oracle *o, int s, const struct args *a)
{
	long n = is_direct(o, a->file) ? 0 : result(read(fd_of(o, s, a->file), o->out[s], a->len));

	o->out_n[s] = n > 0 ? (size_t)n : 0;
	return n;
}

static long op_pwrite(struct oracle *o, int s, const struct args *a)
{
	off_t off;
	size_t len;

	range_of(o, a, &off, &len);
	return result(pwrite(fd_of(o, s, a->file), o->data, len, off));
}

static long op_pwritev(struct oracle *o, int s, const struct args *a)
{
	struct iovec v[3];

	if (is_direct(o, a->file))
		return 0;
	v[0].iov_base = o->data;
	v[0].iov_len = a->len / 3;
	v[1].iov_base = o->data + 4096;
	v[1].iov_len = 1;
	v[2].iov_base = o->data + 77;
	v[2].iov_len = a->len / 2;
	return result(pwritev(fd_of(o, s, a->file), v, 3, a->off));
}

/* at the file's position, or at its end with O_APPEND */
static long op_write(struct oracle *o, int s, const struct args *a)
{
	return is_direct(o, a->file) ? 0 : result(write(fd_of(o, s, a->file), o->data, a->len));
}

static long op_seek(struct oracle *o, int s, const struct args *a)
{
	return result(lseek(fd_of(o, s, a->file), a->off, SEEK_SET));
}

static long op_ftruncate(struct oracle *o, int s, const struct args *a)
{
	return result(ftruncate(fd_of(o, s, a->file), a->off));
}

static long op_truncate(struct oracle *o, int s, const struct args *a)
{
	struct stat st;

	(void)o, (void)s;
	/* whether truncate(2) to the same size touches the times is each file system's own affair
	 */
	if (stat(a->path[0], &st) == 0 && st.st_size == (a->n % 4 ? a->off : 0))
		return 0;
	return result(truncate(a->path[0], a->n % 4 ? a->off : 0));
}

static long op_fallocate(struct oracle *o, int s, const struct args *a)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};

	return result(fallocate(fd_of(o, s, a->file), modes[a->n % 6], a->off, (off_t)a->len + 1));
}

/* A mapping of a part of the file: read, written, read again through the file. */
static long map(struct oracle *o, int s, const struct args *a, int how)
{
	int fd = fd_of(o, s, a->file);
	struct stat st;
	off_t from;
	size_t n;
	uint8_t *p;

	if (fstat(fd_of(o, 1, a->file), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 2)
		return 0;
	from = a->off % st.st_size;
	n = a->len < (size_t)(st.st_size - from) ? a->len : (size_t)(st.st_size - from);
	if (n == 0)
		return 0;
	size_t lead = (size_t)from % 4096;
	p = mmap(NULL, n + lead, PROT_READ | PROT_WRITE, how, fd, from - (off_t)lead);
	if (p == MAP_FAILED)
		return -errno;
	memcpy(o->out[s], p + lead, n);
	o->out_n[s] = n;
	memcpy(p + lead, o->data, n);
	if (how == MAP_SHARED && a->n % 3 == 0)
		msync(p, n + lead, a->n % 2 ? MS_SYNC : MS_ASYNC);
	munmap(p, n + lead);
	if (n < OUT_SIZE / 2 && !is_direct(o, a->file)) {
		ssize_t got = pread(fd, o->out[s] + n, n, from);
		o->out_n[s] += got > 0 ? (size_t)got : 0;
	}
	return (long)n;
}

static long op_map_shared(struct oracle *o, int s, const struct args *a)
{
	return map(o, s, a, MAP_SHARED);
}

static long op_map_private(struct oracle *o, int s, const struct args *a)
{
	return map(o, s, a, MAP_PRIVATE);
}

/* May do less than asked for, so that it is repeated to the end. */
static long op_copy_range(struct oracle *o, int s, const struct args *a)
{
	off_t from = a->off, to = a->off2;
	size_t left = a->len;
	ssize_t n = 1;

	if (is_direct(o, a->file) || is_direct(o, a->file2))
		return 0;
	while (left > 0 && n > 0) {
		n = copy_file_range(
			fd_of(o, s, a->file), &from, fd_of(o, s, a->file2), &to, left, 0);
		if (n < 0)
			return -errno;
		left -= (size_t)n;
	}
	return (long)(a->len - left);
}

static long op_sendfile(struct oracle *o, int s, const struct args *a)
{
	off_t from = a->off;

	if (is_direct(o, a->file) || is_direct(o, a->file2) || a->file == a->file2)
		return 0;
	if (lseek(fd_of(o, s, a->file2), a->off2, SEEK_SET) < 0)
		return -errno;
	return result(sendfile(fd_of(o, s, a->file2), fd_of(o, s, a->file), &from, a->len));
}

/*
 * What is said to be a hole reads as zeros, and there is no end to the data before the file's own.
 * Where holes are is each file system's own affair: so 1, or 0 for what is wrong.
 */
static long op_holes(struct oracle *o, int s, const struct args *a)
{
	int fd = fd_of(o, s, a->file);
	off_t at = 0, data, hole;
	struct stat st;

	if (is_direct(o, a->file) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		(fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) != O_RDWR)
		return 0;
	while (at < st.st_size) {
		data = lseek(fd, at, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return -errno;
		if (data < 0)
			data = st.st_size;
		if (data < at)
			return 2;
		for (; at < data; at += OUT_SIZE) {
			ssize_t n = pread(fd, o->out[s],
				OUT_SIZE < data - at ? OUT_SIZE : (size_t)(data - at), at);
			for (ssize_t i = 0; i < n; i++)
				if (o->out[s][i])
					return 3;
		}
		if (data >= st.st_size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || hole > st.st_size)
			return hole < 0 ? -errno : 4;
		at = hole;
	}
	lseek(fd, 0, SEEK_SET);
	return 1;
}

static long op_fstat(struct oracle *o, int s, const struct args *a)
{
	struct stat st;
	long r = result(fstat(fd_of(o, s, a->file), &st));

	return r < 0                 ? r
	       : S_ISREG(st.st_mode) ? (long)st.st_size
				     : (long)o->files[a->file].directory;
}

static long op_sync(struct oracle *o, int s, const struct args *a)
{
	int fd = fd_of(o, s, a->file);

	switch (a->n % 4) {
	case 0:
		return result(fsync(fd));
	case 1:
		return result(fdatasync(fd));
	case 2: /* drops what is cached */
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		return 0;
	default:
		return result(sync_file_range(fd, a->off, (off_t)a->len, SYNC_FILE_RANGE_WRITE));
	}
}

static long op_flock(struct oracle *o, int s, const struct args *a)
{
	static const int kinds[] = {LOCK_SH, LOCK_EX, LOCK_UN};

	return result(flock(fd_of(o, s, a->file), kinds[a->n % 3] | LOCK_NB));
}

static long op_lock(struct oracle *o, int s, const struct args *a)
{
	static const short kinds[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	struct flock l = {.l_type = kinds[a->n % 3], .l_start = a->off, .l_len = (off_t)a->len};
	long r = result(fcntl(fd_of(o, s, a->file), a->n % 5 ? F_OFD_SETLK : F_OFD_GETLK, &l));

	return r < 0 || a->n % 5 ? r : l.l_type;
}

/* A whole file by path, as cat does */
static long op_cat(struct oracle *o, int s, const struct args *a)
{
	int fd = open(a->path[0], O_RDONLY | O_NONBLOCK);
	long n;

	if (fd < 0)
		return -errno;
	n = result(read(fd, o->out[s], OUT_SIZE));
	o->out_n[s] = n > 0 ? (size_t)n : 0;
	close(fd);
	return n;
}

const struct op data_ops[] = {
	{"open", 40, {REGULAR, ANY}, false, op_open},
	{"close", 6, {ANY, ANY}, true, op_close},
	{"pread", 16, {ANY, ANY}, true, op_pread},
	{"read", 6, {ANY, ANY}, true, op_read},
	{"pwrite", 20, {ANY, ANY}, true, op_pwrite},
	{"pwritev", 6, {ANY, ANY}, true, op_pwritev},
	{"write", 10, {ANY, ANY}, true, op_write},
	{"seek", 2, {ANY, ANY}, true, op_seek},
	{"ftruncate", 7, {ANY, ANY}, true, op_ftruncate},
	{"truncate", 5, {REGULAR, ANY}, false, op_truncate},
	{"fallocate", 7, {ANY, ANY}, true, op_fallocate},
	{"map-shared", 8, {ANY, ANY}, true, op_map_shared},
	{"map-private", 3, {ANY, ANY}, true, op_map_private},
	{"copy-range", 6, {ANY, ANY}, true, op_copy_range},
	{"sendfile", 4, {ANY, ANY}, true, op_sendfile},
	{"holes", 3, {ANY, ANY}, true, op_holes},
	{"fstat", 4, {ANY, ANY}, true, op_fstat},
	{"sync", 1, {ANY, ANY}, true, op_sync},
	{"flock", 3, {ANY, ANY}, true, op_flock},
	{"lock", 5, {ANY, ANY}, true, op_lock},
	{"cat", 8, {REGULAR, ANY}, false, op_cat},
};
const size_t n_data_ops = sizeof(data_ops) / sizeof(*data_ops);
