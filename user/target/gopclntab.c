/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "target/gopclntab.h"

#define HEADER 8 /* magic, two zeros, size of an instruction, size of a pointer */

static bool get32(const struct gopclntab *t, uint64_t at, uint32_t *ret)
{
	if (at > t->n || t->n - at < sizeof(*ret))
		return false;
	memcpy(ret, t->p + at, sizeof(*ret));
	return true;
}

static bool get64(const struct gopclntab *t, uint64_t at, uint64_t *ret)
{
	if (at > t->n || t->n - at < sizeof(*ret))
		return false;
	memcpy(ret, t->p + at, sizeof(*ret));
	return true;
}

/* The i-th word of the header. */
static bool word(const struct gopclntab *t, unsigned i, uint64_t *ret)
{
	return get64(t, HEADER + 8 * (uint64_t)i, ret);
}

static bool format_of(uint32_t magic, enum gopclntab_format *ret)
{
	static const uint32_t magics[] = {[GOPCLNTAB_12] = 0xfffffffb,
	                                  [GOPCLNTAB_116] = 0xfffffffa,
	                                  [GOPCLNTAB_118] = 0xfffffff0,
	                                  [GOPCLNTAB_120] = 0xfffffff1};

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (magics[i] == magic) {
			*ret = (enum gopclntab_format)i;
			return true;
		}
	return false;
}

static size_t row_size(const struct gopclntab *t)
{
	return t->format >= GOPCLNTAB_118 ? 8 : 16;
}

/* 1.2: functions, table.  1.16: functions, files, names, ..., table.  1.18: the text's address behind files.
 */
static bool read_header(struct gopclntab *t)
{
	bool ok = word(t, 0, &t->functions);

	if (t->format == GOPCLNTAB_12) {
		t->table = HEADER + 8;
	} else if (t->format == GOPCLNTAB_116) {
		ok = ok && word(t, 2, &t->names) && word(t, 6, &t->table);
	} else {
		t->text_at = HEADER + 16;
		ok = ok && word(t, 2, &t->text) && word(t, 3, &t->names) && word(t, 7, &t->table);
	}
	return ok && t->names < t->n && t->table < t->n && t->functions <= (t->n - t->table) / row_size(t);
}

bool gopclntab_init(struct gopclntab *ret, const uint8_t *p, size_t n)
{
	uint32_t magic;

	*ret = (struct gopclntab){.p = p, .n = n};
	if (!get32(ret, 0, &magic) || !format_of(magic, &ret->format) || n < HEADER || p[4] || p[5] ||
	    p[7] != 8)
		return false;
	return read_header(ret);
}

/* Addresses and the place of the function's record; the next row's address ends it. */
static bool read_row(const struct gopclntab *t, uint64_t i, struct gopclntab_function *f,
                     uint64_t *ret_record)
{
	uint64_t at = t->table + i * row_size(t);
	uint32_t start, end, record;

	if (t->format < GOPCLNTAB_118)
		return get64(t, at, &f->start) && get64(t, at + 8, ret_record) && get64(t, at + 16, &f->end);
	if (!get32(t, at, &start) || !get32(t, at + 4, &record) || !get32(t, at + 8, &end))
		return false;
	f->start = t->text + start;
	f->end = t->text + end;
	*ret_record = record;
	return true;
}

bool gopclntab_function(const struct gopclntab *t, uint64_t i, struct gopclntab_function *ret)
{
	uint64_t record;
	uint32_t name;

	if (i >= t->functions || !read_row(t, i, ret, &record) || record > t->n)
		return false;
	record += t->format == GOPCLNTAB_12 ? 0 : t->table;
	if (!get32(t, record + (t->format >= GOPCLNTAB_118 ? 4 : 8), &name) || name >= t->n - t->names)
		return false;
	ret->name = (const char *)t->p + t->names + name;
	ret->name_max = t->n - t->names - name;
	return true;
}
