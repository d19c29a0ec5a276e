/* SPDX-License-Identifier: Apache-2.0 */
#include "file-data.h"
#include "manifest-form.h"
#include "tree-source.h"
#include "util/buf.h"
#include "util/io.h"

#include <fcntl.h>

static const uint32_t type_bits[] = {
	[MANIFEST_FILE] = S_IFREG,
	[MANIFEST_DIR] = S_IFDIR,
	[MANIFEST_LINK] = S_IFLNK,
	[MANIFEST_CHAR] = S_IFCHR,
	[MANIFEST_BLOCK] = S_IFBLK,
	[MANIFEST_FIFO] = S_IFIFO,
	[MANIFEST_SOCKET] = S_IFSOCK,
};

/* The entry that `file` describes, under the name `path`. */
static struct tar_entry entry_of(const struct manifest_entry *file, const char *path)
{
	return (struct tar_entry){
		.path = *path ? path : "./",
		.mode = type_bits[file->type] | file->mode,
		.link = file->link,
		.uid = file->uid,
		.gid = file->gid,
		.mtime = file->mtime,
		.mtime_nsec = file->mtime_nsec,
		.dev_major = file->dev_major,
		.dev_minor = file->dev_minor,
		.xattrs = file->xattrs,
		.n_xattrs = file->n_xattrs,
	};
}

/* Small contents from memory, and entries that have none. */
static int write_bytes(struct sink *out, struct tar_entry *x, struct word text, struct err *e)
{
	int r;

	x->size = text.n;
	r = tar_write_entry(out, x, e);
	if (r == 0)
		r = sink_write(out, text.p, text.n);
	if (r == 0)
		r = tar_write_padding(out, x);
	return r < 0 ? err_sys(e, r, "'%.200s'", x->path) : 0;
}

static int write_content(
	struct sink *out, const struct tar_entry *x, const char *name, int dirfd, struct err *e)
{
	_cleanup_close_ int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "cannot open content '%.200s'", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -ERR_INPUT, "content '%.200s' is no regular file", name);
	return file_to_tar(fd, &st, x, out, e);
}

/* Marks of a layer: an empty file beside what it hides, or in the directory that is opaque. */
static int write_mark(struct sink *out, const struct manifest_entry *x, const char *dir,
	size_t dir_size, const char *name, struct err *e)
{
	_cleanup_buf_ struct buf path = {0};
	struct tar_entry mark;

	if (buf_addf(&path, "%.*s%s%s", (int)dir_size, dir, ".wh.", name) < 0)
		return err_sys(e, -ENOMEM, "'%.200s'", x->path);
	mark = (struct tar_entry){.path = (const char *)path.p, .mode = S_IFREG};
	return write_bytes(out, &mark, (struct word){0}, e);
}

static int write_whiteout(struct sink *out, const struct manifest_entry *x, struct err *e)
{
	const char *slash = strrchr(x->path, '/');
	const size_t n = slash ? (size_t)(slash + 1 - x->path) : 0;

	return write_mark(out, x, x->path, n, x->path + n, e);
}

static int write_opaque(struct sink *out, const struct manifest_entry *x, struct err *e)
{
	_cleanup_buf_ struct buf dir = {0};

	if (buf_addf(&dir, "%s%s", x->path, *x->path ? "/" : "") < 0)
		return err_sys(e, -ENOMEM, "'%.200s'", x->path);
	return write_mark(out, x, (const char *)dir.p, dir.n, ".wh..opq", e);
}

static int write_entry(struct sink *out, const struct manifest_entry *x, int dirfd, struct err *e)
{
	const struct manifest_entry *file = x->file ? x->file : x;
	const struct manifest_entry *first = file->first ? file->first : file;
	struct tar_entry entry;
	int r;

	if (x->type == MANIFEST_WHITEOUT)
		return write_whiteout(out, x, e);
	entry = entry_of(file, x->path);
	if (x != first) {
		entry.hardlink = true;
		entry.link = first->path;
		return tar_write_entry(out, &entry, e);
	}
	if (file->content)
		return write_content(out, &entry, file->content, dirfd, e);
	r = write_bytes(out, &entry, file->text, e);
	return r == 0 && x->opaque ? write_opaque(out, x, e) : r;
}

int manifest_form_write(const struct manifest_form *f, int dirfd, struct sink *out, struct err *e)
{
	int r;

	for (size_t i = 0; i < f->n; i++) {
		const struct manifest_entry *x = f->entries[i];

		r = write_entry(out, x, dirfd, e);
		if (r < 0)
			return err_prefix(e, r, "line %zu", x->line);
	}
	r = tar_write_end(out);
	return r < 0 ? err_sys(e, r, "end of the archive") : 0;
}

/* The directory that `path` is in. */
static int open_parent(const char *path, int *ret)
{
	_cleanup_free_ char *dir = strdup(path);
	char *slash;
	int fd;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	fd = open(slash ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int load(const char *path, struct buf *text, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return err_sys(e, -errno, "cannot open");
	r = io_slurp(fd, MANIFEST_SIZE_MAX, text);
	if (r == -EFBIG)
		return err_set(e, -ERR_INPUT, "larger than 256 MiB");
	return r < 0 ? err_sys(e, r, "cannot read") : 0;
}

static int convert(const char *path, struct sink *out, struct err *e)
{
	_cleanup_(manifest_form_done) struct manifest_form form = {0};
	_cleanup_buf_ struct buf text = {0};
	_cleanup_close_ int dirfd = -1;
	int r = load(path, &text, e);

	if (r == 0)
		r = manifest_form_parse(&form, (char *)text.p, text.n, e);
	if (r < 0)
		return r;
	r = open_parent(path, &dirfd);
	if (r < 0)
		return err_sys(e, r, "cannot open its directory");
	return manifest_form_write(&form, dirfd, out, e);
}

int manifest_to_tar(const char *path, struct sink *out, struct err *e)
{
	int r = convert(path, out, e);

	return r < 0 ? err_prefix(e, r, "manifest '%.200s'", path) : 0;
}
