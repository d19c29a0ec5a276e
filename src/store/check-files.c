/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the store's directories that no record names, and that no living command is making. */
#include "check.h"
#include "containers.h"
#include "lock.h"
#include "util/array.h"

#include <endian.h>
#include <fcntl.h>
#include <signal.h>

struct names {
	char (*v)[STORE_NAME_MAX];
	size_t n, room;
};

static int add_name(struct names *names, const char *dir, const char *name)
{
	int r = array_room(&names->v, names->n, &names->room, sizeof(*names->v));

	if (r < 0)
		return r;
	if (snprintf(names->v[names->n], STORE_NAME_MAX, "%s/%s", dir, name) < STORE_NAME_MAX)
		names->n++;
	return 0;
}

/* Whether a record of `txn` names the file: of a layer, or of an image. */
static bool recorded(struct store *s, MDB_txn *txn, const char *dir, const char *file)
{
	char hex[DIGEST_HEX_SIZE + 1] = {0};
	MDB_val key = {DIGEST_SIZE, NULL}, value;
	struct digest d;

	if (strcspn(file, ".") != DIGEST_HEX_SIZE)
		return false;
	memcpy(hex, file, DIGEST_HEX_SIZE);
	if (digest_parse_hex(hex, &d) < 0)
		return false;
	key.mv_data = d.b;
	return mdb_get(txn, strcmp(dir, "layers") == 0 ? s->layers : s->images, &key, &value) == 0;
}

/* Whether the pack has ever been used. */
static bool used_pack(struct store *s, MDB_txn *txn, const char *file)
{
	char *end;
	unsigned long n = strtoul(file, &end, 10);
	struct {
		uint16_t pack;
		uint32_t block;
	} __attribute__((packed)) k = {htobe16((uint16_t)n), htobe32(PACK_BLOCKS_MAX)};
	MDB_val key = {sizeof(k), &k}, value;

	return strcmp(end, ".pack") == 0 && n < PACKS_MAX &&
	       mdb_get(txn, s->space, &key, &value) == 0;
}

static bool named(struct store *s, MDB_txn *txn, const char *dir, const char *file)
{
	return strcmp(dir, "packs") == 0 ? used_pack(s, txn, file) : recorded(s, txn, dir, file);
}

static int list(struct check *c, const char *dir, struct names *ret)
{
	int fd = openat(c->s->dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	int r = 0;

	if (!d)
		return check_note(
			c, FINDING_RECORD, NULL, "%s/ cannot be read: %s", dir, err_text(-errno));
	while (r == 0 && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (strcmp(dir, "tmp") != 0 && named(c->s, c->txn, dir, de->d_name))
			continue;
		r = add_name(ret, dir, de->d_name);
	}
	return r;
}

/* tmp/SESSION-N of a session that runs, or a file that somebody has open. */
static bool in_the_making(struct store *s, const char *name)
{
	_cleanup_close_ int fd = -1;
	unsigned long long session;
	char rest;

	if (sscanf(name, "tmp/%16llx-%c", &session, &rest) == 2 &&
		lock_test(s, LOCK_SESSION, session, NULL) == 1)
		return true;
	fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT; /* it is gone: it was */
	fcntl(fd, F_SETSIG, SIGURG);    /* a lease that is broken must not kill us */
	return fcntl(fd, F_SETLEASE, F_WRLCK) < 0 && errno == EAGAIN;
}

/*
 * Files are renamed within the transaction that records them: what no record names is asked for
 * once more within a write transaction, which changes nothing, but waits for that one.
 */
static int judge(struct check *c, const struct names *names)
{
	_cleanup_txn_ MDB_txn *txn = NULL;
	int r = mdb_txn_begin(c->s->env, NULL, 0, &txn);

	if (r)
		return store_code(r);
	for (size_t i = 0; r == 0 && i < names->n; i++) {
		const char *name = names->v[i], *slash = strchr(name, '/');
		char dir[8] = {0};

		memcpy(dir, name, (size_t)(slash - name));
		if (strcmp(dir, "tmp") == 0 ? in_the_making(c->s, name)
					    : named(c->s, txn, dir, slash + 1))
			continue;
		if (faccessat(c->s->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			r = check_note(c, FINDING_LEFTOVER, NULL, "%s: no record names it", name);
	}
	return r;
}

static int note_container(struct store *s _unused_, const char *name, uint64_t bytes _unused_,
	void *ctx, struct err *e)
{
	int r = check_note(ctx, FINDING_LEFTOVER, NULL, "containers/%s: no record names it", name);

	return r < 0 ? err_sys(e, r, "cannot check the store") : 0;
}

int check_files(struct check *c, struct err *e)
{
	static const char *const dirs[] = {"packs", "layers", "images", "local", "tmp"};
	struct names names = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = list(c, dirs[i], &names);
	if (r == 0 && names.n)
		r = judge(c, &names);
	free(names.v);
	if (r == 0)
		r = containers_leftovers(c->s, note_container, c, e);
	return r < 0 ? err_sys(e, r, "cannot check the store") : 0;
}
