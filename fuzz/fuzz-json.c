/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents: the first byte chooses the kind. What parses is also rewritten. */
#include "format/oci-doc.h"
#include "util/bytes.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_layout(struct bytes b, struct err *e)
{
	return oci_layout_check("doc", b.p, b.n, e);
}

static int run_index(struct bytes b, struct err *e)
{
	_cleanup_(oci_index_done) struct oci_index d = {0};
	_cleanup_(oci_index_done) struct oci_index again = {0};
	_cleanup_buf_ struct buf out = {0};
	const struct digest digest = {{1}};
	int r = oci_index_parse("doc", b.p, b.n, &d, e);

	if (oci_index_put("doc", b.p, b.n, &digest, 1, "tag", &out, NULL) < 0 || r < 0) {
		assert(r < 0); /* what parses can be added to */
		return r;
	}
	r = oci_index_parse("again", out.p, out.n, &again, e);
	assert(r == 0 && again.n_manifests >= 1 && again.n_manifests <= d.n_manifests + 1);
	return 0;
}

/* Other blobs for the layers, and then the same once more: that changes nothing. */
static int run_set_layers(struct bytes b, const struct oci_manifest *d, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest other = {0};
	_cleanup_buf_ struct buf once = {0}, twice = {0};
	int r;

	for (size_t i = 0; i < d->n_layers; i++)
		d->layers[i].digest.b[0] ^= 1;
	r = oci_manifest_set_layers("doc", b.p, b.n, d->layers, d->n_layers, &once, e);
	assert(r == 0);
	r = oci_manifest_parse("other", once.p, once.n, &other, e);
	assert(r == 0 && other.n_layers == d->n_layers);
	r = oci_manifest_set_layers("other", once.p, once.n, d->layers, d->n_layers, &twice, e);
	assert(r == 0 && once.n == twice.n && memcmp(once.p, twice.p, once.n) == 0);
	return 0;
}

static int run_manifest(struct bytes b, struct err *e)
{
	_cleanup_(oci_manifest_done) struct oci_manifest d = {0};
	_cleanup_(oci_manifest_done) struct oci_manifest again = {0};
	_cleanup_buf_ struct buf out = {0};
	int r = oci_manifest_parse("doc", b.p, b.n, &d, e);

	if (r < 0)
		return r;
	r = oci_manifest_new(&d.config.digest, d.config.size, d.layers, d.n_layers, &out, e);
	assert(r == 0);
	r = oci_manifest_parse("again", out.p, out.n, &again, e);
	assert(r == 0 && again.n_layers == d.n_layers);
	return run_set_layers(b, &d, e);
}

static int run_config(struct bytes b, struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config d = {0};
	_cleanup_(oci_config_done) struct oci_config again = {0};
	const struct oci_history history = {.created = OCI_TIME_NONE, .created_by = "fuzz"};
	const struct digest digest = {{1}};
	_cleanup_buf_ struct buf out = {0};
	int r = oci_config_parse("doc", b.p, b.n, &d, e);

	if (r < 0)
		return r;
	r = oci_config_add_layer("doc", b.p, b.n, &digest, &history, &out, e);
	if (r == -ERR_UNSUPPORTED)
		return r; /* as many layers as there may be */
	assert(r == 0);
	r = oci_config_parse("again", out.p, out.n, &again, e);
	assert(r == 0 && again.n_diff_ids == d.n_diff_ids + 1);
	assert(again.n_labels == d.n_labels && again.n_history > d.n_history);
	return 0;
}

static int run_docker(struct bytes b, struct err *e)
{
	_cleanup_(docker_archive_doc_done) struct docker_archive_doc d = {0};

	return docker_archive_doc_parse("doc", b.p, b.n, &d, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const kinds[])(struct bytes b, struct err * e) = {
		run_layout, run_index, run_manifest, run_config, run_docker};
	struct bytes b = bytes_of(data, size);
	uint8_t kind = bytes_u8(&b);
	struct err e = {0};
	int r;

	if (b.bad)
		return 0;
	r = kinds[kind % (sizeof(kinds) / sizeof(kinds[0]))](b, &e);
	assert(r == 0 || e.text[0]);
	return 0;
}
