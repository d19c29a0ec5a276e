/* SPDX-License-Identifier: Apache-2.0 */
#include "test-layers.h"

#define LAYERS_MAX 4

/* Lays the layers over each other; the description, or the message of what was refused. */
static char *merged(const char *const layers[LAYERS_MAX], bool full)
{
	struct index *x[LAYERS_MAX] = {NULL};
	struct tree *t = tree_new();
	struct err e = {0};
	char *text = NULL;
	int r = 0;

	CHECK(t);
	for (size_t n = 0; r == 0 && n < LAYERS_MAX && layers[n]; n++)
		r = lay_over(t, layers[n], &x[n], &e);
	if (r == 0)
		text = describe(t, t->root, full);
	else
		CHECK(r == -ERR_INPUT && e.code == r && asprintf(&text, "%s", e.text) > 0);
	tree_free(t);
	for (size_t n = 0; n < LAYERS_MAX; n++)
		index_close(x[n]);
	return text;
}

#define L(...) \
	(const char *const[LAYERS_MAX]) \
	{ \
		__VA_ARGS__ \
	}

struct merge_case {
	const char *what;
	const char *layers[LAYERS_MAX];
	const char *result;
};

static const struct merge_case cases[] = {
	{"one layer", {"d a\nf a/b x\ns l a/b\nh h a/b\n"}, "a/\na/b x\nh =0\nl -> a/b\n"},
	{"nothing over something", {"f a x\n", ""}, "a x\n"},
	{"a later entry replaces", {"f a x\nf a y\n"}, "a y\n"},
	{"upper replaces", {"f a x\nf b x\n", "f a y\n"}, "a y\nb x\n"},
	{"whiteout", {"f a x\nf b x\n", "f .wh.a\n"}, "b x\n"},
	{"whiteout of a directory", {"d d\nf d/a x\n", "f .wh.d\n"}, ""},
	{"whiteout of nothing", {"f a x\n", "f .wh.b\nf c/.wh.d\n"}, "a x\nc/\n"},
	{"whiteout in its own layer hides nothing of it", {"f a x\nf .wh.a\n"}, "a x\n"},
	{"whiteout before its sibling", {"f a x\n", "f .wh.a\nf a y\n"}, "a y\n"},
	{"whiteout after its sibling", {"f a x\n", "f a y\nf .wh.a\n"}, "a y\n"},
	{"whiteout before a directory", {"d d\nf d/a x\n", "f .wh.d\nd d\nf d/b y\n"},
		"d/\nd/b y\n"},
	{"whiteout after a directory", {"d d\nf d/a x\n", "d d\nf d/b y\nf .wh.d\n"},
		"d/\nd/b y\n"},
	{"whiteout before an implicit directory", {"d d\nf d/a x\n", "f .wh.d\nf d/b y\n"},
		"d/\nd/b y\n"},
	{"whiteout twice over", {"f a x\n", "f .wh.a\n", "f a y\n", "f .wh.a\n"}, ""},
	{"opaque before", {"d d\nf d/a x\n", "f d/.wh..wh..opq\nf d/b y\n"}, "d/\nd/b y\n"},
	{"opaque after", {"d d\nf d/a x\n", "f d/b y\nf d/.wh..wh..opq\n"}, "d/\nd/b y\n"},
	{"opaque root", {"d d\nf d/a x\n", "f .wh..wh..opq\nf b y\n"}, "b y\n"},
	{"opaque below", {"d d\nd d/e\nf d/e/a x\nf d/c z\n", "f d/e/.wh..wh..opq\n"},
		"d/\nd/c z\nd/e/\n"},
	{"aufs's own files", {"f .wh..wh.plnk x\nf .wh..wh.aufs x\nf a x\n"}, "a x\n"},
	{"file to directory", {"f a x\n", "d a\nf a/b y\n"}, "a/\na/b y\n"},
	{"directory to file", {"d a\nf a/b x\n", "f a y\n"}, "a y\n"},
	{"directory to file to directory", {"d a\nf a/b x\n", "f a y\n", "d a\nf a/c z\n"},
		"a/\na/c z\n"},
	{"to a file and back in one layer", {"d a\nf a/b x\n", "f a y\nd a\nf a/c z\n"},
		"a/\na/c z\n"},
	{"directory, file, directory in one layer", {"d a\nf a/b x\nf a y\nd a\n"}, "a/\n"},
	{"symlink to directory", {"s a b\nd b\nf b/x 1\n", "d a\nf a/y 2\n"},
		"a/\na/y 2\nb/\nb/x 1\n"},
	{"directory to symlink", {"d a\nf a/x 1\nd b\n", "s a b\n"}, "a -> b\nb/\n"},
	{"implicit parents", {"f a/b/c x\n"}, "a/\na/b/\na/b/c x\n"},
	{"below a symlink of its own", {"s lib usr/lib\nf lib/a x\n"},
		"lib -> usr/lib\nusr/\nusr/lib/\nusr/lib/a x\n"},
	{"below a lower symlink", {"d usr/lib\ns lib usr/lib\nf usr/lib/a x\n", "f lib/b y\n"},
		"lib -> usr/lib\nusr/\nusr/lib/\nusr/lib/a x\nusr/lib/b y\n"},
	{"below an absolute lower symlink", {"d usr/lib\ns lib /usr/lib\n", "f lib/b/c y\n"},
		"lib -> /usr/lib\nusr/\nusr/lib/\nusr/lib/b/\nusr/lib/b/c y\n"},
	{"below a lower symlink, twice", {"d c\ns b c\ns a b\n", "f a/x y\n"},
		"a -> b\nb -> c\nc/\nc/x y\n"},
	{"whiteout below a lower symlink", {"d c\nf c/x 1\ns a c\n", "f a/.wh.x\n"},
		"a -> c\nc/\n"},
	{"below a lower symlink that leads out", {"d c\ns c/a ../../../../d\nd d\n", "f c/a/x y\n"},
		"c/\nc/a -> ../../../../d\nd/\nd/x y\n"},
	{"below a lower symlink to nowhere", {"s a nowhere\n", "f a/x y\n"}, "a/\na/x y\n"},
	{"below a lower symlink to a file", {"f f 1\ns a f\n", "f a/x y\n"}, "a/\na/x y\nf 1\n"},
	{"below a lower loop", {"s a b\ns b a\n", "f a/x y\n"}, "a/\na/x y\nb -> a\n"},
	{"implicit over a lower file", {"f a 1\n", "f a/x y\n"}, "a/\na/x y\n"},
	{"hard link to a lower file", {"f a x\n", "h b a\n"}, "a x\nb =0\n"},
	{"hard link to a lower file, by a lower symlink", {"d d\nf d/a x\ns l d\n", "h b l/a\n"},
		"b x\nd/\nd/a =0\nl -> d\n"},
	{"hard link to a later file", {"h b a\nh c/d b\nf a x\n"}, "a x\nb =0\nc/\nc/d =0\n"},
	{"hard link to a later file, through a chain", {"h a b\nh b c\nh c d\nf d x\n"},
		"a x\nb =0\nc =0\nd =0\n"},
	{"hard link of a link to a lower file", {"f a x\n", "h b a\nh c b\n"}, "a x\nb =0\nc =0\n"},
	{"hard link to a lower file that is then replaced", {"f a x\n", "h b a\nf a y\n"},
		"a y\nb x\n"},
	{"hard link to a lower file that is then removed", {"f a x\n", "h b a\nf .wh.a\n"},
		"b x\n"},
	{"hard link to a lower symlink", {"s a target\n", "h b a\n"}, "a -> target\nb =0\n"},
	{"hard link to a lower device", {"c a\n", "h d/b a\n"}, "a\nd/\nd/b =0\n"},
	{"whiteout of one of two names", {"f a x\nh b a\n", "f .wh.a\n"}, "b x\n"},
	{"replacing one of two names", {"f a x\nh b a\n", "f a y\n"}, "a y\nb x\n"},
	{"links across directories", {"f d/a x\nh e/b d/a\nh c e/b\n", "f d/.wh.a\n"},
		"c x\nd/\ne/\ne/b =0\n"},
	{"a name that is a whiteout's but for a byte", {"f a.wh.b x\nf .w 1\nf .wh 2\n"},
		".w 1\n.wh 2\na.wh.b x\n"},
	{"the same layer twice", {"f a x\nf b/c y\nh d a\n", "f a x\nf b/c y\nh d a\n"},
		"a x\nb/\nb/c y\nd =0\n"},
	{"leading ./ and /", {"d ./\nf ./a x\nf /b y\nf //c/./d z\n"}, "a x\nb y\nc/\nc/d z\n"},
	{".. that stays inside", {"f a/../b x\n"}, "b x\n"},

	{"whiteout of the root", {"f .wh.\n"}, "whiteout of nothing"},
	{"whiteout of .", {"f d/.wh..\n"}, "whiteout of nothing"},
	{"whiteout of ..", {"f d/.wh...\n"}, "whiteout of nothing"},
	{"above the root", {"f ../a x\n"}, "leads above the root"},
	{"above the root further on", {"f a/../../b x\n"}, "leads above the root"},
	{"below a file", {"f a x\nf a/b y\n"}, "'a' is no directory"},
	{"below a loop", {"s a b\ns b a\nf a/x y\n"}, "too many symlinks"},
	{"hard link to nothing", {"f a x\n", "h b c\n"}, "nowhere"},
	{"hard link to nothing in the first layer", {"h b c\n"}, "nowhere"},
	{"hard link to a lower directory", {"d a\n", "h b a\n"}, "a directory"},
	{"hard link to a directory", {"d a\nh b a\n"}, "a directory"},
	{"hard link to what is whited out", {"f a x\n", "f .wh.a\nh b a\n"}, "removed"},
	{"hard link to itself", {"f a x\n", "h a a\n"}, "hard link to itself"},
	{"hard link out", {"h b ../../etc/passwd\n"}, "leads above the root"},
	{"hard link to the root", {"h b /\n"}, "hard link to the root"},
};

static void test_cases(void)
{
	bool same = true;

	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		const struct merge_case *c = &cases[k];
		_cleanup_free_ char *got = merged(c->layers, false);
		bool is_tree = !*c->result || strchr(c->result, '\n');

		if (is_tree ? strcmp(got, c->result) == 0 : strstr(got, c->result) != NULL)
			continue;
		fprintf(stderr, "%s:\n--- expected\n%s--- got\n%s\n", c->what, c->result, got);
		same = false;
	}
	CHECK(same);
}

static void check_full(const char *const layers[LAYERS_MAX], const char *part)
{
	_cleanup_free_ char *got = merged(layers, true);

	if (!strstr(got, part))
		fprintf(stderr, "'%s' is not in:\n%s", part, got);
	CHECK(strstr(got, part));
}

/* Whose attributes a directory has. */
static void test_attributes(void)
{
	check_full(L("D a\n", "d a\n"), "a 40755 0:0");
	check_full(L("D a\n", "f a/b x\n"), "a 40700 7:7"); /* implicit: the lower one's */
	check_full(L("D a\n", "f a/.wh..wh..opq\n"), "a 40700 7:7");
	check_full(L("D a\n", "d a\nf a/.wh..wh..opq\n"), "a 40755 0:0");
	check_full(L("D a\nf a/b 1\n", "f a/b/c x\n"), "a 40700 7:7");
	check_full(L("d b\nD .\n", "f x 1\n"), "root 40700 7:7");
	check_full(L("d .\n", "D ./\n"), "root 40700 7:7");
	check_full(L("d a\nf a/b x\n", "D a\n"), "a 40700 7:7");
	check_full(L("f d/a x\nD d\n"), "d 40700 7:7"); /* its own entry comes later */
	check_full(L("D c\ns a c\n", "f a/x y\n"), "c 40700 7:7");
}

/* No mark of a layer is left in what is merged. */
static void test_no_marks(void)
{
	for (size_t k = 0; k < sizeof(cases) / sizeof(*cases); k++) {
		_cleanup_free_ char *got = merged(cases[k].layers, true);

		CHECK(!strchr(got, '\n') ||
			!strstr(strchr(got, '\n'), " flags ")); /* but the root's */
	}
}

static void test_deep(void)
{
	struct buf text = {0};
	struct index *x[2];
	struct tree *t = tree_new();

	CHECK(t && buf_addf(&text, "f ") == 0);
	for (int k = 0; k < 20000; k++)
		CHECK(buf_addf(&text, "d/") == 0);
	CHECK(buf_addf(&text, "f x\n") == 0);
	for (int n = 0; n < 2; n++)
		CHECK(lay_over(t, (char *)text.p, &x[n], NULL) == 0);
	tree_free(t);
	index_close(x[0]);
	index_close(x[1]);
	buf_done(&text);
}

int main(void)
{
	test_cases();
	test_attributes();
	test_no_marks();
	test_deep();
	return 0;
}
