/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "store/pack.h"
#include "util/io.h"
#include "view.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

/* Holes are read from here. Never written, so it is one page of the kernel's. */
static uint8_t zeros[1 << 20];

/* A pack as far as it went when it was first needed: all of the index's chunks lie before that. */
struct pack_map {
	uint8_t *p;
	uint64_t size;
};

struct lower_index {
	struct lower l;
	struct view *v;
	const struct index *x;
	pthread_mutex_t lock; /* making the maps */
	_Atomic(struct pack_map *) packs[INDEX_DEVICES_MAX];
};

/* To the kernel our own codes mean nothing. */
static int code(int r)
{
	return r <= -ERR_FIRST ? -EIO : r;
}

static struct lower_index *of(struct lower *l)
{
	return (struct lower_index *)l;
}

static int get(struct lower *l, uint64_t key, struct index_inode *ret)
{
	return code(index_inode(of(l)->x, key, ret, NULL));
}

/* A character device 0:0 of an image is a device: an index has no whiteouts (docs/design.md). */
static void to_name(const struct index_name *n, struct lower_name *ret)
{
	*ret = (struct lower_name){
		.name = n->name, .len = n->len, .key = n->nid, .ino = n->nid, .type = n->type};
}

static int lookup(
	struct lower *l, uint64_t dir, const char *name, size_t len, struct lower_name *ret)
{
	struct index_name n = {.name = name, .len = len};
	struct index_inode d, i;
	int r = get(l, dir, &d);

	if (r == 0 && !S_ISDIR(d.mode))
		return -ENOTDIR;
	if (r == 0)
		r = code(index_lookup(of(l)->x, &d, name, len, &n.nid, NULL));
	if (r == 0)
		r = get(l, n.nid, &i);
	if (r)
		return r;
	n.type = (uint8_t)IFTODT(i.mode);
	to_name(&n, ret);
	return 0;
}

static int get_stat(struct lower *l, uint64_t key, struct stat *ret)
{
	struct index_inode i;
	int r = get(l, key, &i);

	if (r < 0)
		return r;
	*ret = (struct stat){
		.st_ino = key,
		.st_mode = i.mode,
		.st_nlink = i.nlink,
		.st_uid = i.uid,
		.st_gid = i.gid,
		.st_size = (off_t)i.size,
		.st_blksize = PACK_BLOCK_SIZE,
		.st_blocks = (blkcnt_t)((i.size + PACK_BLOCK_SIZE - 1) / PACK_BLOCK_SIZE *
					(PACK_BLOCK_SIZE / 512)),
		.st_mtim = {.tv_sec = i.mtime, .tv_nsec = i.mtime_nsec},
	};
	if (S_ISCHR(i.mode) || S_ISBLK(i.mode))
		ret->st_rdev = makedev(i.dev_major, i.dev_minor);
	ret->st_atim = ret->st_ctim = ret->st_mtim;
	return 0;
}

static bool is_dot(const struct index_name *n)
{
	return n->name[0] == '.' && (n->len == 1 || (n->len == 2 && n->name[1] == '.'));
}

static int get_name(struct lower *l, uint64_t dir, uint64_t *pos, struct lower_name *ret)
{
	struct index_inode d;
	struct index_name n;
	int r = get(l, dir, &d);

	if (r == 0 && !S_ISDIR(d.mode))
		return -ENOTDIR;
	if (r < 0)
		return r;
	do
		r = code(index_readdir(of(l)->x, &d, pos, &n, NULL));
	while (r == 1 && is_dot(&n));
	if (r != 1)
		return r;
	to_name(&n, ret);
	return 1;
}

/* An image is one tree: what its layers hid is not there. */
static int dir_marks(
	struct lower *l _unused_, uint64_t dir _unused_, bool *ret_opaque, char **ret_redirect)
{
	*ret_opaque = false;
	*ret_redirect = NULL;
	return 0;
}

static int get_link(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n)
{
	struct index_inode i;
	struct bytes b;
	int r = get(l, key, &i);

	if (r == 0 && !S_ISLNK(i.mode))
		return -EINVAL;
	if (r == 0)
		r = code(index_content(of(l)->x, &i, &b, NULL));
	if (r < 0)
		return r;
	memcpy(p, b.p, b.n < n ? b.n : n);
	*ret_n = b.n;
	return 0;
}

/* ---- content ----------------------------------------------------------------------------------
 */

static int make_map(struct lower_index *x, uint16_t pack, struct pack_map **ret)
{
	struct pack_map *m = calloc(1, sizeof(*m));
	int fd = view_pack_fd(x->v, pack);
	struct stat st;
	void *p;

	if (!m)
		return -ENOMEM;
	if (fstat(fd, &st) < 0 || st.st_size == 0) {
		free(m);
		return -EIO;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED) {
		free(m);
		return -errno;
	}
	madvise(p, (size_t)st.st_size, MADV_DONTDUMP);
	*m = (struct pack_map){p, (uint64_t)st.st_size};
	*ret = m;
	return 0;
}

static int get_map(struct lower_index *x, uint16_t pack, struct pack_map **ret)
{
	struct pack_map *m = x->packs[pack];
	int r = 0;

	if (!m) {
		pthread_mutex_lock(&x->lock);
		m = x->packs[pack];
		if (!m)
			r = make_map(x, pack, &m);
		if (r == 0)
			x->packs[pack] = m;
		pthread_mutex_unlock(&x->lock);
	}
	*ret = m;
	return r;
}

/* Memory for a run; may be less of it. */
static int run_memory(struct lower_index *x, const struct view_run *run, struct iovec *ret)
{
	struct pack_map *m;
	int r;

	if (run->hole) {
		*ret = (struct iovec){
			zeros, run->size < sizeof(zeros) ? (size_t)run->size : sizeof(zeros)};
		return 0;
	}
	r = get_map(x, run->pack, &m);
	if (r < 0)
		return r;
	if (run->pack_off >= m->size || run->size > m->size - run->pack_off)
		return -EIO;
	*ret = (struct iovec){m->p + run->pack_off, (size_t)run->size};
	return 0;
}

static int chunk_pieces(struct lower_index *x, const struct index_inode *i, size_t n, uint64_t off,
	struct lower_content *ret)
{
	while (ret->size < n && ret->n < LOWER_PIECES_MAX) {
		struct iovec *v = &ret->pieces[ret->n];
		struct view_run run;
		int r = view_run(x->v, i, off + ret->size, n - ret->size, &run, NULL);

		if (r == 0)
			r = run_memory(x, &run, v);
		if (r < 0)
			return code(r);
		ret->n++;
		ret->size += v->iov_len;
	}
	return 0;
}

static int get_pieces(struct lower_index *x, const struct index_inode *i, size_t n, uint64_t off,
	struct lower_content *ret)
{
	struct bytes b;
	int r;

	ret->n = 0;
	ret->size = 0;
	n = off >= i->size ? 0 : i->size - off < n ? (size_t)(i->size - off) : n;
	if (!n)
		return 0;
	if (i->layout == INDEX_CHUNKS)
		return chunk_pieces(x, i, n, off, ret);
	r = index_content(x->x, i, &b, NULL);
	if (r < 0)
		return code(r);
	if (off > b.n || n > b.n - off)
		return -EIO;
	ret->pieces[0] = (struct iovec){(void *)(uintptr_t)(b.p + off), n};
	ret->n = 1;
	ret->size = n;
	return 0;
}

static int get_content(struct lower *l, uint64_t key, void *p, size_t n, uint64_t off,
	struct lower_content *pieces, size_t *ret_n)
{
	struct index_inode i;
	int r = get(l, key, &i);

	if (r < 0)
		return r;
	if (!S_ISREG(i.mode))
		return S_ISDIR(i.mode) ? -EISDIR : -EINVAL;
	if (!pieces)
		return code(view_read(of(l)->v, &i, p, n, off, ret_n, NULL));
	r = get_pieces(of(l), &i, n, off, pieces);
	if (r == 0)
		*ret_n = pieces->size;
	return r;
}

static int get_seek(struct lower *l, uint64_t key, uint64_t off, bool hole, uint64_t *ret)
{
	uint64_t start = 0, end = 0;
	struct index_inode i;
	int r = get(l, key, &i);

	if (r < 0)
		return r;
	if (!S_ISREG(i.mode))
		return -EINVAL;
	if (off >= i.size)
		return -ENXIO;
	r = code(view_next_run(of(l)->v, &i, off, &start, &end, NULL));
	if (r < 0)
		return r;
	if (!hole && r == 0)
		return -ENXIO;
	*ret = hole ? (r == 1 && start == off ? end : off) : start;
	return 0;
}

static int get_extent(struct lower *l, uint64_t key, uint64_t off, struct lower_extent *ret)
{
	struct index_inode i;
	struct view_run run;
	int r = get(l, key, &i);

	if (r < 0)
		return r;
	if (i.layout != INDEX_CHUNKS)
		return -EOPNOTSUPP;
	off -= off % PACK_BLOCK_SIZE;
	for (; off < i.size; off += run.size) {
		r = view_run(of(l)->v, &i, off, UINT64_MAX, &run, NULL);
		if (r < 0)
			return code(r);
		if (run.hole)
			continue;
		*ret = (struct lower_extent){
			off, run.size, view_pack_fd(of(l)->v, run.pack), run.pack_off};
		return 0;
	}
	return 1;
}

/* ---- xattrs -----------------------------------------------------------------------------------
 */

static int get_xattr(
	struct lower *l, uint64_t key, const char *name, void *p, size_t n, size_t *ret_n)
{
	char name2[XATTR_NAME_LEN_MAX + 1];
	struct index_inode i;
	struct bytes value;
	uint64_t pos = 0;
	int r = get(l, key, &i);

	if (r < 0 || overlay_xattr_is_private(name, false))
		return r < 0 ? r : -ENODATA;
	while ((r = index_xattr(of(l)->x, &i, &pos, name2, &value, NULL)) == 1)
		if (strcmp(name, name2) == 0)
			break;
	if (r != 1)
		return r < 0 ? code(r) : -ENODATA;
	if (n && n < value.n)
		return -ERANGE;
	if (n && value.n)
		memcpy(p, value.p, value.n);
	*ret_n = value.n;
	return 0;
}

static int list_xattr(struct lower *l, uint64_t key, char *p, size_t n, size_t *ret_n)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	struct index_inode i;
	struct bytes value;
	uint64_t pos = 0;
	size_t done = 0;
	int r = get(l, key, &i);

	if (r < 0)
		return r;
	while ((r = index_xattr(of(l)->x, &i, &pos, name, &value, NULL)) == 1) {
		size_t len = strlen(name) + 1;

		if (overlay_xattr_is_private(name, false))
			continue;
		if (n && len > n - done)
			return -ERANGE;
		if (n)
			memcpy(p + done, name, len);
		done += len;
	}
	if (r == 0)
		*ret_n = done;
	return code(r);
}

static int get_origin(struct lower *l, uint64_t key, struct overlay_origin *ret)
{
	overlay_origin_of(l->uuid, key, ret);
	return 0;
}

static void close_index(struct lower *l)
{
	struct lower_index *x = of(l);

	for (size_t i = 0; i < INDEX_DEVICES_MAX; i++) {
		struct pack_map *m = x->packs[i];

		if (m)
			munmap(m->p, m->size);
		free(m);
	}
	pthread_mutex_destroy(&x->lock);
	view_close(x->v);
	free(x);
}

static const struct lower_ops index_ops = {
	.lookup = lookup,
	.stat = get_stat,
	.readdir = get_name,
	.dir_marks = dir_marks,
	.readlink = get_link,
	.read = get_content,
	.seek = get_seek,
	.getxattr = get_xattr,
	.listxattr = list_xattr,
	.extents = get_extent,
	.origin = get_origin,
	.close = close_index,
};

/* What begins at a nid takes 32 bytes at least, so that the file's size bounds the numbers. */
#define NID_BITS 5

int lower_index_open(struct view *v, struct lower **ret, struct err *e)
{
	const struct index_info *info = index_info(view_index(v));
	struct lower_index *x = calloc(1, sizeof(*x));

	if (!x)
		return err_sys(e, -ENOMEM, "cannot open the image");
	x->v = v;
	x->x = view_index(v);
	pthread_mutex_init(&x->lock, NULL);
	x->l = (struct lower){
		.ops = &index_ops,
		.root = info->root_nid,
		.ino_end = (info->size >> NID_BITS) + 1,
		.has_origin = true,
	};
	memcpy(x->l.uuid, info->portable.b, sizeof(x->l.uuid));
	*ret = &x->l;
	return 0;
}
