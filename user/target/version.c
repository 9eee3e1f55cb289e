/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "target/version.h"

#define PREFIX    "OpenSSL "
#define TEXT_MAX  64 /* bytes of one version string */
#define TRIED_MAX 32 /* texts that begin like one, of a piece */

/* "1.1.1w  11 Sep 2023", "3.5.8 25 Aug 2026": other texts name a version too, as one that is needed, but not
 * its day. */
static bool version_and_day(const char *text, char ret[VERSION_SIZE])
{
	unsigned major, minor, patch, day, year;
	char version[VERSION_SIZE], month[4];

	if (sscanf(text, "%15s %2u %3s %4u", version, &day, month, &year) != 4 || strlen(month) != 3 ||
	    year < 1998)
		return false;
	if (!isdigit((unsigned char)version[0]) ||
	    sscanf(version, "%3u.%3u.%3u", &major, &minor, &patch) != 3)
		return false;
	for (const char *c = version; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(".-+", *c))
			return false;
	snprintf(ret, VERSION_SIZE, "%s", version);
	return true;
}

bool version_in_text(const char *p, size_t n, char ret[VERSION_SIZE])
{
	const char *end = p + n, *at;
	unsigned tried = 0;

	while ((at = memmem(p, (size_t)(end - p), PREFIX, sizeof(PREFIX) - 1))) {
		char text[TEXT_MAX] = "";

		p = at + sizeof(PREFIX) - 1;
		if (p == end || !isdigit((unsigned char)*p))
			continue;
		if (++tried > TRIED_MAX)
			return false;
		size_t left = (size_t)(end - p);
		memcpy(text, p, left < sizeof(text) - 1 ? left : sizeof(text) - 1);
		if (version_and_day(text, ret))
			return true;
	}
	return false;
}

int version_compare(const char *a, const char *b)
{
	unsigned x[2] = {0}, y[2] = {0};

	sscanf(a, "%3u.%3u", &x[0], &x[1]);
	sscanf(b, "%3u.%3u", &y[0], &y[1]);
	int major = (x[0] > y[0]) - (x[0] < y[0]);
	return major ? major : (x[1] > y[1]) - (x[1] < y[1]);
}

void version_of_interface(const char *prefix, const char *symbol_version, char io[VERSION_SIZE])
{
	size_t n = strlen(prefix);
	char version[VERSION_SIZE];
	unsigned major, minor;
	char dot;

	if (strncmp(symbol_version, prefix, n) != 0 ||
	    sscanf(symbol_version + n, "%3u%c%3u", &major, &dot, &minor) != 3 || (dot != '.' && dot != '_'))
		return;
	snprintf(version, sizeof(version), "%u.%u", major, minor);
	if (version_compare(version, io) > 0)
		memcpy(io, version, sizeof(version));
}
