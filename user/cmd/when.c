/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "base/slice.h"
#include "cmd/when.h"

#define SECOND 1000000000ull

static bool age(const char *s, uint64_t now, uint64_t *ret)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
	size_t n = strlen(s);
	uint64_t v;

	if (n < 2 || !slice_u64(slice_of(s, n - 1), &v))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (s[n - 1] != units[i].unit)
			continue;
		/* Before the epoch nothing was captured. */
		*ret = v > now / SECOND / units[i].seconds ? 0 : now - v * units[i].seconds * SECOND;
		return true;
	}
	return false;
}

static bool date(const char *s, uint64_t *ret)
{
	static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = {.tm_isdst = -1}, want;
		const char *end = strptime(s, formats[i], &tm);
		bool utc = end && strcmp(end, "Z") == 0;

		if (!end || (*end && !utc))
			continue;
		want = tm;
		time_t t = utc ? timegm(&tm) : mktime(&tm);
		/* strptime() takes a February of 31 days. */
		if (t < 0 || tm.tm_mday != want.tm_mday || tm.tm_mon != want.tm_mon)
			return false;
		*ret = (uint64_t)t * SECOND;
		return true;
	}
	return false;
}

bool when_parse(const char *s, uint64_t now, uint64_t *ret)
{
	return age(s, now, ret) || date(s, ret);
}
