/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

int doc_bad(const struct doc_node *n, const char *key, const char *what)
{
	size_t len = strlen(n->path);

	if (key)
		return err_set(
			n->doc->e, -ERR_INPUT, "%s: %s%s %s", n->doc->name, n->path, key, what);
	if (len == 0)
		return err_set(n->doc->e, -ERR_INPUT, "%s: the document %s", n->doc->name, what);
	if (n->path[len - 1] == '.')
		len--;
	return err_set(n->doc->e, -ERR_INPUT, "%s: %.*s %s", n->doc->name, (int)len, n->path, what);
}

int doc_no_memory(const struct doc_node *n)
{
	return err_sys(n->doc->e, -ENOMEM, "%s", n->doc->name);
}

static const char *type_text(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "is not an object";
	case JSON_ARRAY:
		return "is not an array";
	case JSON_STRING:
		return "is not a string";
	case JSON_INTEGER:
		return "is not an integer";
	default:
		return "is not true or false";
	}
}

/* Of the types asked for, a boolean is the only one that jansson splits in two. */
static bool type_is(const json_t *j, json_type type)
{
	if (type == JSON_TRUE)
		return json_is_boolean(j);
	return json_typeof(j) == type;
}

/* A string's length with both quotes, if `p` is at the first. An open one ends with the text. */
static size_t string_span(const uint8_t *p, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (p[i] == '\\')
			i++;
		else if (p[i] == '"')
			return i + 1;
	}
	return n;
}

/*
 * Bounds what the parser will build before it does. Counts more values than there are, not fewer:
 * each one follows a bracket, a comma or a colon.
 */
static int check_budget(const struct doc_node *top, const uint8_t *p, size_t n)
{
	size_t values = 0, depth = 0;

	for (size_t i = 0; i < n; i++) {
		switch (p[i]) {
		case '"':
			i += string_span(p + i, n - i) - 1;
			break;
		case '{':
		case '[':
			depth++;
			values++;
			break;
		case '}':
		case ']':
			depth -= depth > 0;
			break;
		case ',':
		case ':':
			values++;
			break;
		default:
			break;
		}
		if (depth > DOC_DEPTH_MAX)
			return doc_bad(top, NULL, "is nested too deeply");
		if (values > DOC_VALUES_MAX)
			return doc_bad(top, NULL, "holds too many values");
	}
	return 0;
}

/*
 * jansson's lexer drops a byte, and goes on, where it cannot have the memory for it: a digest would
 * lose a digit. So that what was read is never taken for what was written, lack of memory is noted
 * where jansson asks for it.
 */
static _Thread_local bool lacked_memory;
static json_malloc_t json_malloc;

static void *noting_malloc(size_t n)
{
	void *p = json_malloc(n);

	lacked_memory |= !p;
	return p;
}

static void note_allocations(void)
{
	json_free_t json_free;

	json_get_alloc_funcs(&json_malloc, &json_free);
	json_set_alloc_funcs(noting_malloc, json_free);
}

int doc_load(const void *p, size_t n, json_t **ret, json_error_t *ret_error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_json_ json_t *root = NULL;

	pthread_once(&once, note_allocations);
	lacked_memory = false;
	root = json_loadb(p, n, JSON_REJECT_DUPLICATES, ret_error);
	if (lacked_memory)
		return -ENOMEM;
	if (!root)
		return -ERR_INPUT;
	*ret = TAKE_PTR(root);
	return 0;
}

int doc_parse(const struct doc *doc, const void *p, size_t n, json_type type, json_t **ret_root,
	struct doc_node *ret)
{
	_cleanup_json_ json_t *root = NULL;
	struct doc_node node = {.doc = doc};
	json_error_t je;
	int r = check_budget(&node, p, n);

	if (r < 0)
		return r;
	r = doc_load(p, n, &root, &je);
	if (r == -ENOMEM)
		return doc_no_memory(&node);
	if (r < 0)
		return err_set(doc->e, -ERR_INPUT, "%s: line %d: %s", doc->name, je.line, je.text);
	if (!type_is(root, type))
		return doc_bad(&node, NULL, type_text(type));
	node.json = root;
	*ret = node;
	*ret_root = TAKE_PTR(root);
	return 0;
}

bool doc_has(const struct doc_node *n, const char *key)
{
	json_t *object = (json_t *)(uintptr_t)n->json; /* jansson iterates without const */

	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i))
		if (strcasecmp(json_object_iter_key(i), key) == 0 &&
			!json_is_null(json_object_iter_value(i)))
			return true;
	return false;
}

/* Refuses "Layers" beside or instead of "layers". */
static int check_case(const struct doc_node *n, const char *key)
{
	json_t *object = (json_t *)(uintptr_t)n->json;

	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
		const char *k = json_object_iter_key(i);

		if (strcasecmp(k, key) == 0 && strcmp(k, key) != 0)
			return doc_bad(n, k, "differs from a known field only in case");
	}
	return 0;
}

/* A path that is too long for a message is cut off. */
static void set_path(struct doc_node *n, const char *fmt, ...) _printf_(2, 3);
static void set_path(struct doc_node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(n->path, sizeof(n->path), fmt, ap);
	va_end(ap);
}

int doc_child(const struct doc_node *n, const char *key, json_type type, struct doc_node *ret)
{
	const json_t *j = json_object_get(n->json, key);
	int r = check_case(n, key);

	if (r < 0)
		return r;
	if (!j || json_is_null(j))
		return 0;
	if (!type_is(j, type))
		return doc_bad(n, key, type_text(type));
	ret->doc = n->doc;
	ret->json = j;
	set_path(ret, "%s%s%s", n->path, key, type == JSON_OBJECT ? "." : "");
	return 1;
}

int doc_need(const struct doc_node *n, const char *key, json_type type, struct doc_node *ret)
{
	int r = doc_child(n, key, type, ret);

	if (r == 0)
		return doc_bad(n, key, "is missing");
	return r < 0 ? r : 0;
}

int doc_item(const struct doc_node *n, size_t i, json_type type, struct doc_node *ret)
{
	const json_t *j = json_array_get(n->json, i);

	ret->doc = n->doc;
	ret->json = j;
	set_path(ret, "%s[%zu]%s", n->path, i, type == JSON_OBJECT ? "." : "");
	if (!j || !type_is(j, type))
		return doc_bad(ret, NULL, type_text(type));
	return 0;
}

static int copy_text(const struct doc_node *n, const char *text, size_t len, const char **ret)
{
	const char *copy = arena_copy(n->doc->arena, text, len + 1);

	if (!copy)
		return doc_no_memory(n);
	*ret = copy;
	return 0;
}

static int copy_string(const struct doc_node *n, const char **ret)
{
	return copy_text(n, json_string_value(n->json), json_string_length(n->json), ret);
}

int doc_child_string(const struct doc_node *n, const char *key, const char **ret)
{
	struct doc_node s = {0};
	int r = doc_child(n, key, JSON_STRING, &s);

	if (r <= 0)
		return r;
	r = copy_string(&s, ret);
	return r < 0 ? r : 1;
}

int doc_need_string(const struct doc_node *n, const char *key, const char **ret)
{
	int r = doc_child_string(n, key, ret);

	if (r == 0)
		return doc_bad(n, key, "is missing");
	return r < 0 ? r : 0;
}

int doc_need_int(const struct doc_node *n, const char *key, uint64_t *ret)
{
	struct doc_node i = {0};
	int r = doc_need(n, key, JSON_INTEGER, &i);
	json_int_t v;

	if (r < 0)
		return r;
	v = json_integer_value(i.json);
	if (v < 0 || v > DOC_INT_MAX)
		return doc_bad(n, key, "is out of range");
	*ret = (uint64_t)v;
	return 0;
}

static int new_list(const struct doc_node *n, size_t count, const char ***ret)
{
	const char **list = arena_alloc(n->doc->arena, (count + 1) * sizeof(*list));

	if (!list)
		return doc_no_memory(n);
	*ret = list;
	return 0;
}

int doc_child_strings(
	const struct doc_node *n, const char *key, const char *const **ret, size_t *ret_n)
{
	struct doc_node array = {0}, item = {0};
	const char **list = NULL;
	int r = doc_child(n, key, JSON_ARRAY, &array);
	size_t count;

	if (r < 0)
		return r;
	count = r ? json_array_size(array.json) : 0;
	r = new_list(n, count, &list);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = doc_item(&array, i, JSON_STRING, &item);
		if (r == 0)
			r = copy_string(&item, &list[i]);
	}
	if (r < 0)
		return r;
	*ret = list;
	*ret_n = count;
	return 0;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int doc_child_keys(
	const struct doc_node *n, const char *key, const char *const **ret, size_t *ret_n)
{
	struct doc_node object = {0};
	const char **list = NULL;
	int r = doc_child(n, key, JSON_OBJECT, &object);
	json_t *j = (json_t *)(uintptr_t)object.json;
	size_t count = 0;

	if (r < 0)
		return r;
	r = new_list(n, json_object_size(j), &list);
	for (void *i = json_object_iter(j); r == 0 && i; i = json_object_iter_next(j, i)) {
		const char *k = json_object_iter_key(i);

		r = copy_text(n, k, strlen(k), &list[count++]);
	}
	if (r < 0)
		return r;
	qsort(list, count, sizeof(*list), compare_strings);
	*ret = list;
	*ret_n = count;
	return 0;
}
