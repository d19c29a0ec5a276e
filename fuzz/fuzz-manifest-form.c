/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a manifest. What parses is written as a tar (contents of files left out: no file
 * is opened), and that must be readable, entry by entry in ascending order.
 */
#include "source/manifest-form.h"
#include "util/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tar(const struct buf *b)
{
	struct test_source in = test_source_of(b->p, b->n, 65536);
	struct tar_reader *t = tar_reader_new(&in.s);
	const struct tar_entry *x;
	struct err e = {0};
	int r;

	CHECK(t);
	while ((r = tar_next(t, &x, &e)) > 0)
		CHECK(!strstr(x->path, "/../"));
	if (r < 0)
		fprintf(stderr, "%s\n", e.text);
	CHECK(r == 0);
	tar_reader_free(t);
	test_source_done(&in);
}

static void write_form(struct manifest_form *f)
{
	struct test_sink out = test_sink_new();
	struct err e = {0};

	for (size_t i = 0; i < f->n; i++)
		f->entries[i]->content = NULL;
	if (manifest_form_write(f, -1, &out.s, &e) == 0)
		check_tar(&out.b);
	else
		CHECK(e.code == -ERR_INPUT && *e.text);
	test_sink_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest_form f = {0};
	struct err e = {0};
	char *text = malloc(size + 1);
	int r;

	CHECK(text);
	memcpy(text, data, size);
	r = manifest_form_parse(&f, text, size, &e);
	if (r == 0)
		write_form(&f);
	else
		CHECK(r == -ERR_INPUT && strncmp(e.text, "line ", 5) == 0);
	manifest_form_done(&f);
	free(text);
	return 0;
}
