/* SPDX-License-Identifier: Apache-2.0 */
#include "ids.h"
#include "util/array.h"

#include <ctype.h>

/* The number at *p, at most `max`; *p goes behind it. */
static int parse_number(const char **p, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++) {
		v = v * 10 + (uint64_t)(**p - '0');
		if (v > max)
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

/* "C:H:N": the layers' C is shown as H. */
static int parse_range(const char **p, struct id_range *ret)
{
	uint64_t v[3];

	for (int i = 0; i < 3; i++) {
		if (i && *(*p)++ != ':')
			return -EINVAL;
		if (parse_number(p, UINT32_MAX, &v[i]) < 0)
			return -EINVAL;
	}
	/* The last id is "no change" to chown(2). */
	if (v[2] == 0 || v[0] + v[2] > UINT32_MAX || v[1] + v[2] > UINT32_MAX)
		return -EINVAL;
	*ret = (struct id_range){
		.shown = (uint32_t)v[1], .host = (uint32_t)v[0], .n = (uint32_t)v[2]};
	return 0;
}

static bool overlap(uint32_t a, uint32_t an, uint32_t b, uint32_t bn)
{
	return a < b ? b - a < an : a - b < bn;
}

static bool is_new(const struct id_map *m, const struct id_range *r)
{
	for (size_t i = 0; i < m->n; i++)
		if (overlap(m->v[i].shown, m->v[i].n, r->shown, r->n) ||
			overlap(m->v[i].host, m->v[i].n, r->host, r->n))
			return false;
	return true;
}

int id_map_parse(const char *text, struct id_map *ret, struct err *e)
{
	_cleanup_id_map_ struct id_map m = {0};
	const char *p = text;
	size_t room = 0;

	for (;;) {
		struct id_range r = {0};

		if (array_room(&m.v, m.n, &room, sizeof(*m.v)) < 0)
			return err_sys(e, -ENOMEM, "cannot read the map of ids");
		if (parse_range(&p, &r) < 0 || (*p && *p != ':' && *p != ','))
			return err_set(e, -EINVAL,
				"'%s': a map of ids is CONTAINER:HOST:SIZE, or several", text);
		if (!is_new(&m, &r))
			return err_set(e, -EINVAL, "'%s': ranges of ids overlap", text);
		m.v[m.n++] = r;
		if (!*p)
			break;
		p++;
	}
	*ret = m;
	m = (struct id_map){0};
	return 0;
}

void id_map_done(struct id_map *m)
{
	free(m->v);
	*m = (struct id_map){0};
}

uint32_t id_in(const struct id_map *m, uint32_t shown)
{
	if (!m)
		return shown;
	for (size_t i = 0; i < m->n; i++)
		if (shown >= m->v[i].shown && shown - m->v[i].shown < m->v[i].n)
			return m->v[i].host + (shown - m->v[i].shown);
	return (uint32_t)-1;
}

uint32_t id_out(const struct id_map *m, uint32_t id)
{
	if (!m)
		return id;
	for (size_t i = 0; i < m->n; i++)
		if (id >= m->v[i].host && id - m->v[i].host < m->v[i].n)
			return m->v[i].shown + (id - m->v[i].host);
	return ID_UNMAPPED;
}
