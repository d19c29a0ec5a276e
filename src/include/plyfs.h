/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libplyfs: layered images, from a program.
 *
 * Functions return 0 when they have done their work. A negative value is a failure, and the
 * `struct plyfs_error` that was passed (it may be NULL) then holds one line that says what failed
 * and where. Positive values are said where there are any. What a function gives back through
 * `ret_...` is set only on success; the pointers are owned by the caller and closed with the
 * function named beside them.
 *
 * A store may be used by any number of processes at once. A process opens a store once at a time;
 * the store and what was opened from it are then for one thread at a time, but for plyfs_pread,
 * which is free.
 *
 * Paths inside an image begin at its root; symlinks never lead out of it.
 */
#ifndef PLYFS_H
#define PLYFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLYFS_DIGEST_MAX 72 /* "sha256:", 64 hex digits, NUL */
#define PLYFS_NAME_MAX   385

struct plyfs_error {
	int code; /* the negative value that was returned */
	char text[640];
};

/* ---- the store ---------------------------------------------------------------------------- */

struct plyfs_store;

/*
 * Opens the store in the directory `path`; NULL is the default: $PLYFS_STORE, else /var/lib/plyfs
 * for root and $XDG_DATA_HOME/plyfs (~/.local/share/plyfs) for others. With `create`, makes it if
 * it is not there.
 */
int plyfs_store_open(
	const char *path, int create, struct plyfs_store **ret_store, struct plyfs_error *error);
void plyfs_store_close(struct plyfs_store *store);
const char *plyfs_store_path(const struct plyfs_store *store);

struct plyfs_import_options {
	const char *platform; /* "linux/arm64"; NULL: this machine's */
	uint32_t chunk_size;  /* bytes, a power of two from 4096 to 1 MiB; 0: the default */
	/* Called from another thread while layer `layer` of `layers` is read; may be NULL. */
	void (*progress)(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total);
	void *progress_ctx;
};

/*
 * Imports an image under a name. `source` is oci:DIR[:TAG], oci-archive:FILE[:TAG],
 * docker-archive:FILE[:TAG], tar:FILE ("-": standard input), rootfs:DIR or manifest:FILE.
 */
int plyfs_import(struct plyfs_store *store, const char *source, const char *name,
	const struct plyfs_import_options *options, char ret_digest[PLYFS_DIGEST_MAX],
	struct plyfs_error *error);
/* A new image: `base` with the layer `source` (tar:, rootfs: or manifest:) on top. */
int plyfs_layer_add(struct plyfs_store *store, const char *base, const char *source,
	const char *name, const struct plyfs_import_options *options,
	char ret_digest[PLYFS_DIGEST_MAX], struct plyfs_error *error);

struct plyfs_gc_options {
	int dry_run; /* only counts; changes nothing */
	/* Called while it goes on, `what` being "marking", "freeing" and the like; may be NULL. */
	void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
	void *progress_ctx;
};
struct plyfs_gc {
	uint64_t images, layers, chunks, files;
	uint64_t bytes;      /* what the file system got back */
	uint64_t pack_bytes; /* of these, content of chunks; the rest are files */
};
/* Frees what no name leads to and nobody uses. `options` may be NULL. */
int plyfs_gc(struct plyfs_store *store, const struct plyfs_gc_options *options,
	struct plyfs_gc *ret, struct plyfs_error *error);

struct plyfs_df {
	uint64_t images, names, layers, chunks;
	uint64_t chunk_bytes; /* content of the chunks */
	uint64_t data_bytes;  /* content of all images' files, each image counted whole */
	uint64_t index_bytes; /* indexes of layers and images */
	uint64_t disk_bytes;  /* what the store takes on its file system, everything included */
	uint64_t split_bytes; /* what layers' tars hold besides content */
	uint64_t pack_bytes;  /* what the packs take on the file system */
	uint64_t free_bytes;  /* space inside the packs that imports use again; takes no disk */
	uint64_t held_bytes;  /* space that running imports hold, or killed ones held */
	uint64_t containers;
	uint64_t container_bytes; /* what their directories take on the file system */
};
int plyfs_df(struct plyfs_store *store, struct plyfs_df *ret, struct plyfs_error *error);

/* What plyfs_fsck found, or did. */
enum plyfs_fsck_class {
	PLYFS_FSCK_DAMAGE,   /* something is wrong */
	PLYFS_FSCK_LEFTOVER, /* a killed command left it: gc removes it; no damage */
	PLYFS_FSCK_HEALED,   /* a repair has made it sound */
	PLYFS_FSCK_LEFT,     /* a repair could not: it is quarantined */
};
struct plyfs_fsck_path {
	const char *image; /* its name, or its digest if it has none */
	const char *path;  /* of a file in it; NULL: the image as a whole */
};
struct plyfs_fsck_problem {
	enum plyfs_fsck_class problem_class;
	const char *kind;   /* chunk layer image local-index name record space pack leftover */
	const char *text;   /* one line: what is wrong with what, and where */
	const char *digest; /* of the chunk, layer or image; NULL: it is none */
	const char *pack;   /* where a chunk lies: "packs/0.pack"; NULL: nowhere */
	uint64_t offset;    /* and at which byte */
	const struct plyfs_fsck_path *paths; /* all that it touches */
	size_t n_paths;
};

struct plyfs_fsck_options {
	int data;                   /* verify the content of every chunk, too */
	int repair;                 /* quarantine what is damaged, and heal what can be */
	const char *const *sources; /* as for plyfs_import, to heal from; they imply `repair` */
	size_t n_sources;
	/* Called for each problem, in the end; what it points to is gone afterwards. May be NULL.
	 */
	void (*problem)(void *ctx, const struct plyfs_fsck_problem *p);
	/* Called while chunks are verified, from any thread, one at a time. Bytes. May be NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

struct plyfs_fsck {
	uint64_t names, images, layers, chunks;
	uint64_t verified_bytes;
	uint64_t damaged, leftovers; /* problems of these classes */
	uint64_t unreferenced_chunks;
	uint64_t healed, left;  /* of the damaged */
	uint64_t healed_chunks; /* that were written again from the sources */
};
/*
 * Checks the whole store. 0 = it could be checked, and *ret says what was found: it is sound if
 * `damaged` is 0, or after a repair `left`. Imports may run meanwhile; gc waits. *ret is set on
 * failure, too, as far as the check came.
 */
int plyfs_fsck(struct plyfs_store *store, const struct plyfs_fsck_options *options,
	struct plyfs_fsck *ret, struct plyfs_error *error);
/* Own and shared sizes are in whole blocks of 4,096 bytes. */
struct plyfs_df_image {
	const char *digest;
	const char *const *names; /* sorted; none: in use, but without a name */
	size_t n_names, layers;
	uint64_t own_bytes; /* chunks that no other image needs: what gc frees of them without it */
	uint64_t shared_bytes; /* chunks of its files that others need too */
	uint64_t data_bytes;   /* content of its files */
	uint64_t index_bytes;
};
/*
 * Calls `each` for every image that has a name or is in use, by name, until it returns non-zero,
 * which is then returned. *ret_unused_bytes (may be NULL): chunks that none of them needs.
 */
int plyfs_df_images(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_df_image *image), void *ctx,
	uint64_t *ret_unused_bytes, struct plyfs_error *error);

struct plyfs_df_layer {
	const char *digest;    /* diff_id */
	size_t images;         /* that have it */
	uint64_t own_bytes;    /* chunks that no other layer has */
	uint64_t shared_bytes; /* its other chunks */
	uint64_t data_bytes;   /* content of its files */
};
/* The same for the layers of these images, by diff_id. */
int plyfs_df_layers(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_df_layer *layer), void *ctx,
	struct plyfs_error *error);

/* ---- images ------------------------------------------------------------------------------- */

/* Calls `each` for every name, sorted, until it returns non-zero, which is then returned. */
int plyfs_images(struct plyfs_store *store,
	int (*each)(void *ctx, const char *name, const char *digest), void *ctx,
	struct plyfs_error *error);
/* Gives the image `image` (a name or digest) the name `name` too. */
int plyfs_tag(
	struct plyfs_store *store, const char *image, const char *name, struct plyfs_error *error);
/*
 * Removes a name, or with a digest all names of that image. The data goes at the next gc, if
 * nothing else needs it. *ret_names (may be NULL) is how many names went.
 */
int plyfs_rmi(
	struct plyfs_store *store, const char *image, size_t *ret_names, struct plyfs_error *error);

/* An image that is open for reading: it stays whole until it is closed, whatever gc does. */
struct plyfs_image;
int plyfs_image_open(struct plyfs_store *store, const char *image, struct plyfs_image **ret_image,
	struct plyfs_error *error);
void plyfs_image_close(struct plyfs_image *image);

struct plyfs_image_info {
	char digest[PLYFS_DIGEST_MAX];        /* of the manifest: the image's own */
	char config_digest[PLYFS_DIGEST_MAX]; /* what docker and podman call the image ID */
	char index_digest[PLYFS_DIGEST_MAX];  /* of the portable index */
	const char *index_path, *local_index_path;
	const char *manifest, *config; /* the documents, JSON, NUL-terminated */
	size_t manifest_size, config_size;
	size_t n_layers;
	const char (*layers)[PLYFS_DIGEST_MAX]; /* diff_ids, lowest first */
	uint64_t inodes;
	uint64_t index_bytes;
	uint64_t data_bytes; /* content of its files, each once, holes not counted */
	uint64_t chunks;
	/*
	 * It touches something that plyfs_fsck found damaged: functions that look into it fail. The
	 * documents are empty, and the numbers 0, where they cannot be read either.
	 */
	int quarantined;
	/*
	 * For each layer, whether it was made here by plyfs_commit: 1, it is, and what `layers`
	 * calls it is the digest of its index. An export gives it the diff_id that its tar has.
	 */
	const unsigned char *native;
	size_t n_native;
};
/* Everything is owned by the image. */
const struct plyfs_image_info *plyfs_image_info(const struct plyfs_image *image);

struct plyfs_export_options {
	const char *compress; /* "gzip", "zstd" or "none"; NULL: the destination's usual */
	/* Called from the same thread while layer `layer` of `layers` is written; may be NULL. */
	void (*progress)(void *ctx, size_t layer, size_t layers, uint64_t done, uint64_t total);
	void *progress_ctx;
};
/*
 * Writes the image to oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], or its tree
 * to tar:FILE or rootfs:DIR. ret_digest (may be NULL) is the digest of the exported manifest, which
 * differs from the image's where layers are compressed otherwise; in a docker-archive, which has
 * none, that of the manifest which importing it gives. A tree has none: "". What of a tree's
 * attributes the caller is not permitted to set on files is left out, with a line on stderr.
 */
int plyfs_export(struct plyfs_image *image, const char *destination,
	const struct plyfs_export_options *options, char ret_digest[PLYFS_DIGEST_MAX],
	struct plyfs_error *error);

/* ---- files in an image -------------------------------------------------------------------- */

/* lstat and stat. st_dev is 0; st_ino is the inode's number in the index. */
int plyfs_lstat(
	struct plyfs_image *image, const char *path, struct stat *ret, struct plyfs_error *error);
int plyfs_stat(
	struct plyfs_image *image, const char *path, struct stat *ret, struct plyfs_error *error);
/* The target of a symlink, NUL-terminated, cut off at `size`. */
int plyfs_readlink(struct plyfs_image *image, const char *path, char *buffer, size_t size,
	struct plyfs_error *error);

struct plyfs_file;
/* Opens a regular file. */
int plyfs_open(struct plyfs_image *image, const char *path, struct plyfs_file **ret_file,
	struct plyfs_error *error);
void plyfs_close(struct plyfs_file *file);
/* Like pread(2): the number of bytes, 0 at the end of the file, negative on failure. */
ssize_t plyfs_pread(struct plyfs_file *file, void *buffer, size_t size, uint64_t offset,
	struct plyfs_error *error);

/* Like lseek(2) with SEEK_DATA: the next offset that is no hole, or the size; negative on failure.
 */
int64_t plyfs_seek_data(struct plyfs_file *file, uint64_t offset, struct plyfs_error *error);

struct plyfs_dir;
struct plyfs_dirent {
	uint64_t ino;
	unsigned char type; /* DT_REG, DT_DIR, ... of <dirent.h> */
	char name[256];
};
int plyfs_opendir(struct plyfs_image *image, const char *path, struct plyfs_dir **ret_dir,
	struct plyfs_error *error);
void plyfs_closedir(struct plyfs_dir *dir);
/* The next name, sorted by bytes; "." and ".." are left out. 1 = there is one; 0 = no more. */
int plyfs_readdir(struct plyfs_dir *dir, struct plyfs_dirent *ret, struct plyfs_error *error);

/* As lgetxattr(2) and llistxattr(2): the size, -ENODATA, -ERANGE; size 0 asks for the size. */
ssize_t plyfs_lgetxattr(struct plyfs_image *image, const char *path, const char *name, void *value,
	size_t size, struct plyfs_error *error);
ssize_t plyfs_llistxattr(struct plyfs_image *image, const char *path, char *list, size_t size,
	struct plyfs_error *error);

/* ---- mounts ------------------------------------------------------------------------------- */

#define PLYFS_CONTAINER_MAX 65 /* an ID and NUL */

struct plyfs_mount_options {
	int writable;
	/*
	 * How it is mounted: NULL or "auto"; read-only "kernel" (EROFS; root, Linux 6.12) or
	 * "fuse"; writable "overlay" (the kernel's overlayfs; root) or "cow" (FUSE; copies blocks).
	 */
	const char *driver;
	/* Writable: the container's ID. One that exists is mounted again; NULL: a new one. */
	const char *container;
	int fsync;       /* writable: fsync and the like are done; else they are ignored */
	int passthrough; /* FUSE: files are read and written past the server where possible */
	/* "C:H:N": the image's ids from C on are shown as H and so on; several joined by ','. */
	const char *uid_map, *gid_map;
};
struct plyfs_mount {
	const char *dir;
	const char *driver;    /* kernel, fuse, overlay, cow */
	const char *digest;    /* of the image; "" if its container is gone */
	const char *container; /* NULL: it is read-only */
};
/*
 * Mounts an image on a directory. `image` may be NULL for a container that exists; otherwise it
 * must be the container's image. `options` may be NULL. ret_container (may be NULL): the ID of the
 * container, "" if there is none.
 */
int plyfs_mount(struct plyfs_store *store, const char *image, const char *dir,
	const struct plyfs_mount_options *options, char ret_container[PLYFS_CONTAINER_MAX],
	struct plyfs_error *error);
/*
 * Unmounts a mount of this store; `lazy` as umount -l. When it returns, a container that was
 * mounted there may be mounted, committed or removed, unless `lazy`.
 */
int plyfs_umount(struct plyfs_store *store, const char *dir, int lazy, struct plyfs_error *error);
/*
 * Replaces the server of a FUSE mount by that of the installed version, without unmounting: whoever
 * uses the mount waits for some milliseconds.
 */
int plyfs_restart(const char *dir, struct plyfs_error *error);
/* The work of the program's hidden commands: an exit status, or -1 if `name` is none of them. */
int plyfs_fuse_command(const char *name);
/* Calls `each` for every mount of this store that this process can see, until it returns
 * non-zero, which is then returned. */
int plyfs_mounts(struct plyfs_store *store, int (*each)(void *ctx, const struct plyfs_mount *mount),
	void *ctx, struct plyfs_error *error);

/* ---- containers --------------------------------------------------------------------------- */

struct plyfs_container {
	const char *id;
	const char *digest;      /* of its image */
	int64_t created;         /* seconds since 1970 */
	uint64_t bytes;          /* what its writable layer takes on disk */
	const char *const *dirs; /* where it is mounted, as far as this process can see */
	size_t n_dirs;
	int in_use; /* mounted, perhaps where this process cannot see it, or at work */
};
/* By ID. The beginning of an ID, of 4 characters or more, is as good as all of it elsewhere. */
int plyfs_containers(struct plyfs_store *store,
	int (*each)(void *ctx, const struct plyfs_container *container), void *ctx,
	struct plyfs_error *error);
/* Removes a container and all that was written in it. Fails if it is in use. */
int plyfs_container_remove(struct plyfs_store *store, const char *id, struct plyfs_error *error);

/*
 * What has changed, path by path, as `docker diff` tells it: `kind` is 'A' (added), 'C' (changed)
 * or 'D' (deleted). `from` is a container, which is compared with its image (`to` NULL); or both
 * are images. Calls `each` until it returns non-zero, which is then returned.
 */
int plyfs_diff(struct plyfs_store *store, const char *from, const char *to,
	int (*each)(void *ctx, char kind, const char *path), void *ctx, struct plyfs_error *error);
/* The changes of a container as a layer, an OCI tar, in `file` ("-": standard output). */
int plyfs_diff_tar(struct plyfs_store *store, const char *container, const char *file,
	struct plyfs_error *error);

struct plyfs_commit_options {
	const char *message, *author;
	/* How a container of the new image is run: "CMD x", "ENV A=b", as in a Dockerfile. */
	const char *const *changes;
	size_t n_changes;
};
struct plyfs_commit {
	char digest[PLYFS_DIGEST_MAX]; /* of the new image */
	uint64_t files, read_bytes;    /* that were looked at and read */
	uint64_t new_bytes;            /* content that the store did not have */
};
/*
 * Makes an image of a container's image and its changes, and gives it a name. The container may be
 * mounted and in use, and stays as it is. `options` may be NULL.
 */
int plyfs_commit(struct plyfs_store *store, const char *container, const char *name,
	const struct plyfs_commit_options *options, struct plyfs_commit *ret,
	struct plyfs_error *error);

/* ---- overlays ----------------------------------------------------------------------------- */

/* A union of directories, as fuse-overlayfs makes it. */
struct plyfs_overlay_options {
	const char *const *lower_dirs; /* the topmost first */
	size_t n_lower_dirs;
	const char *upper_dir, *work_dir; /* NULL, both: read-only */
	const char *uid_map, *gid_map;    /* as for plyfs_mount */
	int64_t squash_uid, squash_gid;   /* all files are shown as theirs; -1: not */
	int fsync, passthrough;           /* as for plyfs_mount */
	int block_copy;   /* the first write to a lower file copies blocks; its upper file is then
			     of no use to others until it is whole */
	int redirect_dir; /* directories of lower layers can be renamed; else EXDEV */
	unsigned long mount_flags; /* MS_NOSUID and the like, of mount(2) */
	int allow_other;           /* others than the user may use it; root's mounts always */
	int foreground;            /* return when it is unmounted */
};
/* Needs no store. Unmount it with umount(8) or fusermount3(1). */
int plyfs_overlay(
	const struct plyfs_overlay_options *options, const char *dir, struct plyfs_error *error);

#ifdef __cplusplus
}
#endif
#endif
