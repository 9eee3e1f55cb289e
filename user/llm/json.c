/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/json.h"
#include "llm/llm.h"

#define READ_FLAGS   (YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INVALID_UNICODE)
#define NUMBER_BYTES 64 /* longer numbers are no token counts and no parameters */

/* The surrogate that an escape at `p` stands for, 0 for another character or none. */
static unsigned surrogate(const char *p, const char *end)
{
	char hex[5] = {0}, *stop;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return 0;
	memcpy(hex, p + 2, 4);
	unsigned long v = strtoul(hex, &stop, 16);
	return *stop == 0 && v >= 0xd800 && v <= 0xdfff ? (unsigned)v : 0;
}

/* Texts that were cut between two UTF-16 halves hold escapes of one half: they become U+FFFD. */
static bool mend(char *p, size_t n)
{
	const char *end = p + n;
	bool mended = false;

	while ((p = memchr(p, '\\', (size_t)(end - p)))) {
		unsigned v = surrogate(p, end);

		if (v && v < 0xdc00 && surrogate(p + 6, end) >= 0xdc00) {
			p += 12;
		} else if (v) {
			memcpy(p + 2, "fffd", 4);
			mended = true;
			p += 6;
		} else {
			p += end - p < 2 ? 1 : 2;
		}
	}
	return mended;
}

static yyjson_doc *parse_in_place(char *copy, size_t n)
{
	return yyjson_read_opts(copy, n, READ_FLAGS | YYJSON_READ_INSITU, NULL, NULL);
}

yyjson_doc *json_read_into(struct arena *a, struct slice text)
{
	char *copy = text.n ? arena_alloc(a, text.n + YYJSON_PADDING_SIZE) : NULL;
	yyjson_doc *doc;

	if (!copy)
		return NULL;
	memcpy(copy, text.p, text.n);
	doc = parse_in_place(copy, text.n);
	if (doc)
		return doc;

	memcpy(copy, text.p, text.n);
	memset(copy + text.n, 0, YYJSON_PADDING_SIZE);
	return mend(copy, text.n) ? parse_in_place(copy, text.n) : NULL;
}

yyjson_doc *json_read(struct slice text)
{
	/* yyjson does not write to its input unless it reads in place. */
	char *input = (char *)(uintptr_t)text.p;
	yyjson_doc *doc = text.n ? yyjson_read_opts(input, text.n, READ_FLAGS, NULL, NULL) : NULL;

	if (doc || !text.n || !slice_find(text, SLICE("\\u")))
		return doc;

	char *copy = xmalloc(text.n);
	memcpy(copy, text.p, text.n);
	if (mend(copy, text.n))
		doc = yyjson_read_opts(copy, text.n, READ_FLAGS, NULL, NULL);
	free(copy);
	return doc;
}

struct slice json_str(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

double json_num(yyjson_val *v)
{
	char text[NUMBER_BYTES];
	size_t n = yyjson_get_len(v);

	if (!yyjson_is_raw(v) || n >= sizeof(text))
		return NAN;
	memcpy(text, yyjson_get_raw(v), n);
	text[n] = 0;
	return strtod(text, NULL);
}

int64_t json_int(yyjson_val *v)
{
	uint64_t u;

	if (!yyjson_is_raw(v))
		return LLM_NONE;
	if (slice_u64(slice_of(yyjson_get_raw(v), yyjson_get_len(v)), &u))
		return u <= INT64_MAX ? (int64_t)u : LLM_NONE;

	double d = json_num(v);
	return d >= -9e15 && d <= 9e15 && d == floor(d) ? (int64_t)d : LLM_NONE;
}

struct slice json_raw(struct arena *a, yyjson_val *v)
{
	size_t n;
	char *text = v ? yyjson_val_write_opts(v, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL, &n, NULL) : NULL;
	struct slice kept = arena_dup(a, slice_of(text, text ? n : 0));

	free(text);
	return kept;
}
