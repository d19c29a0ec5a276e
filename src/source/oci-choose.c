/* SPDX-License-Identifier: Apache-2.0 */
#include "oci-choose.h"

/* Indexes below index.json. Real ones have one level, buildkit's exports two. */
#define DEPTH_MAX 4
/* Indexes read, and images of one name compared, in one search: bounds the time of both. */
#define INDEXES_MAX  64
#define ONE_NAME_MAX 256

struct choice {
	const struct image_files *files;
	const struct platform *wanted;
	unsigned indexes_read;
	struct err *e;
};

static int read_index(struct choice *c, const struct oci_descriptor *d, struct oci_index *ret)
{
	_cleanup_buf_ struct buf raw = {0};
	char name[DIGEST_TEXT_MAX + 16], text[DIGEST_TEXT_MAX];
	int r;

	if (++c->indexes_read > INDEXES_MAX)
		return err_set(c->e, -ERR_INPUT, "more than %d indexes", INDEXES_MAX);
	r = oci_read_blob(c->files, d, &raw, c->e);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "index %s", digest_text(&d->digest, text));
	return oci_index_parse(name, raw.p, raw.n, ret, c->e);
}

/* An image or a list of images; other things that a layout may hold are passed over. */
static bool is_image(const struct oci_descriptor *d)
{
	return d->media == OCI_MEDIA_MANIFEST || d->media == OCI_MEDIA_INDEX;
}

/* A descriptor without a platform serves where no other does. */
static int rank(const struct oci_descriptor *d, const struct platform *wanted)
{
	if (!is_image(d))
		return 0;
	return d->has_platform ? platform_rank(wanted, &d->platform) : 1;
}

/* "linux/arm64/v8, linux/s390x": what there is instead. */
static int list_platforms(const struct oci_index *index, struct buf *ret)
{
	for (size_t i = 0; i < index->n_manifests; i++) {
		const struct oci_descriptor *d = &index->manifests[i];
		char text[PLATFORM_TEXT_MAX];
		int r;

		if (!is_image(d) || !d->has_platform)
			continue;
		r = buf_addf(ret, "%s%s", ret->n ? ", " : "", platform_text(&d->platform, text));
		if (r < 0)
			return r;
	}
	return 0;
}

static int no_platform(const struct choice *c, const struct oci_index *index)
{
	_cleanup_buf_ struct buf list = {0};
	char wanted[PLATFORM_TEXT_MAX];

	if (list_platforms(index, &list) < 0)
		return -ENOMEM;
	return err_set(c->e, -ERR_ABSENT, "there is no image for %s, only for: %s",
		platform_text(c->wanted, wanted), list.n ? (char *)list.p : "none");
}

/* The best descriptor for the platform, the first of equals. */
static int choose_platform(
	const struct choice *c, const struct oci_index *index, const struct oci_descriptor **ret)
{
	const struct oci_descriptor *best = NULL;
	int best_rank = 0;

	for (size_t i = 0; i < index->n_manifests; i++) {
		int k = rank(&index->manifests[i], c->wanted);

		if (k <= best_rank)
			continue;
		best = &index->manifests[i];
		best_rank = k;
	}
	if (!best)
		return no_platform(c, index);
	*ret = best;
	return 0;
}

/* The texts go with the index that the descriptor was copied from. */
static void forget_texts(struct oci_descriptor *d)
{
	d->media_type = NULL;
	d->ref_name = NULL;
}

/* Goes down from `d` until it is a manifest. Copies, since the indexes it lies in are freed. */
static int resolve(struct choice *c, struct oci_descriptor *d)
{
	for (int depth = 0; d->media == OCI_MEDIA_INDEX; depth++) {
		_cleanup_(oci_index_done) struct oci_index index = {0};
		const struct oci_descriptor *next = NULL;
		int r;

		if (depth == DEPTH_MAX)
			return err_set(c->e, -ERR_INPUT, "indexes are nested more than %d deep",
				DEPTH_MAX);
		r = read_index(c, d, &index);
		if (r == 0)
			r = choose_platform(c, &index, &next);
		if (r < 0)
			return r;
		*d = *next;
		forget_texts(d);
	}
	return 0;
}

/* 1 = *ret names the digest, in `index` or in those below it; 0 = none does. */
static int find_digest(struct choice *c, const struct oci_index *index, const struct digest *digest,
	int depth, struct oci_descriptor *ret)
{
	for (size_t i = 0; i < index->n_manifests; i++) {
		if (!is_image(&index->manifests[i]) ||
			!digest_equal(&index->manifests[i].digest, digest))
			continue;
		*ret = index->manifests[i];
		return 1;
	}
	for (size_t i = 0; i < index->n_manifests && depth < DEPTH_MAX; i++) {
		_cleanup_(oci_index_done) struct oci_index below = {0};
		int r;

		if (index->manifests[i].media != OCI_MEDIA_INDEX)
			continue;
		r = read_index(c, &index->manifests[i], &below);
		if (r == 0)
			r = find_digest(c, &below, digest, depth + 1, ret);
		if (r != 0)
			return r;
	}
	return 0;
}

static int choose_digest(
	struct choice *c, const struct oci_index *top, const char *text, struct oci_descriptor *ret)
{
	struct digest digest;
	int r = digest_parse(text, &digest);

	if (r < 0)
		return err_set(c->e, -ERR_INPUT, "'@%s' is not a sha256 digest", text);
	r = find_digest(c, top, &digest, 0, ret);
	if (r == 0)
		return err_set(c->e, -ERR_ABSENT, "no image has the digest %s", text);
	return r < 0 ? r : 0;
}

static bool tag_matches(const struct oci_descriptor *d, const char *tag)
{
	return is_image(d) && (!tag || (d->ref_name && strcmp(d->ref_name, tag) == 0));
}

static int list_tags(const struct oci_index *top, struct buf *ret)
{
	for (size_t i = 0; i < top->n_manifests; i++) {
		const struct oci_descriptor *d = &top->manifests[i];
		char text[DIGEST_TEXT_MAX];
		int r;

		if (!is_image(d))
			continue;
		r = buf_addf(ret, "%s%s%s", ret->n ? ", " : "", d->ref_name ? "" : "@",
			d->ref_name ? d->ref_name : digest_text(&d->digest, text));
		if (r < 0)
			return r;
	}
	return 0;
}

static int no_tag(const struct choice *c, const struct oci_index *top, const char *tag)
{
	_cleanup_buf_ struct buf list = {0};

	if (list_tags(top, &list) < 0)
		return -ENOMEM;
	if (!list.n)
		return err_set(c->e, -ERR_ABSENT, "index.json names no image");
	if (tag)
		return err_set(c->e, -ERR_ABSENT, "no image is tagged '%s'; there are: %s", tag,
			(char *)list.p);
	return err_set(
		c->e, -ERR_ABSENT, "there are several images; choose one of: %s", (char *)list.p);
}

static bool same_ref(const struct oci_descriptor *a, const struct oci_descriptor *b)
{
	if (!a->ref_name || !b->ref_name)
		return a->ref_name == b->ref_name;
	return strcmp(a->ref_name, b->ref_name) == 0;
}

/*
 * Several descriptors of one name are one image if they are for different platforms, or the same
 * thing listed twice; otherwise nobody can say which one is meant.
 */
static bool are_one_image(const struct oci_descriptor *a, const struct oci_descriptor *b)
{
	if (digest_equal(&a->digest, &b->digest))
		return true;
	return same_ref(a, b) && a->has_platform && b->has_platform &&
	       memcmp(&a->platform, &b->platform, sizeof(a->platform)) != 0;
}

/* Puts the descriptors that `tag` (NULL: any) names in front; the number of them. */
static size_t gather_tagged(struct oci_index *top, const char *tag)
{
	size_t n = 0;

	for (size_t i = 0; i < top->n_manifests; i++)
		if (tag_matches(&top->manifests[i], tag))
			top->manifests[n++] = top->manifests[i];
	return n;
}

static int check_one_image(const struct choice *c, const struct oci_index *found, const char *tag)
{
	if (found->n_manifests > ONE_NAME_MAX)
		return no_tag(c, found, NULL);
	for (size_t i = 0; i < found->n_manifests; i++)
		for (size_t j = 0; j < i; j++) {
			if (are_one_image(&found->manifests[i], &found->manifests[j]))
				continue;
			if (!tag)
				return no_tag(c, found, NULL);
			return err_set(c->e, -ERR_INPUT,
				"index.json gives the tag '%s' to different images", tag);
		}
	return 0;
}

static int choose_tag(
	const struct choice *c, struct oci_index *top, const char *tag, struct oci_descriptor *ret)
{
	const struct oci_descriptor *best = NULL;
	struct oci_index found;
	int r = 0;

	for (size_t i = 0; i < top->n_manifests; i++)
		if (tag_matches(&top->manifests[i], tag))
			best = &top->manifests[i];
	if (!best)
		return no_tag(c, top, tag);
	found = *top;
	found.n_manifests = gather_tagged(top, tag);
	r = check_one_image(c, &found, tag);
	if (r == 0 && found.n_manifests > 1)
		r = choose_platform(c, &found, &best);
	else
		best = &found.manifests[0];
	if (r < 0)
		return r;
	*ret = *best;
	return 0;
}

static int read_top(const struct image_files *files, struct oci_index *ret, struct err *e)
{
	_cleanup_buf_ struct buf layout = {0}, raw = {0};
	int r = image_files_read(files, "oci-layout", &layout, e);

	if (r == 0)
		return err_set(e, -ERR_ABSENT, "not an OCI layout: there is no file oci-layout");
	if (r > 0)
		r = oci_layout_check("oci-layout", layout.p, layout.n, e);
	if (r == 0)
		r = image_files_read(files, "index.json", &raw, e);
	if (r == 0)
		return err_set(e, -ERR_ABSENT, "'index.json' is not there");
	if (r < 0)
		return r;
	return oci_index_parse("index.json", raw.p, raw.n, ret, e);
}

int oci_choose_manifest(const struct image_files *files, const char *tag,
	const struct platform *platform, struct oci_descriptor *ret, struct err *e)
{
	_cleanup_(oci_index_done) struct oci_index top = {0};
	struct choice c = {.files = files, .wanted = platform, .e = e};
	struct oci_descriptor d = {0};
	int r = read_top(files, &top, e);

	if (r < 0)
		return r;
	if (tag && tag[0] == '@')
		r = choose_digest(&c, &top, tag + 1, &d);
	else
		r = choose_tag(&c, &top, tag, &d);
	if (r == 0)
		r = resolve(&c, &d);
	if (r < 0)
		return r;
	*ret = d;
	forget_texts(ret);
	return 0;
}
