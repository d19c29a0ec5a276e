/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"
#include "util/test.h"

#include <string.h>

static int rank(const char *want, const char *have)
{
	struct platform w, h;

	CHECK(platform_parse(want, &w, NULL) == 0);
	CHECK(platform_parse(have, &h, NULL) == 0);
	return platform_rank(&w, &h);
}

static void check_parse(const char *text, const char *expected)
{
	char back[PLATFORM_TEXT_MAX];
	struct err e = {0};
	struct platform p;
	int r = platform_parse(text, &p, &e);

	CHECK(expected ? r == 0 : r == -ERR_INPUT && e.text[0]);
	CHECK(!expected || strcmp(platform_text(&p, back), expected) == 0);
}

static void test_parse(void)
{
	check_parse("linux/amd64", "linux/amd64");
	check_parse("linux/arm64/v8", "linux/arm64/v8");
	check_parse("linux/x86_64", "linux/amd64");
	check_parse("linux/aarch64", "linux/arm64/v8");
	check_parse("linux/armv7l", "linux/arm/v7");
	check_parse("linux/i686", "linux/386");
	check_parse("linux/loongarch64", "linux/loong64");
	check_parse("", NULL);
	check_parse("linux", NULL);
	check_parse("linux/", NULL);
	check_parse("/amd64", NULL);
	check_parse("linux/amd64/", NULL);
	check_parse("linux/amd64/v1/x", NULL);
	check_parse("linux/am d64", NULL);
	check_parse("linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL);
}

static void test_rank(void)
{
	CHECK(rank("linux/amd64", "linux/arm64") == 0);
	CHECK(rank("linux/amd64", "windows/amd64") == 0);
	CHECK(rank("linux/amd64", "linux/amd64") > rank("linux/amd64", "linux/amd64/v3"));
	CHECK(rank("linux/amd64", "linux/amd64/v3") > 0);
	CHECK(rank("linux/arm64/v8", "linux/arm64/v8") > rank("linux/arm64/v8", "linux/arm64"));
	CHECK(rank("linux/arm64/v8", "linux/arm64") > 0);
	CHECK(rank("linux/arm/v7", "linux/arm/v6") > rank("linux/arm/v7", "linux/arm/v5"));
	CHECK(rank("linux/arm/v7", "linux/arm/v5") > 0);
	CHECK(rank("linux/arm/v6", "linux/arm/v7") == 0);
	CHECK(rank("linux/arm64/v8", "linux/arm64/v9") == 0);
}

int main(void)
{
	struct platform host;

	platform_host(&host);
	CHECK(strcmp(host.os, "linux") == 0 && host.architecture[0]);
	test_parse();
	test_rank();
	return 0;
}
