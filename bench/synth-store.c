/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synth-store: makes a large store in a short time. Records, indexes, splits and documents are
 * real; the packs are as long as they should be, but empty.
 *
 *   synth-store STORE IMAGES FILES CHUNKS
 *
 * Makes IMAGES images of two layers each: one of a few base layers, and one of its own. All layers
 * together have FILES files, which have CHUNKS different chunks. A fifth of the files in the
 * images' own layers are files of earlier layers, too. Most files have one chunk; few have most of
 * them. The same numbers give the same store.
 */
#include "format/index.h"
#include "format/oci-doc.h"
#include "format/platform.h"
#include "format/split.h"
#include "format/tar.h"
#include "image/local.h"
#include "image/merge.h"
#include "store/pack.h"
#include "util/io.h"

#include <err.h>
#include <fcntl.h>
#include <string.h>

#define IMAGES_PER_BASE 50
#define BASE_SHARE      25 /* one file in so many is in a base layer */
#define SHARED_FILES    5  /* one file in so many was in an earlier layer */
#define LARGE_FILES     10 /* one file in so many has more than one chunk */
#define FILES_PER_DIR   100
#define SESSION         1 /* which holds the space while it is taken */
#define PASSES          4 /* in which records go in: pages of the database are then split, as in life */
#define BATCH           100000
#define CHUNK_BYTES     ((uint32_t)1 << CHUNK_BITS_DEFAULT)

struct file {
	uint32_t first; /* the number of its first chunk: the others follow */
	uint64_t size;
};

struct record {
	struct digest digest;
	struct chunk_record at;
};

struct layer {
	struct digest diff_id;
	struct index *index;
};

struct synth {
	struct store *s;
	MDB_txn *txn;
	uint32_t images, bases;
	uint64_t files, chunks; /* still to be made */
	struct file *made;      /* all files with chunks of their own */
	uint64_t n_made;
	struct record *records; /* by number */
	uint32_t n_records;
	struct layer *layers; /* the bases, then one for each image */
};

/* For local_write: a benchmark's store need not survive a crash. */
int fsync(int fd _unused_)
{
	return 0;
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

static void must(int r, const struct err *e)
{
	if (r < 0)
		errx(1, "%s", e && e->code ? e->text : err_text(r));
}

static void *must_have(void *p)
{
	if (!p)
		errx(1, "no memory");
	return p;
}

static uint64_t number(const char *text, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || *end || !n || n > max)
		errx(2, "not a number from 1 to %llu: %s", (unsigned long long)max, text);
	return n;
}

/* A digest that nothing has. */
static struct digest digest_for(const char *what, uint64_t n)
{
	char text[64];
	struct digest d;
	int k = snprintf(text, sizeof(text), "%s %llu", what, (unsigned long long)n);

	digest_of(text, (size_t)k, &d);
	return d;
}

/* --- files and their chunks ------------------------------------------------------------------ */

/* How many chunks the next file has: in the end, all files have had all chunks. */
static uint64_t choose_chunks(const struct synth *y)
{
	uint64_t spare = y->chunks > y->files ? y->chunks - y->files : 0;
	uint64_t mean = spare / y->files * LARGE_FILES, n = 0;

	if (y->files == 1)
		n = spare;
	else if (random_below(LARGE_FILES) == 0)
		n = random_below(2 * mean + 2);
	if (n > spare)
		n = spare;
	return 1 + (n < CHUNKS_PER_FILE ? n : CHUNKS_PER_FILE - 1);
}

static struct file make_file(struct synth *y)
{
	uint64_t n = choose_chunks(y),
		 tail = 513 + random_below(random_below(CHUNK_BYTES - 513) + 1);
	struct file f = {.first = y->n_records, .size = (n - 1) * CHUNK_BYTES + tail};

	for (uint64_t k = 0; k < n; k++) {
		struct record *r = &y->records[y->n_records];

		r->digest = digest_for("chunk", y->n_records++);
		r->at.size = chunk_size_at(f.size, CHUNK_BITS_DEFAULT, k);
	}
	y->chunks -= n;
	y->made[y->n_made++] = f;
	return f;
}

static struct file next_file(struct synth *y, bool base)
{
	bool shared = !base && y->files > 1 && random_below(SHARED_FILES) == 0;
	struct file f = shared ? y->made[random_below(y->n_made)] : make_file(y);

	y->files--;
	return f;
}

/* --- a layer: tree, split, index ------------------------------------------------------------- */

/* Tar headers go into the split. */
struct split_sink {
	struct sink s;
	struct split_writer *split;
	uint8_t room[8192];
};

static int split_room(struct sink *s, uint8_t **ret_p, size_t *ret_n)
{
	struct split_sink *o = (struct split_sink *)s;

	*ret_p = o->room;
	*ret_n = sizeof(o->room);
	return 0;
}

static int split_fill(struct sink *s, size_t n)
{
	struct split_sink *o = (struct split_sink *)s;

	split_literal(o->split, o->room, n);
	return 0;
}

static struct inode *add_inode(
	struct tree *t, struct inode *dir, const char *name, uint32_t mode, uint64_t size)
{
	struct inode *i = must_have(tree_inode_new(t, mode));

	i->mtime = 1700000000;
	i->size = size;
	must(tree_link(t, dir, name, strlen(name), i), NULL);
	return i;
}

static void add_header(struct split_sink *out, const char *path, const struct inode *i)
{
	struct tar_entry x = {.path = path, .mode = i->mode, .mtime = i->mtime};

	x.size = S_ISREG(i->mode) ? i->size : 0;
	must(tar_write_entry(&out->s, &x, NULL), NULL);
}

static void add_file(struct synth *y, struct tree *t, struct inode *dir, const char *path,
	struct split_sink *out, bool base)
{
	struct file f = next_file(y, base);
	struct inode *i = add_inode(t, dir, strchr(path, '/') + 1, S_IFREG | 0644, f.size);
	uint64_t n = chunk_count(f.size, CHUNK_BITS_DEFAULT);

	add_header(out, path, i);
	i->chunk_bits = CHUNK_BITS_DEFAULT;
	i->chunks = must_have(arena_alloc(&t->arena, n * sizeof(*i->chunks)));
	for (uint64_t k = 0; k < n; k++) {
		const struct record *r = &y->records[f.first + k];

		must(tree_chunk(t, &r->digest, r->at.size, &i->chunks[k]), NULL);
		split_chunk(out->split, i->chunks[k], 0, r->at.size, r->at.size);
	}
	if (f.size % 512)
		split_zeros(out->split, 512 - f.size % 512);
}

static struct tree *make_tree(
	struct synth *y, const char *label, uint64_t files, struct split_sink *out, bool base)
{
	struct tree *t = must_have(tree_new());
	struct inode *dir = NULL;
	char path[96];

	for (uint64_t n = 0; n < files; n++) {
		int k = snprintf(path, sizeof(path), "%s-%llu", label,
			(unsigned long long)(n / FILES_PER_DIR));

		if (n % FILES_PER_DIR == 0) {
			dir = add_inode(t, t->root, path, S_IFDIR | 0755, 0);
			add_header(out, path, dir);
		}
		snprintf(path + k, sizeof(path) - (size_t)k, "/file-%llu",
			(unsigned long long)(n % FILES_PER_DIR));
		add_file(y, t, dir, path, out, base);
	}
	split_zeros(out->split, 1024);
	return t;
}

static int make_store_file(struct synth *y, enum store_file kind, const struct digest *name)
{
	char path[STORE_NAME_MAX];
	int fd = openat(y->s->dirfd, store_file_name(kind, name, path),
		O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		err(1, "%s/%s", y->s->path, path);
	return fd;
}

static struct digest write_index(struct synth *y, struct index_plan *plan, enum store_file kind,
	const struct digest *name, int *ret_fd)
{
	struct digest d;
	struct err e = {0};

	*ret_fd = make_store_file(y, kind, name);
	must(index_plan_write(plan, *ret_fd, NULL, &d, &e), &e);
	return d;
}

/* Gives the chunks that are new places, one behind the other. */
static void place_chunks(struct synth *y, uint32_t first)
{
	struct extent x;
	uint64_t blocks = 0;

	for (uint32_t n = first; n < y->n_records; n++)
		blocks += chunk_blocks(y->records[n].at.size);
	if (!blocks)
		return;
	if (blocks > PACK_BLOCKS_MAX)
		errx(2, "a layer of more than a pack: make more images");
	must(space_hold(y->s, y->txn, SESSION, (uint32_t)blocks, (uint32_t)blocks, &x), NULL);
	must(space_forget(y->s, y->txn, SESSION, &x), NULL);
	must(pack_extend(y->s, &x, NULL), NULL);
	for (uint32_t n = first; n < y->n_records; n++) {
		y->records[n].at.pack = x.pack;
		y->records[n].at.block = x.block;
		x.block += chunk_blocks(y->records[n].at.size);
	}
}

static struct layer make_layer(struct synth *y, const char *label, uint64_t files, bool base)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = NULL;
	_cleanup_close_ int index_fd = -1, split_fd = -1;
	struct split_sink out = {.s = {split_room, split_fill}};
	struct layer l = {.diff_id = digest_for(label, 0)};
	uint32_t first = y->n_records;
	struct digest index;
	struct err e = {0};

	split_fd = make_store_file(y, STORE_SPLIT, &l.diff_id);
	must(split_writer_new(split_fd, &out.split, &e), &e);
	t = make_tree(y, label, files, &out, base);
	place_chunks(y, first);
	must(index_plan_new(t, true, &plan, &e), &e);
	index = write_index(y, plan, STORE_LAYER, &l.diff_id, &index_fd);
	must(split_writer_finish(out.split, plan, &e), &e);
	split_writer_free(out.split);
	must(record_put_layer(y->s, y->txn, &l.diff_id, &index), NULL);
	must(index_open(index_fd, &l.index, &e), &e);
	return l;
}

/* --- an image -------------------------------------------------------------------------------- */

static void write_document(
	struct synth *y, enum store_file kind, const struct digest *name, const struct buf *b)
{
	_cleanup_close_ int fd = make_store_file(y, kind, name);

	must(io_write_full(fd, b->p, b->n), NULL);
}

static void write_documents(struct synth *y, struct image_record *rec)
{
	const struct oci_history history = {.created = OCI_TIME_NONE, .created_by = "synth-store"};
	struct oci_descriptor layers[2] = {{.codec = CODEC_GZIP}, {.codec = CODEC_GZIP}};
	_cleanup_buf_ struct buf config = {0}, manifest = {0};
	struct platform platform;
	struct err e = {0};

	platform_host(&platform);
	for (size_t i = 0; i < 2; i++) {
		layers[i].digest = rec->diff_ids[i]; /* stands for that of the compressed layer */
		layers[i].size = 1000;
	}
	must(oci_config_new(&platform, OCI_TIME_NONE, rec->diff_ids, 2, &history, 1, &config, &e),
		&e);
	digest_of(config.p, config.n, &rec->config);
	must(oci_manifest_new(&rec->config, config.n, layers, 2, &manifest, &e), &e);
	digest_of(manifest.p, manifest.n, &rec->manifest);
	write_document(y, STORE_CONFIG, &rec->manifest, &config);
	write_document(y, STORE_MANIFEST, &rec->manifest, &manifest);
}

static void lay_over(struct tree *t, const struct layer *l)
{
	struct inode *root;
	struct err e = {0};

	must(index_load(l->index, t, &root, &e), &e);
	must(merge_layer(t, root, "layer", &e), &e);
}

static void make_image(
	struct synth *y, const struct layer *base, const struct layer *own, uint32_t n)
{
	_cleanup_(index_plan_freep) struct index_plan *plan = NULL;
	_cleanup_(tree_freep) struct tree *t = must_have(tree_new());
	struct digest diff_ids[2] = {base->diff_id, own->diff_id};
	struct image_record rec = {.diff_ids = diff_ids, .n_diff_ids = 2};
	_cleanup_close_ int fd = -1;
	char name[64];
	struct err e = {0};

	write_documents(y, &rec);
	lay_over(t, base);
	lay_over(t, own);
	must(index_plan_new(t, false, &plan, &e), &e);
	rec.index = write_index(y, plan, STORE_IMAGE, &rec.manifest, &fd);
	must(local_write(y->s, &rec, plan, &e), &e);
	snprintf(name, sizeof(name), "synth/%05u:latest", n);
	must(record_put_image(y->s, y->txn, &rec), NULL);
	must(record_put_name(y->s, y->txn, name, &rec.manifest), NULL);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* `left` things shared out evenly among `n`: those of the first. */
static uint64_t share(uint64_t left, uint64_t n)
{
	return (left + n - 1) / n;
}

/* Layers number `first` to `end`, which have `files` files together. */
static void make_layers(
	struct synth *y, const char *kind, uint32_t first, uint32_t end, uint64_t files)
{
	char label[32];

	for (uint32_t n = first; n < end; n++) {
		uint64_t some = share(files, end - n);

		snprintf(label, sizeof(label), "%s%u", kind, n - first);
		y->layers[n] = make_layer(y, label, some, first == 0);
		files -= some;
	}
}

static void make_images(struct synth *y)
{
	for (uint32_t n = 0; n < y->images; n++) {
		const struct layer *base = &y->layers[random_below(y->bases)];

		make_image(y, base, &y->layers[y->bases + n], n);
		if (n % 100 == 99)
			fprintf(stderr, "synth-store: %u images\n", n + 1);
	}
}

static int order_of_digests(const void *a, const void *b)
{
	return memcmp(((const struct record *)a)->digest.b, ((const struct record *)b)->digest.b,
		DIGEST_SIZE);
}

static void commit(struct synth *y)
{
	struct err e = {0};

	must(txn_commit(&y->txn, &e), &e);
	must(txn_begin(y->s, true, &y->txn, &e), &e);
}

static void write_chunk_records(struct synth *y)
{
	uint64_t n = 0;

	qsort(y->records, y->n_records, sizeof(*y->records), order_of_digests);
	for (uint32_t pass = 0; pass < PASSES; pass++)
		for (uint32_t i = 0; i < y->n_records; i++) {
			const struct record *r = &y->records[i];

			if (r->digest.b[DIGEST_SIZE - 1] % PASSES != pass)
				continue;
			must(record_put_chunk(y->s, y->txn, &r->digest, &r->at), NULL);
			if (++n % BATCH == 0)
				commit(y);
		}
	commit(y);
}

static void make_store(struct synth *y, const char *path)
{
	uint64_t base_files = share(y->files, BASE_SHARE);
	struct err e = {0};

	must(store_open(path, true, &y->s, &e), &e);
	mdb_env_set_flags(y->s->env, MDB_NOSYNC, 1);
	must(txn_begin(y->s, true, &y->txn, &e), &e);
	make_layers(y, "base", 0, y->bases, base_files);
	make_layers(y, "image", y->bases, y->bases + y->images, y->files);
	write_chunk_records(y); /* local indexes need them */
	make_images(y);
	must(txn_commit(&y->txn, &e), &e);
	mdb_env_sync(y->s->env, 1);
}

static void synth_done(struct synth *y)
{
	for (uint32_t n = 0; n < y->bases + y->images; n++)
		index_close(y->layers[n].index);
	free(y->layers);
	free(y->made);
	free(y->records);
	store_close(y->s);
}

int main(int argc, char **argv)
{
	struct synth y = {0};

	if (argc != 5)
		errx(2, "usage: synth-store STORE IMAGES FILES CHUNKS");
	y.images = (uint32_t)number(argv[2], 1000000);
	y.files = number(argv[3], 1000000000);
	y.chunks = number(argv[4], 1000000000);
	y.bases = (uint32_t)share(y.images, IMAGES_PER_BASE);
	if (share(y.files, BASE_SHARE) < y.bases || y.files < y.bases + y.images)
		errx(2, "too few files for %u images", y.images);
	if (y.chunks < y.files)
		errx(2, "a file has at least a chunk");
	y.layers = must_have(calloc(y.bases + y.images, sizeof(*y.layers)));
	y.made = must_have(calloc(y.files, sizeof(*y.made)));
	y.records = must_have(calloc(y.chunks, sizeof(*y.records)));
	make_store(&y, argv[1]);
	synth_done(&y);
	return 0;
}
