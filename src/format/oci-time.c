/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3339 times, as JSON documents carry them. */
#include "oci-doc.h"

#define SECONDS_A_DAY 86400

/* Days from 1970-01-01 to a date of the Gregorian calendar; years count from March. */
static int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static bool take_number(const char **s, unsigned digits, unsigned *ret)
{
	unsigned v = 0;

	for (unsigned i = 0; i < digits; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (unsigned)(**s - '0');
	}
	*ret = v;
	return true;
}

static bool take_char(const char **s, char c)
{
	bool there = **s == c;

	*s += there;
	return there;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(const char **s, int64_t *ret_days)
{
	unsigned year, month, day;

	if (!take_number(s, 4, &year) || !take_char(s, '-') || !take_number(s, 2, &month) ||
		!take_char(s, '-') || !take_number(s, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	*ret_days = days_of_date(year, month, day);
	return true;
}

static bool take_clock(const char **s, int64_t *ret_seconds)
{
	unsigned hour, minute, second, unused;

	if (!take_number(s, 2, &hour) || !take_char(s, ':') || !take_number(s, 2, &minute) ||
		!take_char(s, ':') || !take_number(s, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	if (take_char(s, '.')) {
		if (!take_number(s, 1, &unused))
			return false;
		while (take_number(s, 1, &unused))
			;
	}
	*ret_seconds = hour * 3600 + minute * 60 + second;
	return true;
}

static bool take_zone(const char **s, int64_t *ret_seconds)
{
	bool west = **s == '-';
	unsigned hour, minute;

	if (take_char(s, 'Z') || take_char(s, 'z')) {
		*ret_seconds = 0;
		return true;
	}
	if (!take_char(s, west ? '-' : '+') || !take_number(s, 2, &hour) || !take_char(s, ':') ||
		!take_number(s, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ret_seconds = ((int64_t)hour * 3600 + minute * 60) * (west ? -1 : 1);
	return true;
}

int oci_time_parse(const char *text, int64_t *ret)
{
	int64_t days, seconds, zone;
	const char *s = text;

	if (!take_date(&s, &days) || !(take_char(&s, 'T') || take_char(&s, 't')) ||
		!take_clock(&s, &seconds) || !take_zone(&s, &zone) || *s)
		return -ERR_INPUT;
	*ret = days * SECONDS_A_DAY + seconds - zone;
	return 0;
}

/* The date of a day since 0000-03-01, the inverse of days_of_date. */
static void date_of_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	int64_t era = days / 146097, d = days % 146097;
	int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	int64_t day_of_year = d - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + era * 400 + (*month <= 2);
}

char *oci_time_text(int64_t t, char text[OCI_TIME_TEXT_MAX])
{
	const int64_t first = days_of_date(0, 3, 1) * SECONDS_A_DAY;
	const int64_t last = days_of_date(10000, 1, 1) * SECONDS_A_DAY - 1;
	int64_t year, month, day, s;

	t = t < first ? first : t;
	t = t > last ? last : t;
	date_of_days((t - first) / SECONDS_A_DAY, &year, &month, &day);
	s = (t - first) % SECONDS_A_DAY;
	snprintf(text, OCI_TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month,
		(int)day, (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
	return text;
}
