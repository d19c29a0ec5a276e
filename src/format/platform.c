/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"

#include <string.h>
#include <sys/utsname.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MIPS_END "le"
#else
#define MIPS_END ""
#endif

/* uname's word for the machine, and Go's words for it. uname does not tell mips' byte order. */
static const struct {
	const char *machine, *architecture, *variant;
} machines[] = {
	{"x86_64", "amd64", ""},
	{"aarch64", "arm64", "v8"},
	{"armv8l", "arm", "v8"},
	{"armv7l", "arm", "v7"},
	{"armv6l", "arm", "v6"},
	{"armv5tel", "arm", "v5"},
	{"i386", "386", ""},
	{"i486", "386", ""},
	{"i586", "386", ""},
	{"i686", "386", ""},
	{"loongarch64", "loong64", ""},
	{"mips", "mips" MIPS_END, ""},
	{"mips64", "mips64" MIPS_END, ""},
	{"ppc64le", "ppc64le", ""},
	{"ppc64", "ppc64", ""},
	{"riscv64", "riscv64", ""},
	{"s390x", "s390x", ""},
};

static void set(char field[32], const char *text)
{
	snprintf(field, 32, "%s", text);
}

/* Replaces uname's word, if it is one, by Go's; a variant that is there stays. */
static void use_go_words(struct platform *p)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (strcmp(p->architecture, machines[i].machine) != 0)
			continue;
		set(p->architecture, machines[i].architecture);
		if (!p->variant[0])
			set(p->variant, machines[i].variant);
		return;
	}
}

void platform_host(struct platform *ret)
{
	struct platform p = {.os = "linux", .architecture = "unknown"};
	struct utsname u;

	if (uname(&u) == 0)
		snprintf(p.architecture, sizeof(p.architecture), "%.*s",
			(int)sizeof(p.architecture) - 1, u.machine);
	use_go_words(&p);
	*ret = p;
}

/* Takes one word off the front of *text, with the '/' behind it. */
static bool take_word(const char **text, char field[32])
{
	size_t n =
		strspn(*text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (n == 0 || n >= 32)
		return false;
	memcpy(field, *text, n);
	field[n] = 0;
	*text += n;
	if (**text == '/' && (*text)[1]) {
		(*text)++;
		return true;
	}
	return **text == 0;
}

int platform_parse(const char *text, struct platform *ret, struct err *e)
{
	struct platform p = {0};
	const char *s = text;

	if (!take_word(&s, p.os) || !take_word(&s, p.architecture) ||
		(*s && !take_word(&s, p.variant)) || *s)
		return err_set(e, -ERR_INPUT,
			"platform '%s': expected OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT", text);
	use_go_words(&p);
	*ret = p;
	return 0;
}

char *platform_text(const struct platform *p, char text[PLATFORM_TEXT_MAX])
{
	snprintf(text, PLATFORM_TEXT_MAX, "%s/%s%s%s", p->os, p->architecture,
		p->variant[0] ? "/" : "", p->variant);
	return text;
}

/* "v5" to "v9", or 0. */
static int arm_version(const char *variant)
{
	bool known = variant[0] == 'v' && variant[1] >= '5' && variant[1] <= '9' && !variant[2];

	return known ? variant[1] - '0' : 0;
}

int platform_rank(const struct platform *want, const struct platform *have)
{
	int want_arm = arm_version(want->variant), have_arm = arm_version(have->variant);

	if (strcmp(want->os, have->os) != 0 || strcmp(want->architecture, have->architecture) != 0)
		return 0;
	if (strcmp(want->variant, have->variant) == 0)
		return 100;
	if (!have->variant[0] || !want->variant[0])
		return 50;
	if (strcmp(want->architecture, "arm") == 0 && have_arm && have_arm < want_arm)
		return 40 + have_arm;
	return 0;
}
