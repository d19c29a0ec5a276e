// SPDX-License-Identifier: Apache-2.0
/*
 * The bitmap is read where it is mapped. But it is never looked at where the file has no blocks on
 * disk yet (`pages`): there a mapping would take them, on some file systems by reading alone, and
 * a full disk would be a SIGBUS.
 */
#include "blocks.h"
#include "blocks-disk.h"
#include "blocks-set.h"

#include "util/bytes.h"
#include "util/io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <zlib.h>

struct blocks {
	struct upper *up;
	uint64_t ino;
	uint64_t lower_key;
	uint64_t end; /* bits that the file has room for */
	size_t map_size;
	struct blocks_header *header; /* mapped, with the bits behind it */
	_Atomic uint64_t *words;      /* little-endian */
	_Atomic uint64_t lower_size;
	_Atomic uint64_t count; /* bits that are set before lower_size */
	pthread_mutex_t lock;   /* of taking disk space */
	/* A bit for each PAGE_BITS bits: they have disk space; it is theirs to be written. */
	_Atomic uint64_t *pages, *ready;
};

#define PAGE_BYTES 4096u
#define PAGE_BITS  (PAGE_BYTES * 8)

static uint64_t blocks_of(uint64_t size)
{
	return (size >> UPPER_BLOCK_BITS) + ((size & (UPPER_BLOCK_SIZE - 1)) != 0);
}

static size_t file_size(uint64_t bits)
{
	return sizeof(struct blocks_header) +
	       (size_t)((bits + PAGE_BITS - 1) / PAGE_BITS) * PAGE_BYTES;
}

static bool page_has(const _Atomic uint64_t *pages, uint64_t page)
{
	return pages[page / 64] & (uint64_t)1 << page % 64;
}

static void page_set(_Atomic uint64_t *pages, uint64_t page)
{
	pages[page / 64] |= (uint64_t)1 << page % 64;
}

static uint32_t checksum(const struct blocks_header *h)
{
	struct blocks_fixed f = h->fixed;

	f.checksum = 0;
	return (uint32_t)crc32(0, (const void *)&f, sizeof(f));
}

static const char *mark_name(const struct upper *up)
{
	return overlay_xattr_name(OVERLAY_BLOCKS, up->user);
}

/* ---- making and opening ---- */

static void blocks_free(struct blocks *b)
{
	if (b->header)
		munmap(b->header, b->map_size);
	pthread_mutex_destroy(&b->lock);
	free(b->pages);
	free(b);
}
DEFINE_CLEANUP(struct blocks *, blocks_free);

void blocks_close(struct blocks *b)
{
	if (b)
		blocks_free(b);
}

static int blocks_map(
	struct upper *up, int fd, uint64_t ino, const struct blocks_header *h, struct blocks **ret)
{
	const uint64_t end = blocks_of(le64toh(h->fixed.lower_size));
	const size_t n = (size_t)(end / PAGE_BITS / 64 + 1);
	_cleanup_(blocks_freep) struct blocks *b = calloc(1, sizeof(*b));
	void *map;

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	b->pages = calloc(2 * n, sizeof(*b->pages));
	if (!b->pages)
		return -ENOMEM;
	b->ready = b->pages + n;
	b->up = up;
	b->ino = ino;
	b->lower_key = le64toh(h->fixed.lower_key);
	b->lower_size = le64toh(h->lower_size);
	b->end = end;
	b->map_size = file_size(end);
	map = mmap(NULL, b->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	b->header = map;
	b->words = (void *)(b->header + 1);
	*ret = TAKE_PTR(b);
	return 0;
}

/* btrfs writes elsewhere what it writes again, and needs space for that, but not for such files. */
static void stay_in_place(int fd)
{
	struct statfs s;
	int flags = 0;

	if (fstatfs(fd, &s) < 0 || s.f_type != BTRFS_SUPER_MAGIC)
		return;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		(void)!ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

/* A bitmap that is there belonged to a file that is gone: there is only one of this number. */
static int make_file(struct upper *up, const char *name, const struct blocks_header *h, int *ret)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	_cleanup_close_ int fd = openat(up->blocks_fd, name, flags, 0600);
	int r;

	if (fd < 0 && errno == EEXIST && unlinkat(up->blocks_fd, name, 0) == 0)
		fd = openat(up->blocks_fd, name, flags, 0600);
	if (fd < 0)
		return -errno;
	stay_in_place(fd);
	r = ftruncate(fd, (off_t)file_size(blocks_of(le64toh(h->fixed.lower_size)))) < 0 ? -errno
											 : 0;
	if (r == 0)
		r = io_pwrite_full(fd, h, sizeof(*h), 0);
	if (r < 0)
		(void)!unlinkat(up->blocks_fd, name, 0);
	else
		*ret = TAKE_FD(fd);
	return r;
}

static int fill_header(
	struct blocks_header *h, uint64_t ino, uint64_t lower_key, uint64_t lower_size)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->fixed.magic, BLOCKS_MAGIC, sizeof(h->fixed.magic));
	h->fixed.version = htole32(BLOCKS_VERSION);
	h->fixed.ino = htole64(ino);
	h->fixed.lower_key = htole64(lower_key);
	h->fixed.lower_size = htole64(lower_size);
	h->lower_size = htole64(lower_size);
	if (getrandom(h->fixed.id, sizeof(h->fixed.id), 0) != sizeof(h->fixed.id))
		return -EIO;
	h->fixed.checksum = htole32(checksum(h));
	return 0;
}

int blocks_new(
	struct upper *up, int file_fd, uint64_t lower_key, uint64_t lower_size, struct blocks **ret)
{
	_cleanup_(blocks_freep) struct blocks *b = NULL;
	_cleanup_close_ int fd = -1;
	char name[UPPER_NUMBER_SIZE];
	struct blocks_header h;
	struct stat st;
	int r;

	if (lower_size > BLOCKS_LOWER_SIZE_MAX)
		return -EFBIG;
	if (fstat(file_fd, &st) < 0)
		return -errno;
	r = fill_header(&h, st.st_ino, lower_key, lower_size);
	if (r == 0)
		r = blocks_set_add(up, st.st_ino);
	if (r == 0)
		r = make_file(up, upper_number_name(st.st_ino, name), &h, &fd);
	if (r == 0)
		r = blocks_map(up, fd, st.st_ino, &h, &b);
	if (r == 0 && fsetxattr(file_fd, mark_name(up), h.fixed.id, sizeof(h.fixed.id), 0) < 0)
		r = -errno;
	if (r < 0)
		blocks_remove(up, st.st_ino);
	else
		*ret = TAKE_PTR(b);
	return r;
}

static int check_header(const struct blocks_header *h, uint64_t ino, const struct stat *bitmap)
{
	const uint64_t size = le64toh(h->fixed.lower_size);

	if (memcmp(h->fixed.magic, BLOCKS_MAGIC, sizeof(h->fixed.magic)) != 0 ||
		le32toh(h->fixed.version) != BLOCKS_VERSION ||
		le32toh(h->fixed.checksum) != checksum(h) || le64toh(h->fixed.ino) != ino)
		return -EIO;
	if (size > BLOCKS_LOWER_SIZE_MAX || le64toh(h->lower_size) > size)
		return -EIO;
	return (uint64_t)bitmap->st_size == file_size(blocks_of(size)) ? 0 : -EIO;
}

/* The bits from page `page` on, up to a limit. Beyond, there may be others, which count nothing. */
static uint64_t count_words(const uint64_t *v, size_t n, uint64_t first, uint64_t end)
{
	uint64_t count = 0;

	for (size_t i = 0; i < n && first < end; i++, first += 64) {
		uint64_t w = le64toh(v[i]);

		if (end - first < 64)
			w &= ((uint64_t)1 << (end - first)) - 1;
		count += (uint64_t)__builtin_popcountll(w);
	}
	return count;
}

/* Counts, and notes which pages have disk space. By read(2): an error of the disk is one here. */
static int load_bits(struct blocks *b, int fd)
{
	const uint64_t end = blocks_of(b->lower_size);
	uint64_t page[PAGE_BYTES / 8], n = b->map_size / PAGE_BYTES - 1;

	for (uint64_t i = 0; i < n; i++) {
		const off_t at = (off_t)(sizeof(struct blocks_header) + i * PAGE_BYTES);
		const off_t data = lseek(fd, at, SEEK_DATA);
		int r;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		i += (uint64_t)(data - at) / PAGE_BYTES;
		if (i >= n)
			break;
		r = io_pread_full(
			fd, page, sizeof(page), sizeof(struct blocks_header) + i * PAGE_BYTES);
		if (r < 0)
			return r;
		b->count += count_words(page, PAGE_BYTES / 8, i * PAGE_BITS, end);
		page_set(b->pages, i);
	}
	return 0;
}

/* 1 = there is no such file. */
static int open_file(struct upper *up, uint64_t ino, struct blocks_header *ret, int *ret_fd)
{
	char name[UPPER_NUMBER_SIZE];
	_cleanup_close_ int fd = openat(up->blocks_fd, upper_number_name(ino, name),
		O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 1 : errno == ELOOP || errno == EISDIR ? -EIO : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EIO;
	r = io_pread_full(fd, ret, sizeof(*ret), 0);
	if (r == 0)
		r = check_header(ret, ino, &st);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int blocks_open(struct upper *up, int file_fd, struct blocks **ret)
{
	_cleanup_(blocks_freep) struct blocks *b = NULL;
	_cleanup_close_ int fd = -1;
	uint8_t id[BLOCKS_ID_SIZE];
	struct blocks_header h;
	struct stat st;
	int r;

	if (fstat(file_fd, &st) < 0)
		return -errno;
	r = open_file(up, st.st_ino, &h, &fd);
	if (r != 0)
		return r < 0 ? r : -EIO;
	if (fgetxattr(file_fd, mark_name(up), id, sizeof(id)) != sizeof(id) ||
		memcmp(id, h.fixed.id, sizeof(id)) != 0)
		return -EIO;
	r = blocks_map(up, fd, st.st_ino, &h, &b);
	if (r == 0)
		r = load_bits(b, fd);
	if (r < 0)
		return r;
	/* A kill may have come between cutting the file and cutting this. */
	if ((uint64_t)st.st_size < b->lower_size)
		blocks_cut(b, (uint64_t)st.st_size);
	*ret = TAKE_PTR(b);
	return 0;
}

/* ---- is it half copied? ---- */

int blocks_is_marked(struct upper *up, int file_fd)
{
	if (fgetxattr(file_fd, mark_name(up), NULL, 0) >= 0)
		return 1;
	return errno == ENODATA ? 0 : -errno;
}

static int is_marked(struct upper *up, int dirfd, const char *name)
{
	uint8_t id[BLOCKS_ID_SIZE];
	size_t n;
	const int r = upper_mark_get(up, dirfd, name, OVERLAY_BLOCKS, id, sizeof(id), &n);

	/* Of a wrong size it is a mark too: blocks_open says that it is damaged. */
	return r == -ERANGE ? 1 : r < 0 ? r : r == 0;
}

int blocks_is_half(struct upper *up, int dirfd, const char *name, const struct stat *st)
{
	const bool listed = blocks_set_has(up->blocks, st->st_ino);
	/* A file that lacks blocks is sparse: so one whose bitmap was lost is found, too. */
	const bool sparse =
		st->st_size >= (off_t)UPPER_BLOCK_SIZE &&
		st->st_blocks < (blkcnt_t)((uint64_t)st->st_size >> UPPER_BLOCK_BITS) * 8;
	int r;

	if (!S_ISREG(st->st_mode) || (!listed && !sparse && !up->blocks->suspect))
		return 0;
	r = is_marked(up, dirfd, name);
	if (r == 0 && listed)
		blocks_remove(up, st->st_ino); /* it was left over by a kill */
	return r;
}

void blocks_remove(struct upper *up, uint64_t ino)
{
	char name[UPPER_NUMBER_SIZE];

	if (!blocks_set_has(up->blocks, ino))
		return;
	(void)!unlinkat(up->blocks_fd, upper_number_name(ino, name), 0);
	blocks_set_remove(up->blocks, ino);
}

/* ---- bits ---- */

struct blocks_info blocks_info(const struct blocks *b)
{
	return (struct blocks_info){b->lower_key, b->lower_size, b->count};
}

bool blocks_is_whole(const struct blocks *b)
{
	return b->count >= blocks_of(b->lower_size);
}

/* The first block from `i` on (before `end`) whose bit is not `own`; `end` if there is none. */
static uint64_t run_end(const struct blocks *b, uint64_t i, uint64_t end, bool own)
{
	while (i < end) {
		uint64_t w;

		if (!page_has(b->pages, i / PAGE_BITS)) {
			if (own)
				return i;
			i = (i / PAGE_BITS + 1) * PAGE_BITS;
			continue;
		}
		w = le64toh(b->words[i / 64]);
		w = (own ? ~w : w) >> i % 64;
		if (w) {
			i += (uint64_t)__builtin_ctzll(w);
			break;
		}
		i = (i / 64 + 1) * 64;
	}
	return i < end ? i : end;
}

void blocks_run(
	const struct blocks *b, uint64_t off, uint64_t end, bool *ret_own, uint64_t *ret_end)
{
	const uint64_t lower_size = b->lower_size,
		       n = blocks_of(lower_size < end ? lower_size : end);
	const uint64_t first = off >> UPPER_BLOCK_BITS;
	uint64_t e;

	if (off >= lower_size) {
		*ret_own = true;
		*ret_end = end;
		return;
	}
	*ret_own = run_end(b, first, first + 1, true) > first;
	e = run_end(b, first, n, *ret_own) << UPPER_BLOCK_BITS;
	/* What follows the lower file's last block, or rather its last byte, is all the upper's. */
	if (e >= lower_size)
		e = *ret_own ? end : lower_size;
	*ret_end = e < end ? e : end;
}

/* The bits of [off, end). */
static void bits_of(
	const struct blocks *b, uint64_t off, uint64_t end, uint64_t *ret_first, uint64_t *ret_end)
{
	const uint64_t n = blocks_of(b->lower_size);

	*ret_first = blocks_of(off);
	*ret_end = blocks_of(end) < n ? blocks_of(end) : n;
}

/* Also what has space may share it with a copy of the file, and need other space to be written. */
static int take_page(const struct blocks *b, uint64_t page)
{
	static const uint8_t zeros[PAGE_BYTES];
	const off_t at = (off_t)(sizeof(struct blocks_header) + page * PAGE_BYTES);
	const int keep = FALLOC_FL_KEEP_SIZE;
	char name[UPPER_NUMBER_SIZE];
	_cleanup_close_ int fd = openat(b->up->blocks_fd, upper_number_name(b->ino, name),
		O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -EIO : -errno;
	if (fallocate(fd, keep | FALLOC_FL_UNSHARE_RANGE, at, PAGE_BYTES) == 0)
		return 0;
	if (errno == EOPNOTSUPP && fallocate(fd, keep, at, PAGE_BYTES) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	return page_has(b->pages, page) ? 0
					: io_pwrite_full(fd, zeros, sizeof(zeros), (uint64_t)at);
}

int blocks_reserve(struct blocks *b, uint64_t off, uint64_t end)
{
	uint64_t first, last;
	int r = 0;

	bits_of(b, off & ~(UPPER_BLOCK_SIZE - 1), end, &first, &last);
	if (first >= last)
		return 0;
	for (uint64_t page = first / PAGE_BITS; r == 0 && page <= (last - 1) / PAGE_BITS; page++) {
		if (page_has(b->ready, page))
			continue;
		pthread_mutex_lock(&b->lock);
		if (!page_has(b->ready, page))
			r = take_page(b, page);
		if (r == 0) {
			page_set(b->pages, page);
			page_set(b->ready, page);
		}
		pthread_mutex_unlock(&b->lock);
	}
	return r;
}

void blocks_set(struct blocks *b, uint64_t off, uint64_t end)
{
	uint64_t i, last;

	bits_of(b, off, end, &i, &last);
	while (i < last) {
		const uint64_t word = i / 64, n = last - i < 64 - i % 64 ? last - i : 64 - i % 64;
		const uint64_t mask = (n == 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1) << i % 64;
		uint64_t old = le64toh(b->words[word]);

		if ((old & mask) != mask) {
			old = le64toh(atomic_fetch_or(&b->words[word], htole64(mask)));
			b->count += (uint64_t)__builtin_popcountll(mask & ~old);
		}
		i += n;
	}
}

void blocks_cut(struct blocks *b, uint64_t size)
{
	const uint64_t old = blocks_of(b->lower_size);
	uint64_t count = 0, i = blocks_of(size);

	if (size >= b->lower_size)
		return;
	while (i < old) { /* what is cut off counts no more */
		const uint64_t own = run_end(b, i, old, false), end = run_end(b, own, old, true);

		count += end - own;
		i = end;
	}
	b->count -= count;
	b->lower_size = size;
	b->header->lower_size = htole64(size);
}

int blocks_sync(struct blocks *b)
{
	return msync(b->header, b->map_size, MS_SYNC) < 0 ? -errno : 0;
}

int blocks_finish(struct blocks *b, int file_fd)
{
	struct upper *up = b->up;

	if (up->fsync && fdatasync(file_fd) < 0) /* B3 */
		return -errno;
	if (fremovexattr(file_fd, mark_name(up)) < 0 && errno != ENODATA)
		return -errno;
	blocks_remove(up, b->ino);
	blocks_free(b);
	return 0;
}
