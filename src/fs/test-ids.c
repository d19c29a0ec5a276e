/* SPDX-License-Identifier: Apache-2.0 */
#include "acl.h"
#include "util/test.h"

#include <endian.h>

static void test_maps(void)
{
	_cleanup_id_map_ struct id_map m = {0};

	CHECK(id_map_parse("0:1000:1:1:110000:65536", &m, NULL) == 0 && m.n == 2);
	CHECK(id_out(&m, 0) == 1000 && id_out(&m, 1) == 110000 && id_out(&m, 65536) == 175535);
	CHECK(id_out(&m, 65537) == ID_UNMAPPED);
	CHECK(id_in(&m, 1000) == 0 && id_in(&m, 110000) == 1 && id_in(&m, 175535) == 65536);
	CHECK(id_in(&m, 0) == (uint32_t)-1 && id_in(&m, 1001) == (uint32_t)-1 &&
		id_in(&m, 175536) == (uint32_t)-1);
	CHECK(id_out(NULL, 7) == 7 && id_in(NULL, 7) == 7);
}

static void test_forms(void)
{
	static const char *const good[] = {"0:0:1", "5:6:7", "0:0:4294967295", "0:1:1,1:0:1",
		"0:10:100:100:10000:2000,4294967294:5:1"};
	static const char *const bad[] = {"", ":", "0", "0:0", "0:0:", "0:0:0", "0:0:1:", "0:0:1,",
		"a:0:1", "0:0:1x", " 0:0:1", "-1:0:1", "0:0:4294967296", "1:0:4294967295",
		"4294967295:0:1", "99999999999999999999:0:1", "0:0:10:5:20:1", "0:0:10:20:9:1",
		"0:0:1,0:5:1", "0:0:1:1:5", "0;0;1"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		_cleanup_id_map_ struct id_map m = {0};

		CHECK(id_map_parse(good[i], &m, NULL) == 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = {0};
		struct id_map m;

		CHECK(id_map_parse(bad[i], &m, &e) == -EINVAL && e.text[0]);
	}
}

/* An ACL as the xattr has it: a version, then tag, permissions and id of each entry. */
struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} e[6];
};

static void test_acls(void)
{
	static const uint16_t tags[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20};
	_cleanup_id_map_ struct id_map u = {0}, g = {0};
	struct acl acl = {htole32(2), {{0}}}, copy, odd;

	CHECK(id_map_parse("0:100000:10", &u, NULL) == 0);
	CHECK(id_map_parse("0:200000:10", &g, NULL) == 0);
	for (size_t i = 0; i < 6; i++) {
		acl.e[i].tag = htole16(tags[i]);
		acl.e[i].perm = htole16(6);
		acl.e[i].id = htole32(tags[i] == 2 || tags[i] == 8 ? 5 : UINT32_MAX);
	}
	copy = acl;
	acl_ids_out(&copy, sizeof(copy), &u, &g);
	CHECK(le32toh(copy.e[1].id) == 100005 && le32toh(copy.e[3].id) == 200005);
	CHECK(copy.e[0].id == UINT32_MAX && copy.e[2].id == UINT32_MAX &&
		copy.e[5].id == UINT32_MAX);
	CHECK(acl_ids_in(&copy, sizeof(copy), &u, &g) == 0 &&
		memcmp(&copy, &acl, sizeof(acl)) == 0);
	CHECK(acl_ids_in(&copy, sizeof(copy), &u, &g) == -EINVAL); /* 5 is nobody's */
	acl.e[1].id = htole32(10);
	acl_ids_out(&acl, sizeof(acl), &u, NULL);
	CHECK(le32toh(acl.e[1].id) == ID_UNMAPPED && le32toh(acl.e[3].id) == 5);

	odd = acl;
	acl_ids_out(&odd, sizeof(odd) - 1, &u, &g);
	odd.version = htole32(3);
	acl_ids_out(&odd, sizeof(odd), &u, &g);
	acl_ids_out(&odd, 3, &u, &g);
	CHECK(memcmp(odd.e, acl.e, sizeof(acl.e)) == 0);
	CHECK(acl_ids_in(&odd, sizeof(odd), &u, &g) == -EOPNOTSUPP);
	CHECK(acl_ids_in(&odd, sizeof(odd) - 1, &u, &g) == -EINVAL);
	CHECK(acl_ids_in(&odd, 0, &u, &g) == -EINVAL);
	CHECK(acl_is("system.posix_acl_default") && !acl_is("user.posix_acl_default"));
}

int main(void)
{
	test_acls();
	test_maps();
	test_forms();
	return 0;
}
