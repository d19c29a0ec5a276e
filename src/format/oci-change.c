/* SPDX-License-Identifier: Apache-2.0 */
/* What a container is to run, changed by the words of a Dockerfile. */
#include "oci-internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct change {
	json_t *config; /* the member "config" */
	const char *word, *value;
	struct err *e;
};

static int bad_value(const struct change *c, const char *what)
{
	return err_set(c->e, -ERR_INPUT, "change '%.100s %.200s': %s", c->word, c->value, what);
}

/* Takes the value over. */
static int set(const struct change *c, json_t *object, const char *key, json_t *value)
{
	return !value || json_object_set_new(object, key, value) < 0
		       ? bad_value(c, "is not UTF-8 text")
		       : 0;
}

/* The member of that type, made if it is missing. */
static json_t *member(const struct change *c, const char *key, json_t *fresh)
{
	json_t *j = json_object_get(c->config, key);

	if (j && json_typeof(j) == json_typeof(fresh)) {
		json_decref(fresh);
		return j;
	}
	return json_object_set_new(c->config, key, fresh) < 0 ? NULL : fresh;
}

/* ["a", "b"]; NULL: it is no such list. */
static json_t *list_of(const char *text)
{
	json_error_t unused;
	json_t *j = *text == '[' ? json_loads(text, 0, &unused) : NULL;
	json_t *item;
	size_t i;

	if (!json_is_array(j)) {
		json_decref(j);
		return NULL;
	}
	json_array_foreach(j, i, item)
	{
		if (!json_is_string(item)) {
			json_decref(j);
			return NULL;
		}
	}
	return j;
}

static int set_command(const struct change *c, const char *key)
{
	json_t *list = list_of(c->value);

	if (!list)
		list = json_pack("[s,s,s]", "/bin/sh", "-c", c->value);
	return set(c, c->config, key, list);
}

static int change_cmd(const struct change *c)
{
	return set_command(c, "Cmd");
}

/* As a Dockerfile's: the command of the base image goes. */
static int change_entrypoint(const struct change *c)
{
	int r = set_command(c, "Entrypoint");

	if (r == 0)
		json_object_del(c->config, "Cmd");
	return r;
}

/* KEY=VALUE, or KEY VALUE; the value may be in double quotes. */
static int split_pair(const struct change *c, char **ret_key, char **ret_value)
{
	const size_t n = strcspn(c->value, "= \t");
	const char *v = c->value + n;
	size_t len;

	if (!n || !*v)
		return bad_value(c, "is not KEY=VALUE");
	v += *v == '=' ? 1 : strspn(v, " \t");
	len = strlen(v);
	if (len >= 2 && *v == '"' && v[len - 1] == '"') {
		v++;
		len -= 2;
	}
	*ret_key = strndup(c->value, n);
	*ret_value = strndup(v, len);
	return *ret_key && *ret_value ? 0 : oci_no_memory(c->e);
}

static int put_env(const struct change *c, const char *key, const char *value)
{
	json_t *env = member(c, "Env", json_array()), *item, *text;
	const size_t n = strlen(key);
	size_t i;

	text = json_sprintf("%s=%s", key, value);
	if (!text)
		return bad_value(c, "is not UTF-8 text");
	json_array_foreach(env, i, item)
	{
		const char *old = json_string_value(item);

		if (old && strncmp(old, key, n) == 0 && old[n] == '=')
			return json_array_set_new(env, i, text) < 0 ? oci_no_memory(c->e) : 0;
	}
	return json_array_append_new(env, text) < 0 ? oci_no_memory(c->e) : 0;
}

static int change_env(const struct change *c)
{
	_cleanup_free_ char *key = NULL, *value = NULL;
	int r = split_pair(c, &key, &value);

	return r < 0 ? r : put_env(c, key, value);
}

static int change_label(const struct change *c)
{
	_cleanup_free_ char *key = NULL, *value = NULL;
	json_t *labels = member(c, "Labels", json_object());
	int r = split_pair(c, &key, &value);

	return r < 0 ? r : set(c, labels, key, json_string(value));
}

static int change_user(const struct change *c)
{
	return set(c, c->config, "User", json_string(c->value));
}

static int change_workdir(const struct change *c)
{
	if (*c->value != '/')
		return bad_value(c, "is not an absolute path");
	return set(c, c->config, "WorkingDir", json_string(c->value));
}

static int change_stopsignal(const struct change *c)
{
	return set(c, c->config, "StopSignal", json_string(c->value));
}

/* An object whose keys are a set. */
static int add_keys(const struct change *c, const char *key, const char *suffix)
{
	json_t *all = member(c, key, json_object()), *list = list_of(c->value), *item;
	_cleanup_free_ char *copy = strdup(c->value);
	char *save = NULL, *word;
	size_t i;
	int r = copy ? 0 : oci_no_memory(c->e);

	json_array_foreach(list, i, item) if (r == 0) r =
		set(c, all, json_string_value(item), json_object());
	for (word = list || !copy ? NULL : strtok_r(copy, " \t", &save); r == 0 && word;
		word = strtok_r(NULL, " \t", &save)) {
		char text[320];

		snprintf(text, sizeof(text), "%.300s%s", word, strchr(word, '/') ? "" : suffix);
		r = set(c, all, text, json_object());
	}
	json_decref(list);
	return r;
}

static int change_expose(const struct change *c)
{
	if (strspn(c->value, "0123456789/- tcpudsTCPUDS") != strlen(c->value))
		return bad_value(c, "is not a list of ports");
	return add_keys(c, "ExposedPorts", "/tcp");
}

static int change_volume(const struct change *c)
{
	return add_keys(c, "Volumes", "");
}

static const struct {
	const char *word;
	int (*change)(const struct change *c);
} words[] = {
	{"CMD", change_cmd},
	{"ENTRYPOINT", change_entrypoint},
	{"ENV", change_env},
	{"EXPOSE", change_expose},
	{"LABEL", change_label},
	{"STOPSIGNAL", change_stopsignal},
	{"USER", change_user},
	{"VOLUME", change_volume},
	{"WORKDIR", change_workdir},
};

static int apply(json_t *config, const char *text, struct err *e)
{
	const size_t n = strcspn(text, " \t=");
	char word[32];
	struct change c = {.config = config, .word = word, .e = e};

	snprintf(word, sizeof(word), "%.*s", (int)n, text);
	/* `podman commit` takes WORD=VALUE as well */
	c.value = text + n + (text[n] == '=');
	c.value += strspn(c.value, " \t");
	if (!*c.value)
		return bad_value(&c, "says nothing");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(word, words[i].word) == 0)
			return words[i].change(&c);
	return err_set(e, -ERR_INPUT,
		"change '%.100s': known are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, "
		"VOLUME and WORKDIR",
		text);
}

int oci_config_change(const char *name, const void *config, size_t n, const char *author,
	const char *const *changes, size_t n_changes, struct buf *ret, struct err *e)
{
	_cleanup_(oci_config_done) struct oci_config parsed = {0};
	_cleanup_json_ json_t *root = NULL;
	json_error_t unused;
	json_t *run;
	int r = oci_config_parse(name, config, n, &parsed, e);

	if (r == 0 && doc_load(config, n, &root, &unused) < 0)
		r = oci_no_memory(e);
	if (r < 0)
		return r;
	if (author && json_object_set_new(root, "author", json_string(author)) < 0)
		return err_set(e, -ERR_INPUT, "the author is not UTF-8 text");
	run = json_object_get(root, "config");
	if (!json_is_object(run)) {
		run = json_object();
		if (json_object_set_new(root, "config", run) < 0)
			return oci_no_memory(e);
	}
	for (size_t i = 0; r == 0 && i < n_changes; i++)
		r = apply(run, changes[i], e);
	return r < 0 ? r : oci_dump(root, ret, e);
}
