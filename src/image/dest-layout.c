/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs wait without a name until the end. Then, under the lock: oci-layout, the blobs, and last
 * index.json. Whoever else writes into the layout may count on a blob from the moment it has its
 * name, so what fails takes its own blobs away under the same lock, and what has found one there
 * looks again.
 */
#include "dest.h"
#include "util/file-sink.h"
#include "format/oci-doc.h"
#include "source/image-source.h"
#include "util/io.h"
#include "util/temp-file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define BLOBS         "blobs/sha256"
#define BLOB_NAME_MAX (sizeof(BLOBS "/") + DIGEST_HEX_SIZE)
/* So many blobs wait with their descriptors open, more must have a name. */
#define OPEN_BLOBS_MAX 200

struct layout_blob {
	struct digest digest;
	uint64_t size;
	bool was_there; /* and was not written */
	struct temp_file temp;
	bool named; /* by this export */
};

struct layout {
	struct dest dest;
	const char *tag;
	char *path;
	int dirfd;
	struct layout_blob *blobs;
	size_t n_blobs;
	struct file_sink file; /* of the blob that is being written, which is the last one */
	/* What was made here, and goes if the export fails. */
	bool made_dir, made_layout, made_blobs, made_sha256;
	bool finished;
};

static char *blob_name(const struct digest *d, char name[BLOB_NAME_MAX])
{
	char hex[DIGEST_HEX_SIZE + 1];

	snprintf(name, BLOB_NAME_MAX, BLOBS "/%s", digest_hex(d, hex));
	return name;
}

static int cannot_write(const struct layout *l, int code, const char *name, struct err *e)
{
	return err_sys(e, code, "cannot write '%s/%s'", l->path, name);
}

/* --- blobs -------------------------------------------------------------------------------- */

static bool is_there(const struct layout *l, const struct digest *d, uint64_t size)
{
	char name[BLOB_NAME_MAX];
	struct stat st;

	return fstatat(l->dirfd, blob_name(d, name), &st, 0) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == size;
}

static struct layout_blob *push_blob(struct layout *l, struct err *e)
{
	struct layout_blob *v = reallocarray(l->blobs, l->n_blobs + 1, sizeof(*v));

	if (!v) {
		err_sys(e, -ENOMEM, "cannot write to '%s'", l->path);
		return NULL;
	}
	l->blobs = v;
	v[l->n_blobs] = (struct layout_blob){.temp = TEMP_FILE_NONE};
	return &v[l->n_blobs++];
}

static int layout_has(struct dest *d, const struct dest_blob *blob, struct err *e)
{
	struct layout *l = (struct layout *)d;
	struct layout_blob *b;

	if (!is_there(l, &blob->digest, blob->size))
		return 0;
	b = push_blob(l, e);
	if (!b)
		return -ENOMEM;
	b->digest = blob->digest;
	b->size = blob->size;
	b->was_there = true;
	return 1;
}

static int layout_begin(
	struct dest *d, const struct dest_blob *blob _unused_, struct sink **ret, struct err *e)
{
	struct layout *l = (struct layout *)d;
	struct layout_blob *b = push_blob(l, e);
	int r;

	if (!b)
		return -ENOMEM;
	r = temp_file_open(l->dirfd, &b->temp);
	if (r == 0)
		r = file_sink_init(&l->file, b->temp.fd);
	if (r < 0)
		return cannot_write(l, r, BLOBS, e);
	*ret = &l->file.sink;
	return 0;
}

static int layout_end(struct dest *d, const struct dest_blob *blob, struct err *e)
{
	struct layout *l = (struct layout *)d;
	struct layout_blob *b = &l->blobs[l->n_blobs - 1];
	char name[BLOB_NAME_MAX];
	int r = file_sink_flush(&l->file);

	file_sink_done(&l->file);
	if (r == 0 && fsync(b->temp.fd) < 0)
		r = -errno;
	if (r == 0 && l->n_blobs > OPEN_BLOBS_MAX)
		r = temp_file_park(&b->temp);
	b->digest = blob->digest;
	b->size = blob->size;
	return r < 0 ? cannot_write(l, r, blob_name(&b->digest, name), e) : 0;
}

static int add_document(
	struct layout *l, const struct buf *b, const struct digest *digest, struct err *e)
{
	const struct dest_blob blob = {.known = true, .digest = *digest, .size = b->n};
	struct sink *out;
	int r = layout_has(&l->dest, &blob, e);

	if (r)
		return r < 0 ? r : 0;
	r = layout_begin(&l->dest, &blob, &out, e);
	if (r == 0)
		r = sink_write(out, b->p, b->n);
	return r < 0 ? cannot_write(l, r, BLOBS, e) : layout_end(&l->dest, &blob, e);
}

/* --- the end ------------------------------------------------------------------------------ */

static int name_blobs(struct layout *l, struct err *e)
{
	for (size_t i = 0; i < l->n_blobs; i++) {
		struct layout_blob *b = &l->blobs[i];
		char name[BLOB_NAME_MAX];
		int r;

		if (is_there(l, &b->digest, b->size))
			continue;
		if (b->was_there)
			return err_set(e, -ERR_CONFLICT, "'%s/%s' was removed meanwhile", l->path,
				blob_name(&b->digest, name));
		r = temp_file_name(&b->temp, l->dirfd, blob_name(&b->digest, name));
		if (r < 0)
			return cannot_write(l, r, name, e);
		b->named = true;
	}
	return 0;
}

/* A file of a few bytes. */
static int write_small(struct layout *l, const char *name, const void *p, size_t n, struct err *e)
{
	_cleanup_temp_file_ struct temp_file t = TEMP_FILE_NONE;
	int r = temp_file_open(l->dirfd, &t);

	if (r == 0)
		r = io_write_full(t.fd, p, n);
	if (r == 0 && fsync(t.fd) < 0)
		r = -errno;
	if (r == 0)
		r = temp_file_name(&t, l->dirfd, name);
	return r < 0 ? cannot_write(l, r, name, e) : 0;
}

static int make_dir(struct layout *l, const char *name, bool *ret_made, struct err *e)
{
	*ret_made = mkdirat(l->dirfd, name, 0777) == 0;
	if (!*ret_made && errno != EEXIST)
		return cannot_write(l, -errno, name, e);
	return 0;
}

static int make_skeleton(struct layout *l, struct err *e)
{
	int r = 0;

	if (faccessat(l->dirfd, "oci-layout", F_OK, 0) < 0) {
		r = write_small(l, "oci-layout", OCI_LAYOUT_CONTENT, strlen(OCI_LAYOUT_CONTENT), e);
		l->made_layout = r == 0;
	}
	if (r == 0)
		r = make_dir(l, "blobs", &l->made_blobs, e);
	return r < 0 ? r : make_dir(l, BLOBS, &l->made_sha256, e);
}

static int sync_dirs(const struct layout *l, struct err *e)
{
	static const char *const dirs[] = {BLOBS, "blobs", ".", ".."};
	int r = 0;

	for (size_t i = 0; r == 0 && i < 3U + l->made_dir; i++)
		r = io_fsync_dir(l->dirfd, dirs[i]);
	return r < 0 ? cannot_write(l, r, BLOBS, e) : 0;
}

/* *ret stays empty where there is none. */
static int read_small(struct layout *l, const char *name, struct buf *ret, struct err *e)
{
	_cleanup_close_ int fd = openat(l->dirfd, name, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT)
		return 0;
	r = fd < 0 ? -errno : io_slurp(fd, IMAGE_DOC_MAX, ret);
	return r < 0 ? err_sys(e, r, "cannot read '%s/%s'", l->path, name) : 0;
}

static int write_index(struct layout *l, const struct dest_image *image, struct err *e)
{
	_cleanup_buf_ struct buf old = {0}, new = {0};
	int r = read_small(l, "index.json", &old, e);

	if (r == 0) {
		r = oci_index_put("index.json", old.p, old.n, &image->manifest_digest,
			image->manifest->n, l->tag, &new, e);
		if (r < 0)
			return err_prefix(e, r, "%s", l->path);
	}
	if (r == 0)
		r = write_small(l, "index.json", new.p, new.n, e);
	if (r < 0)
		return r;
	l->finished = true;
	r = io_fsync_dir(l->dirfd, ".");
	return r < 0 ? cannot_write(l, r, "index.json", e) : 0;
}

static int layout_finish(struct dest *d, const struct dest_image *image, struct err *e)
{
	struct layout *l = (struct layout *)d;
	int r = add_document(l, image->config, &image->config_digest, e);

	if (r == 0)
		r = add_document(l, image->manifest, &image->manifest_digest, e);
	if (r == 0 && flock(l->dirfd, LOCK_EX) < 0)
		r = err_sys(e, -errno, "cannot lock '%s'", l->path);
	if (r == 0)
		r = make_skeleton(l, e);
	if (r == 0)
		r = name_blobs(l, e);
	if (r == 0)
		r = sync_dirs(l, e);
	return r < 0 ? r : write_index(l, image, e);
}

/* --- beginning and undoing ---------------------------------------------------------------- */

static void undo(struct layout *l)
{
	char name[BLOB_NAME_MAX];

	for (size_t i = 0; i < l->n_blobs; i++)
		if (l->blobs[i].named)
			unlinkat(l->dirfd, blob_name(&l->blobs[i].digest, name), 0);
	if (l->made_sha256)
		unlinkat(l->dirfd, BLOBS, AT_REMOVEDIR);
	if (l->made_blobs)
		unlinkat(l->dirfd, "blobs", AT_REMOVEDIR);
	if (l->made_layout)
		unlinkat(l->dirfd, "oci-layout", 0);
	if (l->made_dir)
		rmdir(l->path);
}

static void layout_free(struct dest *d)
{
	struct layout *l = (struct layout *)d;

	for (size_t i = 0; i < l->n_blobs; i++)
		temp_file_done(&l->blobs[i].temp);
	if (!l->finished)
		undo(l);
	file_sink_done(&l->file);
	close_fdp(&l->dirfd);
	free(l->blobs);
	free(l->path);
	free(l);
}

/* Temporary files of exports that were killed, or are at work, do not count. */
static int check_empty(struct layout *l, struct err *e)
{
	int fd = openat(l->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *de;

	if (!dir) {
		close_fdp(&fd);
		return err_sys(e, -errno, "cannot read '%s'", l->path);
	}
	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
			strncmp(de->d_name, TEMP_FILE_PREFIX, strlen(TEMP_FILE_PREFIX)) != 0)
			return err_set(e, -ERR_CONFLICT, "'%s' is neither empty nor an OCI layout",
				l->path);
	return 0;
}

static int check_layout(struct layout *l, struct err *e)
{
	_cleanup_buf_ struct buf b = {0};
	int r = read_small(l, "oci-layout", &b, e);

	if (r < 0)
		return r;
	if (!b.p)
		return check_empty(l, e);
	r = oci_layout_check("oci-layout", b.p, b.n, e);
	return r < 0 ? err_prefix(e, r, "%s", l->path) : 0;
}

static int open_layout(struct layout *l, struct err *e)
{
	l->made_dir = mkdir(l->path, 0777) == 0;
	if (!l->made_dir && errno != EEXIST)
		return err_sys(e, -errno, "cannot make '%s'", l->path);
	l->dirfd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dirfd < 0)
		return err_sys(e, -errno, "cannot open '%s'", l->path);
	return check_layout(l, e);
}

int dest_layout_open(const char *path, const char *tag, struct dest **ret, struct err *e)
{
	static const struct dest_ops ops = {
		layout_has, layout_begin, layout_end, layout_finish, layout_free};
	_cleanup_(dest_freep) struct dest *d = NULL;
	struct layout *l;
	int r;

	l = calloc(1, sizeof(*l));
	if (!l)
		return err_sys(e, -ENOMEM, "cannot export");
	d = &l->dest;
	*l = (struct layout){.dest.ops = &ops, .tag = tag, .path = strdup(path), .dirfd = -1};
	r = l->path ? open_layout(l, e) : err_sys(e, -ENOMEM, "cannot export");
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}
