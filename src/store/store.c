/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"
#include "util/buf.h"
#include "util/io.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#define FORMAT_TEXT "plyfs store 1\n"
/* Address space, not memory: room for some 800 million chunks. */
#define MAP_SIZE ((size_t)64 << 30)

#define READERS_MAX 1024
/* 64 bytes for each reader, and as much for LMDB's own head and the end of a block. */
#define LOCK_FILE_SIZE (READERS_MAX * 64 + PACK_BLOCK_SIZE)

static const char *const directories[] = {
	"packs", "layers", "images", "local", "containers", "tmp"};

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

/* A directory whose name is durable when this returns, if the one above may be read. */
static int make_directory(const char *path, mode_t mode)
{
	_cleanup_free_ char *parent = NULL;
	struct stat st;
	int r;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (asprintf(&parent, "%s/..", path) < 0)
		return -ENOMEM;
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	r = io_fsync_dir(AT_FDCWD, parent);
	return r == -EACCES ? 0 : r;
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
		r = make_directory(p, 0755);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return make_directory(p, 0700);
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
			strncmp(de->d_name, "chunks.lmdb", 11) != 0)
			return 0;
	return 1;
}

/* 1 = a database is missing: the store is new, or was made by a version without containers. */
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
		{"damaged", &s->damaged},
		{"containers", &s->containers},
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

/*
 * LMDB's readers take the root whose number stands in the lock file. A writer that is killed when
 * its root is written, and the number is not, leaves it too low until the next writer comes: then
 * we are that one. Were gc to judge by the root before, it would free what was just committed.
 */
int store_begin(struct store *s, bool write, MDB_txn **ret)
{
	MDB_envinfo info;
	int r = mdb_env_info(s->env, &info);

	if (r == 0)
		r = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, ret);
	if (r || mdb_txn_id(*ret) >= info.me_last_txnid)
		return store_code(r);
	mdb_txn_abort(*ret);
	if (write)
		return 1;
	r = store_begin(s, true, ret);
	if (r)
		return r;
	mdb_txn_abort(*ret);
	return store_code(mdb_txn_begin(s->env, NULL, MDB_RDONLY, ret));
}

static int open_env_at(struct store *s, const char *path, unsigned int flags)
{
	int r = mdb_env_create(&s->env);

	if (r == 0)
		r = mdb_env_set_mapsize(s->env, MAP_SIZE);
	if (r == 0)
		r = mdb_env_set_maxdbs(s->env, 8);
	if (r == 0)
		r = mdb_env_set_maxreaders(s->env, READERS_MAX);
	if (r == 0)
		r = mdb_env_open(
			s->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | flags, 0600);
	return r;
}

/*
 * LMDB maps its table of readers, as a file with holes: to fill one on a full disk is SIGBUS. So
 * the disk is asked first. (Before LMDB opens it: to close it later would drop its locks.)
 */
static int allocate_lock_file(struct store *s)
{
	_cleanup_close_ int fd =
		openat(s->dirfd, "chunks.lmdb-lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_FILE_SIZE) < 0 && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

/* 1 = the lock file is half made. */
static int open_lmdb(struct store *s, const char *path)
{
	MDB_txn *txn;
	int dead, r = open_env_at(s, path, 0);

	if (r == 0)
		r = mdb_reader_check(s->env, &dead); /* slots of killed processes */
	r = r ? store_code(r) : store_begin(s, false, &txn);
	if (r == 0)
		mdb_txn_abort(txn);
	return r;
}

#define OPEN_TRIES 500

/*
 * Who is alone with the store makes LMDB's lock file anew. If that one is killed at it, those who
 * were waiting find a file that knows of no root: they all close it, until one is alone.
 */
static int open_until_whole(struct store *s, const char *path, struct err *e)
{
	int r = open_lmdb(s, path);

	for (unsigned int tries = 0; r == 1 && tries < OPEN_TRIES; tries++) {
		mdb_env_close(TAKE_PTR(s->env));
		usleep(1000 * (1 + ((unsigned int)getpid() + tries * 7) % 16));
		r = open_lmdb(s, path);
	}
	if (r == 1)
		r = err_set(e, -ERR_STORE, "%s-lock is half made and in use", path);
	return r;
}

static int open_env(struct store *s, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/chunks.lmdb", s->path) < 0)
		return err_sys(e, -ENOMEM, "cannot open the store");
	if (faccessat(s->dirfd, "chunks.lmdb", F_OK, 0) < 0) /* LMDB would make an empty one */
		return err_sys(e, -errno, "cannot open %s", path);
	r = allocate_lock_file(s);
	if (r < 0)
		return err_sys(e, r, "cannot open %s-lock", path);
	r = open_until_whole(s, path, e);
	/* Without the lock for writers, where nothing is to be made: a reader waits for nobody. */
	if (r == 0)
		r = open_databases(s, false);
	if (r == 1)
		r = open_databases(s, true);
	return r < 0 ? err_sys(e, r, "cannot open %s", path) : 0;
}

/* Empty databases, in a file of their own. */
static int make_records(struct store *s, const char *temp)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", s->path, temp) < 0)
		return -ENOMEM;
	r = open_env_at(s, path, MDB_NOLOCK);
	r = r ? store_code(r) : open_databases(s, true);
	if (s->env)
		mdb_env_close(s->env);
	s->env = NULL;
	return r;
}

static int make_format(struct store *s, const char *temp)
{
	_cleanup_close_ int fd =
		openat(s->dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : io_write_full(fd, FORMAT_TEXT, strlen(FORMAT_TEXT));

	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* By way of tmp/: the file is there whole or not at all. Another process's is as good. */
static int make_file(
	struct store *s, const char *name, int (*make)(struct store *s, const char *temp))
{
	char temp[STORE_NAME_MAX];
	uint64_t number;
	int r;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(temp, sizeof(temp), "tmp/new-%016llx", (unsigned long long)number);
	r = make(s, temp);
	if (r == 0 && linkat(s->dirfd, temp, s->dirfd, name, 0) < 0)
		r = -errno;
	if (r < 0 && faccessat(s->dirfd, name, F_OK, 0) == 0) /* whose gc may have had ours */
		r = 0;
	unlinkat(s->dirfd, temp, 0);
	return r < 0 ? r : io_fsync_dir(s->dirfd, ".");
}

/*
 * Any number of processes may do this at once: each step is content with what is there. The file
 * "format" comes last: all else that makes a store is durable then.
 */
static int make_store(struct store *s, struct err *e)
{
	int r = directory_is_empty(s->dirfd);

	if (r == 0 && faccessat(s->dirfd, "packs", F_OK, 0) < 0) /* else another one is at it */
		return err_set(e, -ERR_STORE, "%s is neither empty nor a store", s->path);
	r = r < 0 ? r : 0;
	for (size_t i = 0; r == 0 && i < sizeof(directories) / sizeof(directories[0]); i++)
		r = io_mkdir(s->dirfd, directories[i], 0700);
	if (r == 0)
		r = make_file(s, "chunks.lmdb", make_records);
	if (r == 0)
		r = make_file(s, "format", make_format);
	return r < 0 ? err_sys(e, r, "cannot make the store %s", s->path) : 0;
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
		[STORE_SPLIT] = {"layers", "split"},
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
