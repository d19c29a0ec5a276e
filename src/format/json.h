/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON documents from outside, read field by field with their types checked.
 *
 * Parsing refuses duplicate keys, invalid UTF-8, NUL characters, anything behind the document, and
 * more depth or values than DOC_DEPTH_MAX and DOC_VALUES_MAX, which bound the memory that a hostile
 * document can take to some 80 MB. A node knows where in the document it is, so that each error
 * names the document and the field. null counts as absent, as it does for Go's encoding/json. Go
 * also takes a key whose case differs; here a key that differs from a wanted one only in case is
 * refused, so that no document means one thing to us and another to whoever signed or scanned it.
 */
#pragma once

#include "util/arena.h"
#include "util/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define DOC_INT_MAX    (((int64_t)1 << 53) - 1) /* exact in every JSON implementation */
#define DOC_DEPTH_MAX  64
#define DOC_VALUES_MAX ((size_t)1 << 18)

#define _cleanup_json_ _cleanup_(json_decrefp) /* jansson has it ready */

/* The document a node belongs to. Strings that are taken from it are copied into `arena`. */
struct doc {
	const char *name; /* for messages: "index.json" */
	struct arena *arena;
	struct err *e;
};

struct doc_node {
	const struct doc *doc;
	const json_t *json;
	char path[112]; /* for messages: "layers[3]."; empty at the top */
};

/* What all parsing goes through. -ENOMEM, or -ERR_INPUT with *ret_error set. */
_must_check_ int doc_load(const void *p, size_t n, json_t **ret, json_error_t *ret_error);
/* Parses `n` bytes whose top must be of `type`; *ret_root must outlive `ret`. */
_must_check_ int doc_parse(const struct doc *doc, const void *p, size_t n, json_type type,
	json_t **ret_root, struct doc_node *ret);

/* Member `key` of an object. 1 = *ret is there and of `type`; 0 = absent. */
_must_check_ int doc_child(
	const struct doc_node *n, const char *key, json_type type, struct doc_node *ret);
/* The same where absence is an error: 0 or negative. */
_must_check_ int doc_need(
	const struct doc_node *n, const char *key, json_type type, struct doc_node *ret);
/* Whether there is such a member, of any type but null, in whatever case its key is written. */
bool doc_has(const struct doc_node *n, const char *key);
/* Item `i` of an array, which must be of `type`. */
_must_check_ int doc_item(const struct doc_node *n, size_t i, json_type type, struct doc_node *ret);

/* String members, as copies in the arena. 1 = there; 0 = absent (*ret untouched). */
_must_check_ int doc_child_string(const struct doc_node *n, const char *key, const char **ret);
_must_check_ int doc_need_string(const struct doc_node *n, const char *key, const char **ret);
/* An integer member in [0, DOC_INT_MAX]; must be there. */
_must_check_ int doc_need_int(const struct doc_node *n, const char *key, uint64_t *ret);
/* An array of strings; absent is empty. */
_must_check_ int doc_child_strings(
	const struct doc_node *n, const char *key, const char *const **ret, size_t *ret_n);
/* An object's keys, sorted by their bytes; absent is empty. */
_must_check_ int doc_child_keys(
	const struct doc_node *n, const char *key, const char *const **ret, size_t *ret_n);

/* "<document>: <field> <what>", as -ERR_INPUT; `key` may be NULL for the node itself. */
int doc_bad(const struct doc_node *n, const char *key, const char *what);
int doc_no_memory(const struct doc_node *n);
