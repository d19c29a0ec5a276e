/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"
#include "util/buf.h"
#include "util/io.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FORMAT_TEXT "plyfs store 1\n"
/* Address space, not memory: room for some 800 million chunks. */
#define MAP_SIZE ((size_t)64 << 30)

static const char *const directories[] = {"packs", "layers", "images", "local", "tmp"};

int store_code(int code)
{
	switch (code) {
	case MDB_SUCCESS:
		return 0;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case MDB_DBS_FULL:
	case MDB_READERS_FULL:
		return -ENOSPC;
	default:
		return code > 0 ? -code : -ERR_STORE;
	}
}

/* mkdir -p, the last one for the owner alone. */
static int make_path(const char *path)
{
	_cleanup_free_ char *p = strdup(path);

	if (!p)
		return -ENOMEM;
	for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = 0;
		r = io_mkdir(AT_FDCWD, p, 0755);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return io_mkdir(AT_FDCWD, p, 0700);
}

static int read_format(struct store *s, bool *ret_absent, struct err *e)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_close_ int fd = openat(s->dirfd, "format", O_RDONLY | O_CLOEXEC);
	int r;

	*ret_absent = fd < 0 && errno == ENOENT;
	if (*ret_absent)
		return 0;
	if (fd < 0)
		return err_sys(e, -errno, "cannot open the store %s", s->path);
	r = io_slurp(fd, 4096, &b);
	if (r < 0)
		return err_sys(e, r, "cannot read %s/format", s->path);
	if (b.n != strlen(FORMAT_TEXT) || memcmp(b.p, FORMAT_TEXT, b.n) != 0)
		return err_set(
			e, -ERR_STORE, "%s is not a store that this version can read", s->path);
	return 0;
}

static int directory_is_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;

	if (!d)
		return -errno;
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
			strcmp(de->d_name, "lost+found") != 0 && strcmp(de->d_name, "lock") != 0 &&
			strncmp(de->d_name, "chunks.lmdb", 11) != 0 &&
			strncmp(de->d_name, "format.new-", 11) != 0)
			return 0;
	return 1;
}

/* Any number of processes may do this at once: each step is content with what is there. */
static int make_store(struct store *s, struct err *e)
{
	int r = directory_is_empty(s->dirfd);

	if (r == 0 && faccessat(s->dirfd, "packs", F_OK, 0) < 0) /* else another one is at it */
		return err_set(e, -ERR_STORE, "%s is neither empty nor a store", s->path);
	r = r < 0 ? r : 0;
	for (size_t i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++)
		r = io_mkdir(s->dirfd, directories[i], 0700);
	if (r == 0)
		r = io_write_file(s->dirfd, "format", FORMAT_TEXT, strlen(FORMAT_TEXT));
	return r < 0 ? err_sys(e, r, "cannot make the store %s", s->path) : 0;
}

/* 1 = a database is missing: the store is new. */
static int open_databases(struct store *s, bool create)
{
	const struct {
		const char *name;
		MDB_dbi *dbi;
	} all[] = {
		{"chunks", &s->chunks},
		{"space", &s->space},
		{"held", &s->held},
		{"layers", &s->layers},
		{"images", &s->images},
		{"names", &s->names},
	};
	MDB_txn *txn;
	int r = mdb_txn_begin(s->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (r)
		return store_code(r);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		r = mdb_dbi_open(txn, all[i].name, create ? MDB_CREATE : 0, all[i].dbi);
		if (r) {
			mdb_txn_abort(txn);
			return r == MDB_NOTFOUND ? 1 : store_code(r);
		}
	}
	return store_code(mdb_txn_commit(txn));
}

static int open_env(struct store *s, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	int dead, r = mdb_env_create(&s->env);

	if (asprintf(&path, "%s/chunks.lmdb", s->path) < 0)
		return err_sys(e, -ENOMEM, "cannot open the store");
	if (r == 0)
		r = mdb_env_set_mapsize(s->env, MAP_SIZE);
	if (r == 0)
		r = mdb_env_set_maxdbs(s->env, 8);
	if (r == 0)
		r = mdb_env_set_maxreaders(s->env, 1024);
	if (r == 0)
		r = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (r == 0)
		r = mdb_reader_check(s->env, &dead); /* slots of killed processes */
	/* Without the lock for writers, where nothing is to be made: a reader waits for nobody. */
	r = r ? store_code(r) : open_databases(s, false);
	if (r == 1)
		r = open_databases(s, true);
	return r < 0 ? err_sys(e, r, "cannot open %s", path) : 0;
}

int store_open(const char *path, bool create, struct store **ret, struct err *e)
{
	_cleanup_(store_closep) struct store *s = calloc(1, sizeof(*s));
	bool absent;
	int r;

	if (!s || !(s->path = strdup(path)))
		return err_sys(e, -ENOMEM, "cannot open the store");
	s->dirfd = -1;
	memset(s->packs, 0xff, sizeof(s->packs));
	if (create && (r = make_path(path)) < 0)
		return err_sys(e, r, "cannot make the store %s", path);
	s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dirfd < 0 && errno == ENOENT)
		return err_set(e, -ERR_ABSENT, "there is no store at %s", path);
	if (s->dirfd < 0)
		return err_sys(e, -errno, "cannot open the store %s", path);
	r = read_format(s, &absent, e);
	if (r == 0 && absent)
		r = create ? make_store(s, e)
			   : err_set(e, -ERR_ABSENT, "there is no store at %s", path);
	if (r == 0)
		r = open_env(s, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->env)
		mdb_env_close(s->env);
	for (size_t i = 0; i < PACKS_MAX; i++)
		if (s->packs[i] >= 0)
			close(s->packs[i]);
	if (s->dirfd >= 0)
		close(s->dirfd);
	free(s->path);
	free(s);
}

char *store_file_name(enum store_file kind, const struct digest *d, char name[STORE_NAME_MAX])
{
	static const struct {
		const char *directory, *suffix;
	} forms[] = {
		[STORE_LAYER] = {"layers", "index"},
		[STORE_IMAGE] = {"images", "index"},
		[STORE_MANIFEST] = {"images", "manifest"},
		[STORE_CONFIG] = {"images", "config"},
		[STORE_LOCAL] = {"local", "index"},
	};
	char hex[DIGEST_HEX_SIZE + 1];

	snprintf(name, STORE_NAME_MAX, "%s/%s.%s", forms[kind].directory, digest_hex(d, hex),
		forms[kind].suffix);
	return name;
}

int store_file_open(
	struct store *s, enum store_file kind, const struct digest *d, int *ret_fd, struct err *e)
{
	char name[STORE_NAME_MAX];
	int fd =
		openat(s->dirfd, store_file_name(kind, d, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return err_set(e, -ERR_STORE, "the store is damaged: %s is missing", name);
	if (fd < 0)
		return err_sys(e, -errno, "cannot open %s", name);
	*ret_fd = fd;
	return 0;
}
