/* SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"
#include "util/io.h"

#include <fcntl.h>
#include <sys/stat.h>

char *pack_name(uint16_t pack, char name[PACK_NAME_MAX])
{
	snprintf(name, PACK_NAME_MAX, "packs/%u.pack", pack);
	return name;
}

int pack_open(struct store *s, uint16_t pack, int *ret_fd, struct err *e)
{
	char name[PACK_NAME_MAX];

	if (s->packs[pack] < 0) {
		int fd = openat(s->dirfd, pack_name(pack, name),
			O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return err_sys(e, -errno, "cannot open %s/%s", s->path, name);
		s->packs[pack] = fd;
	}
	*ret_fd = s->packs[pack];
	return 0;
}

int pack_extend(struct store *s, const struct extent *x, struct err *e)
{
	off_t end = (off_t)((uint64_t)x->block + x->blocks) * PACK_BLOCK_SIZE;
	struct stat st;
	int fd = -1, r = pack_open(s, x->pack, &fd, e);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || (st.st_size < end && ftruncate(fd, end) < 0))
		return err_sys(e, -errno, "cannot extend packs/%u.pack", x->pack);
	return 0;
}

/* For file systems that cannot punch holes: the extent must read as zeros all the same. */
static int write_zeros(int fd, uint64_t off, uint64_t n)
{
	static const uint8_t zeros[65536];

	while (n) {
		size_t k = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
		int r = io_pwrite_full(fd, zeros, k, off);

		if (r < 0)
			return r;
		off += k;
		n -= k;
	}
	return 0;
}

int pack_punch(struct store *s, const struct extent *x, struct err *e)
{
	uint64_t off = (uint64_t)x->block * PACK_BLOCK_SIZE,
		 n = (uint64_t)x->blocks * PACK_BLOCK_SIZE;
	int fd = -1, r = pack_open(s, x->pack, &fd, e);

	if (r < 0)
		return r;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n) == 0)
		return 0;
	r = errno == EOPNOTSUPP ? write_zeros(fd, off, n) : -errno;
	return r < 0 ? err_sys(e, r, "cannot free space in packs/%u.pack", x->pack) : 0;
}

int pack_data_bytes(struct store *s, const struct extent *x, uint64_t *ret, struct err *e)
{
	off_t at = (off_t)x->block * PACK_BLOCK_SIZE, end = at + (off_t)x->blocks * PACK_BLOCK_SIZE,
	      hole;
	uint64_t bytes = 0;
	int fd = -1, r = pack_open(s, x->pack, &fd, e);

	if (r < 0)
		return r;
	while (at < end) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO) /* none behind it */
			break;
		hole = at < 0 ? at : lseek(fd, at, SEEK_HOLE);
		if (hole < 0)
			return err_sys(e, -errno, "cannot read packs/%u.pack", x->pack);
		if (at < end)
			bytes += (uint64_t)((hole < end ? hole : end) - at);
		at = hole;
	}
	*ret = bytes;
	return 0;
}

int pack_sync(struct store *s, uint16_t pack, struct err *e)
{
	int fd = -1, r = pack_open(s, pack, &fd, e);

	if (r == 0 && fdatasync(fd) < 0)
		r = err_sys(e, -errno, "cannot write packs/%u.pack", pack);
	return r;
}
