/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tar programs read one archive in different ways, this reader follows the container
 * engines' (Go's archive/tar) if that reading is safe, and refuses otherwise:
 * - types 1 to 6 have no payload, whatever their header's size field says; a pax size other than
 *   0 for them is refused;
 * - a pax size counts for the entry itself, never for extension headers (x, g, L, K);
 * - two extension headers of one kind for one entry, or a GNU long name and a pax path that
 *   differ, are refused; so is an extension header without an entry.
 */
#include "tar-reader.h"

#include <string.h>
#include <sys/stat.h>

int tar_bad(struct tar_reader *t, struct err *e, const char *what)
{
	if (t->entry.path)
		return err_set(e, -ERR_INPUT, "tar: '%.200s': %s", t->entry.path, what);
	return err_set(e, -ERR_INPUT, "tar: header at byte %ju: %s", (uintmax_t)t->header_at, what);
}

int tar_bad_below(struct tar_reader *t, struct err *e, int code)
{
	if (t->entry.path)
		return err_prefix(e, code, "tar: '%.200s'", t->entry.path);
	return err_prefix(e, code, "tar: header at byte %ju", (uintmax_t)t->header_at);
}

int tar_header_size(struct tar_reader *t, uint64_t *ret, struct err *e)
{
	int64_t v;

	if (tar_number(t->header.size, sizeof(t->header.size), &v) < 0 || v < 0)
		return tar_bad(t, e, "malformed size");
	*ret = (uint64_t)v;
	return 0;
}

/* --- from headers to an entry ------------------------------------------------------------- */

/* A field's bytes up to its end or its NUL, as a string. */
static size_t field_copy(char *to, const char *field, size_t n)
{
	n = strnlen(field, n);
	memcpy(to, field, n);
	to[n] = 0;
	return n;
}

static void header_path(struct tar_reader *t)
{
	const struct tar_header *h = &t->header;
	const enum tar_dialect d = tar_header_dialect(h);
	size_t n = 0;

	if (d == TAR_USTAR)
		n = field_copy(t->path, h->prefix, sizeof(h->prefix));
	if (d == TAR_STAR) /* times follow */
		n = field_copy(t->path, h->prefix, 131);
	if (n)
		t->path[n++] = '/';
	field_copy(t->path + n, h->name, sizeof(h->name));
}

/* The records of global headers first, then the entry's own. */
static int apply_pax(struct tar_reader *t, const char **ret_global_path, struct err *e)
{
	int r = 0;

	tar_pax_reset(&t->pax);
	t->global_copy.n = 0;
	if (t->global.n) {
		r = buf_add(&t->global_copy, t->global.p, t->global.n);
		if (r < 0)
			return err_sys(e, r, "tar: global header");
		r = tar_pax_apply(&t->pax, &t->global_copy, e);
	}
	*ret_global_path = t->pax.path;
	if (r == 0 && t->local.present)
		r = tar_pax_apply(&t->pax, &t->local.text, e);
	if (r == 0)
		r = tar_pax_finish(&t->pax, e);
	return r < 0 ? tar_bad_below(t, e, r) : 0;
}

/* A GNU name counts for more than a pax default; against the entry's own record it must be equal.
 */
static int set_path(struct tar_reader *t, const char *global_path, struct err *e)
{
	const char *path = t->pax.path;

	if (t->long_name.present) {
		const char *name = t->long_name.text.n ? (const char *)t->long_name.text.p : "";

		if (path && path != global_path && strcmp(path, name) != 0)
			return tar_bad(t, e, "its GNU long name and its pax path differ");
		path = name;
	}
	if (!path) {
		header_path(t);
		path = t->path;
	}
	if (t->pax.sparse_name)
		path = t->pax.sparse_name;
	if (!*path)
		return tar_bad(t, e, "empty path");
	t->entry.path = path;
	return 0;
}

static int set_link(struct tar_reader *t, struct err *e)
{
	const bool symlink = S_ISLNK(t->entry.mode);
	const char *link = t->pax.link;

	if (!symlink && !t->entry.hardlink)
		return 0;
	if (t->long_link.present)
		link = t->long_link.text.n ? (const char *)t->long_link.text.p : "";
	if (!link) {
		field_copy(t->link, t->header.link, sizeof(t->header.link));
		link = t->link;
	}
	if (!*link)
		return tar_bad(t, e, "empty link target");
	if (symlink && strlen(link) > TAR_LINK_MAX)
		return tar_bad(t, e, "symlink target longer than 4095 bytes");
	t->entry.link = link;
	return 0;
}

/* The type, as S_IFMT bits; 0 for an unknown one. */
static uint32_t type_of(const struct tar_reader *t)
{
	const size_t n = strlen(t->entry.path);

	switch (t->header.type) {
	case 0: /* older than the type for directories */
		return t->entry.path[n - 1] == '/' ? S_IFDIR : S_IFREG;
	case '0':
	case '1':
	case '7':
		return S_IFREG;
	case '2':
		return S_IFLNK;
	case '3':
		return S_IFCHR;
	case '4':
		return S_IFBLK;
	case '5':
	case 'D':
		return S_IFDIR;
	case '6':
		return S_IFIFO;
	case 'S':
		return tar_header_dialect(&t->header) == TAR_GNU ? S_IFREG : 0;
	default:
		return 0;
	}
}

static int set_type(struct tar_reader *t, struct err *e)
{
	const uint8_t type = (uint8_t)t->header.type;
	int64_t mode;

	t->entry.mode = type_of(t);
	if (!t->entry.mode && type > ' ' && type < 0x7f)
		return err_set(
			e, -ERR_INPUT, "tar: '%.200s': unknown type '%c'", t->entry.path, type);
	if (!t->entry.mode)
		return err_set(
			e, -ERR_INPUT, "tar: '%.200s': unknown type %u", t->entry.path, type);
	t->entry.hardlink = type == '1';
	if (tar_number(t->header.mode, sizeof(t->header.mode), &mode) < 0 || mode < 0)
		return tar_bad(t, e, "malformed mode");
	t->entry.mode |= (uint32_t)mode & 07777;
	return 0;
}

static int id_of(
	struct tar_reader *t, const char *field, const char *what, uint32_t *ret, struct err *e)
{
	int64_t v;

	if (tar_number(field, sizeof(t->header.uid), &v) < 0 || v < 0 || v > TAR_ID_MAX)
		return tar_bad(t, e, what);
	*ret = (uint32_t)v;
	return 0;
}

static int set_owner(struct tar_reader *t, struct err *e)
{
	int r = 0;

	t->entry.uid = t->pax.uid;
	t->entry.gid = t->pax.gid;
	if (!t->pax.has_uid)
		r = id_of(t, t->header.uid, "user id is not in 0 to 2^32 - 2", &t->entry.uid, e);
	if (r == 0 && !t->pax.has_gid)
		r = id_of(t, t->header.gid, "group id is not in 0 to 2^32 - 2", &t->entry.gid, e);
	return r;
}

static int set_mtime(struct tar_reader *t, struct err *e)
{
	t->entry.mtime = t->pax.mtime;
	t->entry.mtime_nsec = t->pax.mtime_nsec;
	if (t->pax.has_mtime)
		return 0;
	t->entry.mtime_nsec = 0;
	if (tar_number(t->header.mtime, sizeof(t->header.mtime), &t->entry.mtime) < 0)
		return tar_bad(t, e, "malformed modification time");
	return 0;
}

static int device_of(struct tar_reader *t, const char *field, uint32_t *ret, struct err *e)
{
	int64_t v = 0;

	if (tar_header_dialect(&t->header) == TAR_V7)
		return tar_bad(t, e, "a device without numbers");
	if (tar_number(field, sizeof(t->header.dev_major), &v) < 0 || v < 0 || v > UINT32_MAX)
		return tar_bad(t, e, "bad device number");
	*ret = (uint32_t)v;
	return 0;
}

static int set_device(struct tar_reader *t, struct err *e)
{
	int r = 0;

	if (!S_ISCHR(t->entry.mode) && !S_ISBLK(t->entry.mode))
		return 0;
	t->entry.dev_major = t->pax.dev_major;
	t->entry.dev_minor = t->pax.dev_minor;
	if (!t->pax.has_dev_major)
		r = device_of(t, t->header.dev_major, &t->entry.dev_major, e);
	if (r == 0 && !t->pax.has_dev_minor)
		r = device_of(t, t->header.dev_minor, &t->entry.dev_minor, e);
	return r;
}

/* --- payload and size --------------------------------------------------------------------- */

static bool is_version(const struct tar_pax *x, const char *major, const char *minor)
{
	return strcmp(x->sparse_major ? x->sparse_major : "", major) == 0 &&
	       strcmp(x->sparse_minor ? x->sparse_minor : "", minor) == 0;
}

/* 0.0 and 0.1 have their map in the records, 1.0 at the start of the payload. */
static int read_pax_map(struct tar_reader *t, struct err *e)
{
	struct tar_pax *x = &t->pax;
	int r;

	if (!x->has_sparse_size || x->has_sparse_offset)
		return tar_bad(t, e, "incomplete sparse records");
	t->entry.size = x->sparse_size;
	if (is_version(x, "1", "0") && !x->has_map) {
		r = tar_map_read_text(&x->map, &t->stream, &t->left, e);
		return r < 0 ? tar_bad_below(t, e, r) : 0;
	}
	if (!is_version(x, "", "") && !is_version(x, "0", "0") && !is_version(x, "0", "1"))
		return tar_bad(t, e, "unknown version of sparse records");
	if (!x->has_map || (x->has_sparse_count && x->sparse_count != x->map_count))
		return tar_bad(t, e, "incomplete sparse records");
	return 0;
}

static int set_sparse(struct tar_reader *t, struct err *e)
{
	struct tar_map *m = &t->pax.map;
	int r;

	if (t->header.type == 'S') {
		if (t->pax.sparse)
			return tar_bad(t, e, "two sparse maps");
		r = tar_map_read_gnu(m, &t->stream, &t->header, &t->entry.size, e);
		r = r < 0 ? tar_bad_below(t, e, r) : 0;
	} else {
		r = read_pax_map(t, e);
	}
	if (r < 0)
		return r;
	if (m->end > t->entry.size)
		return tar_bad(t, e, "its sparse map goes past its end");
	if (m->data != t->left)
		return tar_bad(t, e, "its sparse map does not fit its stored size");
	t->entry.sparse = true;
	t->entry.extents = m->v;
	t->entry.n_extents = m->n;
	return 0;
}

static int set_socket(struct tar_reader *t, struct err *e)
{
	if (t->header.type != '0' || t->left || t->pax.sparse)
		return tar_bad(t, e, "a socket that is no empty file");
	t->entry.mode = (t->entry.mode & 07777) | S_IFSOCK;
	return 0;
}

/* The types that have no payload, whatever their size field says. */
static bool is_header_only(uint8_t type)
{
	return type >= '1' && type <= '6';
}

static int set_size(struct tar_reader *t, struct err *e)
{
	const uint8_t type = (uint8_t)t->header.type;
	uint64_t size = 0;
	int r = tar_header_size(t, &size, e);

	if (r < 0)
		return r;
	if (is_header_only(type) && t->pax.has_size && t->pax.size)
		return tar_bad(t, e, "a pax size for what has no content");
	if (is_header_only(type))
		size = 0;
	else if (t->pax.has_size)
		size = t->pax.size;
	if (type == 0 && S_ISDIR(t->entry.mode) && size)
		return tar_bad(t, e, "a directory with content");
	t->hidden = type == 'D';
	t->left = size;
	t->padding = tar_padding(size);
	t->entry.size = t->hidden ? 0 : size;
	return 0;
}

static int set_content(struct tar_reader *t, struct err *e)
{
	int r = set_size(t, e);

	if (r < 0)
		return r;
	if (t->pax.sparse && (!S_ISREG(t->entry.mode) || t->entry.hardlink))
		return tar_bad(t, e, "sparse records for what is no file");
	if (t->pax.socket)
		return set_socket(t, e);
	if (t->pax.sparse || t->header.type == 'S')
		r = set_sparse(t, e);
	t->stored = t->left;
	return r;
}

int tar_entry_make(struct tar_reader *t, struct err *e)
{
	static int (*const steps[])(struct tar_reader *, struct err *) = {
		set_type, set_link, set_owner, set_mtime, set_device, set_content};
	const char *global_path = NULL;
	int r = apply_pax(t, &global_path, e);

	if (r == 0)
		r = set_path(t, global_path, e);
	for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		r = steps[i](t, e);
	if (r < 0)
		return r;
	t->entry.xattrs = t->pax.xattrs;
	t->entry.n_xattrs = t->pax.n_xattrs;
	return 1;
}
