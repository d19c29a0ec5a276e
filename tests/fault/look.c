/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads every byte of every image of a store, as any program could, and prints for each name one
 * line: the name, and a digest of all that is in the tree (names, attributes, xattrs, link targets,
 * content), or "-" if it is not to be opened. Two stores hold the same images if the output is the
 * same.
 *
 * usage: look STORE
 */
#include <dirent.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <plyfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX   64
#define XATTRS_MAX  65536
#define BUFFER_SIZE 65536

static struct plyfs_error error;
static EVP_MD_CTX *digest;
static char names[NAMES_MAX][PLYFS_NAME_MAX];
static size_t n_names;

static int failed(const char *what)
{
	fprintf(stderr, "look: %s: %s\n", what, error.text);
	exit(1);
}

static void add(const void *p, size_t n)
{
	if (EVP_DigestUpdate(digest, p, n) != 1)
		abort();
}

static void add_text(const char *text)
{
	add(text, strlen(text) + 1);
}

static void add_xattrs(struct plyfs_image *image, const char *path)
{
	static char list[XATTRS_MAX], value[XATTRS_MAX];
	ssize_t n = plyfs_llistxattr(image, path, list, sizeof(list), &error);

	if (n < 0)
		failed(path);
	for (const char *name = list; name < list + n; name += strlen(name) + 1) {
		ssize_t size = plyfs_lgetxattr(image, path, name, value, sizeof(value), &error);

		if (size < 0)
			failed(path);
		add_text(name);
		add(value, (size_t)size);
	}
}

static void add_content(struct plyfs_image *image, const char *path)
{
	static char buffer[BUFFER_SIZE];
	struct plyfs_file *file;
	uint64_t offset = 0;
	ssize_t n;

	if (plyfs_open(image, path, &file, &error) < 0)
		failed(path);
	while ((n = plyfs_pread(file, buffer, sizeof(buffer), offset, &error)) > 0) {
		add(buffer, (size_t)n);
		offset += (uint64_t)n;
	}
	if (n < 0)
		failed(path);
	plyfs_close(file);
}

static void add_tree(struct plyfs_image *image, const char *path);

static void add_directory(struct plyfs_image *image, const char *path)
{
	struct plyfs_dirent entry;
	struct plyfs_dir *dir;
	char below[4096];
	int r;

	if (plyfs_opendir(image, path, &dir, &error) < 0)
		failed(path);
	while ((r = plyfs_readdir(dir, &entry, &error)) == 1) {
		snprintf(below, sizeof(below), "%s/%s", path, entry.name);
		add_tree(image, below);
	}
	if (r < 0)
		failed(path);
	plyfs_closedir(dir);
}

static void add_tree(struct plyfs_image *image, const char *path)
{
	char text[4096];
	struct stat st;

	if (plyfs_lstat(image, path, &st, &error) < 0)
		failed(path);
	snprintf(text, sizeof(text), "%s %o %u %u %ju %ju %jd.%ld %ju", path, st.st_mode, st.st_uid,
		st.st_gid, (uintmax_t)st.st_size, (uintmax_t)st.st_nlink, (intmax_t)st.st_mtime,
		st.st_mtim.tv_nsec, (uintmax_t)st.st_rdev);
	add_text(text);
	add_xattrs(image, path);
	if (S_ISREG(st.st_mode))
		add_content(image, path);
	if (S_ISDIR(st.st_mode))
		add_directory(image, path);
	if (S_ISLNK(st.st_mode)) {
		if (plyfs_readlink(image, path, text, sizeof(text), &error) < 0)
			failed(path);
		add_text(text);
	}
}

static int note_name(void *ctx, const char *name, const char *image_digest)
{
	(void)ctx;
	(void)image_digest;
	if (n_names == NAMES_MAX)
		abort();
	snprintf(names[n_names++], PLYFS_NAME_MAX, "%s", name);
	return 0;
}

static void look_at(struct plyfs_store *store, const char *name)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	struct plyfs_image *image = NULL;
	struct stat st;

	if (plyfs_image_open(store, name, &image, &error) < 0 ||
		plyfs_lstat(image, "/", &st, &error) < 0) { /* quarantined */
		fprintf(stderr, "look: %s: %s\n", name, error.text);
		printf("%s -\n", name);
		plyfs_image_close(image);
		return;
	}
	if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
		abort();
	add_text(plyfs_image_info(image)->digest);
	add_text(plyfs_image_info(image)->config);
	add_text(plyfs_image_info(image)->manifest);
	add_tree(image, "/");
	plyfs_image_close(image);
	if (EVP_DigestFinal_ex(digest, sum, NULL) != 1)
		abort();
	printf("%s ", name);
	for (size_t k = 0; k < 32; k++)
		printf("%02x", sum[k]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct plyfs_store *store;

	if (argc != 2)
		return fprintf(stderr, "usage: %s STORE\n", argv[0]), 2;
	digest = EVP_MD_CTX_new();
	if (plyfs_store_open(argv[1], 0, &store, &error) < 0)
		failed(argv[1]);
	if (plyfs_images(store, note_name, NULL, &error) < 0)
		failed(argv[1]);
	for (size_t k = 0; k < n_names; k++)
		look_at(store, names[k]);
	plyfs_store_close(store);
	EVP_MD_CTX_free(digest);
	return 0;
}
