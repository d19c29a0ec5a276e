/* SPDX-License-Identifier: Apache-2.0 */
#include "output-file.h"
#include "io.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_dir_of(const char *path)
{
	const size_t n = (size_t)(name_of(path) - path);
	_cleanup_free_ char *dir = n ? strndup(path, n) : strdup(".");
	int fd;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Takes the path over. */
static int open_new(struct output_file *f, char *path)
{
	f->path = path;
	if (!path)
		return -errno;
	if (!*name_of(path))
		return -EISDIR;
	f->dirfd = open_dir_of(path);
	return f->dirfd < 0 ? f->dirfd : temp_file_open(f->dirfd, &f->temp);
}

static int open_path(struct output_file *f, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? open_new(f, strdup(path)) : -errno;
	if (S_ISREG(st.st_mode)) {
		int r = open_new(f, realpath(path, NULL));

		return r < 0 ? r : fchmod(f->temp.fd, st.st_mode & 0777) < 0 ? -errno : 0;
	}
	f->fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	return f->fd < 0 ? -errno : 0;
}

static int open_stdout(struct output_file *f, struct err *e)
{
	if (isatty(STDOUT_FILENO))
		return err_set(e, -ERR_INPUT, "an archive is not for a terminal");
	f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return f->fd < 0 ? -errno : 0;
}

int output_file_open(struct output_file *f, const char *path, struct err *e)
{
	int r;

	*f = OUTPUT_FILE_NONE;
	r = strcmp(path, "-") == 0 ? open_stdout(f, e) : open_path(f, path);
	if (r == 0)
		r = file_sink_init(&f->file, f->fd < 0 ? f->temp.fd : f->fd);
	if (r < 0) {
		output_file_done(f);
		return err_sys(e, r, "cannot write '%.200s'", path);
	}
	return 0;
}

int output_file_commit(struct output_file *f)
{
	int r = file_sink_flush(&f->file);

	if (r < 0 || f->fd >= 0)
		return r;
	if (fsync(f->temp.fd) < 0)
		return -errno;
	r = temp_file_name(&f->temp, f->dirfd, name_of(f->path));
	return r < 0 ? r : io_fsync_dir(f->dirfd, ".");
}

void output_file_done(struct output_file *f)
{
	file_sink_done(&f->file);
	temp_file_done(&f->temp);
	close_fdp(&f->fd);
	close_fdp(&f->dirfd);
	free(f->path);
	*f = OUTPUT_FILE_NONE;
}
