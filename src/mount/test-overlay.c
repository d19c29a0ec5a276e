/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays on a small image, made in both ways (by descriptors and by paths), with and without maps
 * of ids; whether they are in use. Needs root, and a file system that can back EROFS for $TMPDIR.
 */
#include "overlay.h"
#include "mounts.h"
#include "format/index.h"
#include "format/test-tree.h"
#include "util/io.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char root[64], layer[80], dir[80], upper[96], image[80];

static int remove_one(
	const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *f _unused_)
{
	return remove(path);
}

static void clean_up(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_image(void)
{
	_cleanup_close_ int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct index_local local = {.n_devices = 0};
	struct index_plan *p = NULL;
	struct tree *t = tree_new();
	struct inode *d;

	CHECK(fd >= 0 && t);
	d = put_dir(t, t->root, "d");
	put_inline(t, d, "file", 100)->uid = 5;
	CHECK(index_plan_new(t, false, &p, NULL) == 0);
	CHECK(index_plan_write(p, fd, &local, NULL, NULL) == 0);
	index_plan_free(p);
	tree_free(t);
}

static void make_layer(void)
{
	char work[96];

	snprintf(work, sizeof(work), "%s/work", layer);
	CHECK(mkdir(layer, 0755) == 0 && mkdir(upper, 0755) == 0 && mkdir(work, 0755) == 0);
}

static void mount_it(bool by_path, const struct idmap *ids)
{
	struct kernel_source k = {.index = image};
	struct overlay_options o = {
		.layer = layer, .source = "plyfs:/store:id", .ids = ids, .by_path = by_path};
	struct err e = {0};
	int r = overlay_mount(&k, &o, dir, &e);

	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
}

static uid_t owner(const char *path)
{
	struct stat st;

	CHECK(lstat(path, &st) == 0);
	return st.st_uid;
}

static void check_one(bool by_path, bool mapped)
{
	struct id_range range = {.shown = 100000, .host = 0, .n = 1000};
	struct id_map map = {&range, 1};
	_cleanup_idmap_ struct idmap ids = IDMAP_NONE;
	char file[128], moved[128];
	struct mount_entry *v;
	size_t n;
	bool there = false;

	make_layer();
	if (mapped)
		CHECK(idmap_new(&map, &map, &ids, NULL) == 0);
	CHECK(overlay_in_use(upper, NULL) == 0);
	mount_it(by_path, mapped ? &ids : NULL);
	CHECK(overlay_in_use(upper, NULL) == 1);
	snprintf(file, sizeof(file), "%s/d", dir);
	snprintf(moved, sizeof(moved), "%s/moved", dir);
	CHECK(rename(file, moved) == 0);
	snprintf(file, sizeof(file), "%s/moved/file", dir);
	CHECK(owner(file) == (mapped ? 100005 : 5));
	CHECK(chown(file, mapped ? 100007 : 7, (gid_t)-1) == 0);
	CHECK(mount_entries(&v, &n, NULL) == 0);
	for (size_t i = 0; i < n; i++)
		there |= strcmp(v[i].dir, dir) == 0 && strcmp(v[i].type, "overlay") == 0 &&
			 strcmp(overlay_source_id(v[i].source, "/store"), "id") == 0;
	mount_entries_free(v, n);
	CHECK(there);
	CHECK(mount_remove(dir, false, NULL) == 0);
	CHECK(overlay_in_use(upper, NULL) == 0);

	/* The mark of a volatile mount does not matter, nor does the other way to make one. */
	mount_it(!by_path, NULL);
	CHECK(owner(file) == 7);
	CHECK(mount_remove(dir, false, NULL) == 0);
	nftw(layer, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void check_sources(void)
{
	char *s = overlay_source("/a/b", "id");

	CHECK(s && strcmp(overlay_source_id(s, "/a/b"), "id") == 0);
	CHECK(!overlay_source_id(s, "/a"));
	CHECK(!overlay_source_id(s, "/a/b/c"));
	CHECK(!overlay_source_id("overlay", "/a"));
	CHECK(!overlay_source_id("plyfs:", ""));
	free(s);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	check_sources();
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("SKIP: not root\n");
		return 77;
	}
	snprintf(root, sizeof(root), "%s/plyfs-overlay-XXXXXX",
		tmp && strlen(tmp) < 32 ? tmp : "/tmp");
	CHECK(mkdtemp(root));
	atexit(clean_up);
	snprintf(layer, sizeof(layer), "%s/c", root);
	snprintf(upper, sizeof(upper), "%s/upper", layer);
	snprintf(dir, sizeof(dir), "%s/m", root);
	snprintf(image, sizeof(image), "%s/i", root);
	CHECK(mkdir(dir, 0755) == 0);
	make_image();
	for (int by_path = 0; by_path < 2; by_path++)
		for (int mapped = 0; mapped < 2; mapped++)
			check_one(by_path, mapped);
	return 0;
}
