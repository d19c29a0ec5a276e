/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a file of an image. Build: cc cat.c $(pkg-config --cflags --libs plyfs) */
#include <plyfs.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct plyfs_store *store = NULL;
	struct plyfs_image *image = NULL;
	struct plyfs_file *file = NULL;
	struct plyfs_error error;
	char buffer[65536];
	uint64_t offset = 0;
	ssize_t n = -1;

	if (argc != 3)
		return fprintf(stderr, "usage: %s IMAGE PATH\n", argv[0]), 2;
	if (plyfs_store_open(NULL, 0, &store, &error) == 0 &&
		plyfs_image_open(store, argv[1], &image, &error) == 0 &&
		plyfs_open(image, argv[2], &file, &error) == 0) {
		while ((n = plyfs_pread(file, buffer, sizeof(buffer), offset, &error)) > 0)
			offset += fwrite(buffer, 1, (size_t)n, stdout);
	}
	if (n < 0)
		fprintf(stderr, "%s\n", error.text);
	plyfs_close(file);
	plyfs_image_close(image);
	plyfs_store_close(store);
	return n < 0;
}
