/* SPDX-License-Identifier: Apache-2.0 */
/* Reads an index, trusting nothing in it. */
#include "index.h"
#include "index-disk.h"

#include <assert.h>
#include <dirent.h>
#include <sys/mman.h>

struct index {
	struct bytes all;
	struct bytes meta;   /* up to the chunk table */
	struct bytes chunks; /* the chunk table */
	uint64_t shared_xattrs;
	bool mapped;
	struct index_info info;
};

static int bad(struct err *e, const char *what)
{
	return err_set(e, -ERR_INPUT, "invalid index: %s", what);
}

static int bad_inode(struct err *e, uint64_t nid, const char *what)
{
	return err_set(
		e, -ERR_INPUT, "invalid index: inode %llu: %s", (unsigned long long)nid, what);
}

static int read_header(struct index *x, struct err *e)
{
	struct index_header h;
	struct bytes all = x->all;
	const uint8_t *p = bytes_take(&all, sizeof(h));
	uint64_t table, count;

	if (!p)
		return bad(e, "shorter than its header");
	memcpy(&h, p, sizeof(h));
	if (memcmp(h.magic, INDEX_MAGIC, sizeof(h.magic)) != 0)
		return bad(e, "wrong magic number");
	if (le32toh(h.version) != INDEX_VERSION)
		return bad(e, "unknown version");
	if (le32toh(h.flags) & ~(INDEX_FLAG_LAYER | INDEX_FLAG_LOCAL))
		return bad(e, "unknown flags");
	table = le64toh(h.chunk_table);
	count = le64toh(h.chunk_count);
	if (le64toh(h.file_size) != x->all.n)
		return bad(e, "its size is not what its header says");
	if (table % EROFS_BLOCK_SIZE || table < 2 * EROFS_BLOCK_SIZE || table > x->all.n ||
		count >= CHUNK_HOLE || count * sizeof(struct index_chunk_entry) != x->all.n - table)
		return bad(e, "the chunk table does not fit the file");
	x->meta = bytes_of(x->all.p, table);
	x->chunks = bytes_of(x->all.p + table, x->all.n - table);
	x->info = (struct index_info){
		.layer = le32toh(h.flags) & INDEX_FLAG_LAYER,
		.local = le32toh(h.flags) & INDEX_FLAG_LOCAL,
		.size = x->all.n,
		.chunks = count,
		.data_bytes = le64toh(h.data_bytes),
	};
	memcpy(x->info.portable.b, h.portable, DIGEST_SIZE);
	x->info.facts = x->info.local && le32toh(h.facts) & INDEX_FACT_KNOWN;
	if (x->info.facts) {
		x->info.whiteout = le32toh(h.facts) & INDEX_FACT_WHITEOUT;
		x->info.largest = le64toh(h.largest);
	}
	return 0;
}

static int read_super(struct index *x, struct err *e)
{
	struct erofs_super s;

	memcpy(&s, x->all.p + EROFS_SUPER_OFFSET, sizeof(s));
	if (le32toh(s.magic) != EROFS_SUPER_MAGIC)
		return bad(e, "no EROFS superblock");
	if (le32toh(s.checksum) != index_super_checksum(x->all.p))
		return bad(e, "wrong superblock checksum");
	if (s.block_bits != EROFS_BLOCK_BITS || s.ext_slots || s.meta_block || s.compression ||
		le32toh(s.feature_incompat) & ~(EROFS_INCOMPAT_CHUNKED | EROFS_INCOMPAT_DEVTABLE))
		return bad(e, "EROFS features that no index has");
	if (le16toh(s.root_nid) != INDEX_ROOT_NID)
		return bad(e, "the root is not where it belongs");
	if (le16toh(s.extra_devices) > INDEX_DEVICES_MAX ||
		le16toh(s.device_slot) != INDEX_DEVICE_SLOT)
		return bad(e, "wrong device table");
	x->shared_xattrs = (uint64_t)le32toh(s.xattr_block) * EROFS_BLOCK_SIZE;
	x->info.inodes = le64toh(s.inodes);
	x->info.devices = le16toh(s.extra_devices);
	x->info.root_nid = le16toh(s.root_nid);
	return 0;
}

static int index_init(struct index *x, struct err *e)
{
	int r = read_header(x, e);

	return r < 0 ? r : read_super(x, e);
}

int index_open_memory(const void *p, size_t n, struct index **ret, struct err *e)
{
	_cleanup_(index_closep) struct index *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return err_sys(e, -ENOMEM, "cannot open the index");
	x->all = bytes_of(p, n);
	r = index_init(x, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(x);
	return 0;
}

int index_open(int fd, struct index **ret, struct err *e)
{
	_cleanup_(index_closep) struct index *x = calloc(1, sizeof(*x));
	struct stat st;
	void *p;
	int r;

	if (!x)
		return err_sys(e, -ENOMEM, "cannot open the index");
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "cannot open the index");
	if (st.st_size < (off_t)(2 * EROFS_BLOCK_SIZE))
		return bad(e, "shorter than its header");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, -errno, "cannot map the index");
	x->all = bytes_of(p, (size_t)st.st_size);
	x->mapped = true;
	r = index_init(x, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(x);
	return 0;
}

void index_close(struct index *x)
{
	if (!x)
		return;
	if (x->mapped)
		munmap((void *)(uintptr_t)x->all.p, x->all.n);
	free(x);
}

const struct index_info *index_info(const struct index *x)
{
	return &x->info;
}

static struct index_chunk_entry chunk_entry(const struct index *x, uint64_t n)
{
	struct index_chunk_entry d;

	assert(n < x->info.chunks);
	memcpy(&d, x->chunks.p + n * sizeof(d), sizeof(d));
	return d;
}

void index_chunk(const struct index *x, uint64_t n, struct chunk *ret)
{
	struct index_chunk_entry d = chunk_entry(x, n);

	memcpy(ret->digest.b, d.digest, DIGEST_SIZE);
	ret->size = le32toh(d.size);
}

int index_find_chunk(const struct index *x, uint32_t block, uint64_t *ret)
{
	uint64_t lo = 0, hi = x->info.chunks;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		uint32_t at = le32toh(chunk_entry(x, mid).block);

		if (at == block) {
			*ret = mid;
			return 0;
		}
		if (at < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 1;
}

static bool known_type(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
	       S_ISFIFO(mode) || S_ISSOCK(mode);
}

static void set_device(struct index_inode *i, uint32_t u)
{
	i->dev_major = (u & 0xfff00) >> 8;
	i->dev_minor = (u & 0xff) | ((u >> 12) & 0xfff00);
}

/* What lies behind the inode and its xattrs, by its layout; `at` is where that begins. */
static int read_layout(const struct index *x, struct index_inode *i, unsigned int layout,
	uint32_t u, uint64_t at, struct err *e)
{
	uint64_t tail = i->size % EROFS_BLOCK_SIZE;

	switch (layout) {
	case EROFS_PLAIN:
		i->layout = INDEX_PLAIN;
		if (S_ISREG(i->mode) && i->size)
			return bad_inode(e, i->nid, "a file without chunks");
		break;
	case EROFS_INLINE:
		i->layout = INDEX_INLINE;
		i->tail = bytes_sub(x->meta, at, tail);
		if (i->tail.bad || at % EROFS_BLOCK_SIZE + tail > EROFS_BLOCK_SIZE || !tail ||
			(S_ISREG(i->mode) && i->size > INDEX_INLINE_MAX))
			return bad_inode(e, i->nid, "wrong inline content");
		break;
	case EROFS_CHUNKS:
		i->layout = INDEX_CHUNKS;
		i->chunk_bits = (uint8_t)(EROFS_BLOCK_BITS + (u & EROFS_CHUNK_BITS_MASK));
		if (!S_ISREG(i->mode) || (u & ~EROFS_CHUNK_BITS_MASK) != EROFS_CHUNK_INDEXES ||
			i->chunk_bits > CHUNK_BITS_MAX || i->size > FILE_SIZE_MAX || !i->size)
			return bad_inode(e, i->nid, "wrong chunk format");
		i->tail = bytes_sub(x->meta, (at + 7) & ~(uint64_t)7,
			chunk_count(i->size, i->chunk_bits) * sizeof(struct erofs_chunk));
		if (i->tail.bad)
			return bad_inode(e, i->nid, "its chunk indexes lie outside the metadata");
		break;
	default:
		return bad_inode(e, i->nid, "unknown layout");
	}
	return 0;
}

static int read_flags(const struct index *x, struct index_inode *i, struct err *e);

int index_inode(const struct index *x, uint64_t nid, struct index_inode *ret, struct err *e)
{
	struct bytes b = bytes_sub(x->meta, nid < x->meta.n ? nid * EROFS_SLOT_SIZE : UINT64_MAX,
		sizeof(struct erofs_inode));
	struct index_inode i = {.nid = nid};
	struct erofs_inode d;
	uint16_t format, xattrs;
	uint64_t at;
	int r;

	if (b.bad || nid < INDEX_ROOT_NID)
		return bad_inode(e, nid, "outside the metadata");
	memcpy(&d, b.p, sizeof(d));
	format = le16toh(d.format);
	xattrs = le16toh(d.xattr_count);
	i.mode = le16toh(d.mode);
	i.uid = le32toh(d.uid);
	i.gid = le32toh(d.gid);
	i.nlink = le32toh(d.nlink);
	i.mtime = (int64_t)le64toh(d.mtime);
	i.mtime_nsec = le32toh(d.mtime_nsec);
	i.size = le64toh(d.size);
	i.block = le32toh(d.u);
	if (!(format & EROFS_FORMAT_EXTENDED) || format >> 4)
		return bad_inode(e, nid, "unknown format");
	if (!known_type(i.mode) || i.mtime_nsec >= 1000000000u)
		return bad_inode(e, nid, "wrong type or time");
	at = nid * EROFS_SLOT_SIZE + sizeof(d);
	if (xattrs) {
		i.xattrs = bytes_sub(x->meta, at, 12 + 4 * ((uint64_t)xattrs - 1));
		if (i.xattrs.bad)
			return bad_inode(e, nid, "its xattrs lie outside the metadata");
		at += i.xattrs.n;
	}
	if (S_ISCHR(i.mode) || S_ISBLK(i.mode))
		set_device(&i, i.block);
	r = read_layout(x, &i, (format >> 1) & 7, i.block, at, e);
	if (r == 0 && x->info.layer && xattrs)
		r = read_flags(x, &i, e);
	if (r < 0)
		return r;
	*ret = i;
	return 0;
}

int index_content(
	const struct index *x, const struct index_inode *i, struct bytes *ret, struct err *e)
{
	if (i->size == 0)
		*ret = bytes_of("", 0);
	else if (i->size >= EROFS_BLOCK_SIZE)
		return bad_inode(e, i->nid, "too long to be inline");
	else if (i->layout == INDEX_INLINE)
		*ret = i->tail;
	else
		*ret = bytes_sub(x->meta, (uint64_t)i->block * EROFS_BLOCK_SIZE, i->size);
	return ret->bad ? bad_inode(e, i->nid, "its content lies outside the metadata") : 0;
}

int index_address(const struct index *x, const struct index_inode *i, uint64_t n,
	struct index_address *ret, struct err *e)
{
	struct bytes b = i->tail;
	uint16_t hi;

	assert(i->layout == INDEX_CHUNKS);
	if (n >= b.n / sizeof(struct erofs_chunk))
		return bad_inode(e, i->nid, "no such chunk");
	bytes_take(&b, n * sizeof(struct erofs_chunk));
	hi = bytes_le16(&b);
	ret->device = bytes_le16(&b);
	ret->block = bytes_le32(&b);
	if (ret->block == EROFS_NULL_BLOCK)
		return 1;
	if (hi || ret->device == 0 || ret->device > x->info.devices)
		return bad_inode(e, i->nid, "a chunk on no device");
	return 0;
}

/* One block of a directory, as far as it is filled. */
static struct bytes dir_block(const struct index *x, const struct index_inode *dir, uint64_t n)
{
	uint64_t at = n * EROFS_BLOCK_SIZE;
	uint64_t left = dir->size - at;

	if (dir->layout == INDEX_INLINE && left < EROFS_BLOCK_SIZE)
		return dir->tail;
	return bytes_sub(x->meta, (dir->block + n) * EROFS_BLOCK_SIZE,
		left < EROFS_BLOCK_SIZE ? left : EROFS_BLOCK_SIZE);
}

static uint64_t dir_blocks(const struct index_inode *dir)
{
	return (dir->size + EROFS_BLOCK_SIZE - 1) / EROFS_BLOCK_SIZE;
}

/* How many names a block says that it holds; 0 if that cannot be. */
static unsigned int block_names(struct bytes b)
{
	struct bytes first = bytes_sub(b, 8, 2);
	uint16_t offset = bytes_le16(&first);

	if (first.bad || offset % sizeof(struct erofs_dirent) || offset >= b.n)
		return 0;
	return offset / (unsigned int)sizeof(struct erofs_dirent);
}

/* Name `n` of the `total` in a block; false if it is not one. */
static bool block_name(struct bytes b, unsigned int n, unsigned int total, struct index_name *ret)
{
	static const uint8_t types[] = {
		DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK};
	struct bytes d = bytes_sub(b, n * sizeof(struct erofs_dirent), sizeof(struct erofs_dirent));
	struct bytes after = bytes_sub(b, (n + 1) * sizeof(struct erofs_dirent) + 8, 2);
	uint64_t nid = bytes_le64(&d);
	uint16_t start = bytes_le16(&d), end;
	uint8_t type = bytes_u8(&d);
	struct bytes name;

	end = n + 1 < total ? bytes_le16(&after) : (uint16_t)b.n;
	if (d.bad || end <= start || type >= sizeof(types))
		return false;
	name = bytes_sub(b, start, (uint64_t)(end - start));
	if (name.bad)
		return false;
	if (n + 1 == total) /* the last name ends at a NUL if the block goes on */
		name.n = strnlen((const char *)name.p, name.n);
	if (!name.n || name.n > NAME_LEN_MAX || memchr(name.p, '/', name.n) ||
		memchr(name.p, 0, name.n))
		return false;
	*ret = (struct index_name){
		.nid = nid, .name = (const char *)name.p, .len = name.n, .type = types[type]};
	return true;
}

int index_readdir(const struct index *x, const struct index_inode *dir, uint64_t *pos,
	struct index_name *ret, struct err *e)
{
	uint64_t block = *pos >> 16;
	unsigned int n = *pos & 0xffff, total;
	struct bytes b;

	if (block >= dir_blocks(dir))
		return 0;
	b = dir_block(x, dir, block);
	total = b.bad ? 0 : block_names(b);
	if (n >= total || !block_name(b, n, total, ret))
		return bad_inode(e, dir->nid, "damaged directory");
	*pos = n + 1 < total ? *pos + 1 : (block + 1) << 16;
	return 1;
}

static int compare_names(const char *a, size_t na, const char *b, size_t nb)
{
	int c = memcmp(a, b, na < nb ? na : nb);

	return c ? c : (na > nb) - (na < nb);
}

/* The last block whose first name is not behind `name`; 1 = there is none. */
static int find_dir_block(const struct index *x, const struct index_inode *dir, const char *name,
	size_t len, struct bytes *ret, struct err *e)
{
	uint64_t lo = 0, hi = dir_blocks(dir);
	bool found = false;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		struct bytes b = dir_block(x, dir, mid);
		struct index_name first;

		if (b.bad || !block_names(b) || !block_name(b, 0, block_names(b), &first))
			return bad_inode(e, dir->nid, "damaged directory");
		if (compare_names(first.name, first.len, name, len) <= 0) {
			*ret = b;
			found = true;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return found ? 0 : 1;
}

int index_lookup(const struct index *x, const struct index_inode *dir, const char *name, size_t len,
	uint64_t *ret_nid, struct err *e)
{
	struct bytes b = {0};
	unsigned int lo = 0, hi, total;
	int r = find_dir_block(x, dir, name, len, &b, e);

	if (r)
		return r;
	hi = total = block_names(b);
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;
		struct index_name at;
		int c;

		if (!block_name(b, mid, total, &at))
			return bad_inode(e, dir->nid, "damaged directory");
		c = compare_names(at.name, at.len, name, len);
		if (c == 0) {
			*ret_nid = at.nid;
			return 0;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 1;
}

static const char *prefix_text(uint8_t number)
{
	static const struct index_xattr_prefix prefixes[] = INDEX_XATTR_PREFIXES;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (prefixes[i].number == number)
			return prefixes[i].text;
	return NULL;
}

/* A prefix that ends in '.' wants more; one that does not is the whole name. */
static bool fits_prefix(const char *prefix, size_t name_len)
{
	return prefix && (prefix[strlen(prefix) - 1] == '.') == (name_len > 0) &&
	       strlen(prefix) + name_len <= XATTR_NAME_LEN_MAX;
}

/* Takes one entry off the front of `b`; false if it is none. */
static bool take_xattr(
	struct bytes *b, char ret_name[XATTR_NAME_LEN_MAX + 1], struct bytes *ret_value)
{
	uint8_t name_len = bytes_u8(b);
	const char *prefix = prefix_text(bytes_u8(b));
	uint16_t size = bytes_le16(b);
	const uint8_t *name = bytes_take(b, name_len);
	const uint8_t *value = bytes_take(b, size);
	size_t pad = -((size_t)name_len + size) & 3;

	bytes_take(b, pad < b->n ? pad : b->n);
	if (b->bad || !fits_prefix(prefix, name_len) || memchr(name, 0, name_len))
		return false;
	memcpy(stpcpy(ret_name, prefix), name, name_len);
	ret_name[strlen(prefix) + name_len] = 0;
	*ret_value = bytes_of(value, size);
	return true;
}

static bool shared_xattr(const struct index *x, struct bytes ids, unsigned int n,
	char ret_name[XATTR_NAME_LEN_MAX + 1], struct bytes *ret_value)
{
	struct bytes id = bytes_sub(ids, 4ull * n, 4);
	uint64_t at = x->shared_xattrs + 4ull * bytes_le32(&id);
	struct bytes b = bytes_sub(x->meta, at, x->meta.n > at ? x->meta.n - at : UINT64_MAX);

	return !id.bad && take_xattr(&b, ret_name, ret_value);
}

/* *pos counts the shared ids first; from 256 on it is 256 + the offset in the inline entries. */
static int any_xattr(const struct index *x, const struct index_inode *i, uint64_t *pos,
	char ret_name[XATTR_NAME_LEN_MAX + 1], struct bytes *ret_value, struct err *e)
{
	struct bytes b = i->xattrs;
	struct erofs_xattr_header h;
	const uint8_t *p = b.n ? bytes_take(&b, sizeof(h)) : NULL;

	if (!i->xattrs.n)
		return 0;
	if (!p)
		return bad_inode(e, i->nid, "damaged xattrs");
	memcpy(&h, p, sizeof(h));
	if (*pos < h.shared_count) {
		if (!shared_xattr(x, b, (unsigned int)*pos, ret_name, ret_value))
			return bad_inode(e, i->nid, "damaged shared xattr");
		++*pos;
		return 1;
	}
	if (*pos < 256)
		*pos = 256;
	bytes_take(&b, 4u * h.shared_count + (*pos - 256));
	if (b.bad)
		return bad_inode(e, i->nid, "damaged xattrs");
	if (!b.n)
		return 0;
	p = b.p;
	if (!take_xattr(&b, ret_name, ret_value))
		return bad_inode(e, i->nid, "damaged xattrs");
	*pos += (uint64_t)(b.p - p);
	return 1;
}

int index_xattr(const struct index *x, const struct index_inode *i, uint64_t *pos,
	char ret_name[XATTR_NAME_LEN_MAX + 1], struct bytes *ret_value, struct err *e)
{
	int r;

	do
		r = any_xattr(x, i, pos, ret_name, ret_value, e);
	while (r == 1 && strcmp(ret_name, INDEX_LAYER_XATTR) == 0);
	return r;
}

static int read_flags(const struct index *x, struct index_inode *i, struct err *e)
{
	char name[XATTR_NAME_LEN_MAX + 1];
	struct bytes value;
	uint64_t pos = 0;
	int r;

	while ((r = any_xattr(x, i, &pos, name, &value, e)) == 1) {
		if (strcmp(name, INDEX_LAYER_XATTR) != 0)
			continue;
		i->flags = bytes_u8(&value);
		if (value.bad || value.n || i->flags > 15)
			return bad_inode(e, i->nid, "wrong layer mark");
	}
	return r;
}
