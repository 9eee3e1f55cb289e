/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/events.h"
#include "base/alloc.h"
#include "target/bounds.h"
#include "target/locate.h"

#define LOCATORS_MAX 8

/* The first that is found gives the file its name. */
const struct locator *const locators[] = {&locate_boringssl, &locate_rustls, &locate_openssl, NULL};

void locate_want(struct locate *l, uint64_t addr)
{
	size_t i = 0;

	while (i < l->n_wanted && l->wanted[i] < addr)
		i++;
	if (l->n_wanted == LOCATE_WANTED || (i < l->n_wanted && l->wanted[i] == addr))
		return;
	memmove(&l->wanted[i + 1], &l->wanted[i], (l->n_wanted - i) * sizeof(l->wanted[0]));
	l->wanted[i] = addr;
	l->n_wanted++;
}

void locate_want_strings(struct locate *l, unsigned text)
{
	const struct literal *lit = &l->texts[text];
	char string[LITERAL_SIZE];

	for (unsigned i = 0; i < lit->n; i++) {
		uint64_t at = literal_string(&l->image->code, lit->at[i], string);

		if (at)
			locate_want(l, at);
	}
}

bool locate_holds(const struct locate *l, unsigned text, uint64_t at)
{
	const struct literal *lit = &l->texts[text];

	for (unsigned i = 0; i < lit->n; i++)
		if (at <= lit->at[i] && lit->at[i] - at < LITERAL_SIZE) {
			char string[LITERAL_SIZE];

			return literal_string(&l->image->code, lit->at[i], string) == at;
		}
	return false;
}

/* Whether the C string at `at` is the text and nothing else. */
static bool is_text(const struct locate *l, unsigned text, uint64_t at)
{
	const struct literal *lit = &l->texts[text];
	char string[LITERAL_SIZE];

	for (unsigned i = 0; i < lit->n; i++)
		if (lit->at[i] == at)
			return literal_string(&l->image->code, at, string) == at &&
			       strcmp(string, lit->text) == 0;
	return false;
}

enum target_why locate_only_function(struct locate *l, unsigned text, struct site_func *ret)
{
	uint64_t only = 0, start, end;

	for (size_t i = 0; i < l->refs.n; i++) {
		if (!is_text(l, text, l->refs.v[i].to))
			continue;
		if (!bounds_find(&l->d, &l->image->code, l->refs.v[i].at, &start, &end))
			return TARGET_WHY_NO_EXTENT;
		if (only && start != only)
			return TARGET_WHY_SEVERAL;
		only = start;
		*ret = locate_func(start, end);
	}
	return only ? TARGET_WHY_NONE : TARGET_WHY_NOT_FOUND;
}

/* --- all rows --- */

struct found {
	struct site_func funcs[TARGET_FUNCS];
	const char *symbols[TARGET_FUNCS];
};

static bool any(const struct site_func funcs[TARGET_FUNCS])
{
	for (int f = 0; f < TARGET_FUNCS; f++)
		if (funcs[f].addr)
			return true;
	return false;
}

/* The functions of a further library, where none of another one has the same form. */
static bool merge(const struct locator *row, const struct site_func funcs[TARGET_FUNCS], struct found *all,
                  struct target *t)
{
	for (int f = 0; f < TARGET_FUNCS; f++)
		if (funcs[f].addr && all->funcs[f].addr)
			return false;
	for (int f = 0; f < TARGET_FUNCS; f++) {
		if (!funcs[f].addr)
			continue;
		all->funcs[f] = funcs[f];
		all->symbols[f] = row->symbols[f];
		t->func_lib[f] = (uint8_t)row->lib;
	}
	return true;
}

static void ask(struct locate *l, const struct literal *texts, struct target *t)
{
	struct found all = {.symbols = {NULL}};

	for (size_t r = 0; locators[r]; r++) {
		struct site_func funcs[TARGET_FUNCS] = {0};

		l->texts = texts + r * LOCATE_TEXTS;
		if (!l->texts[0].n)
			continue;
		enum target_why why = l->refs.cut ? TARGET_WHY_TOO_LONG : locators[r]->find(l, funcs);
		if (!why && !merge(locators[r], funcs, &all, t))
			why = TARGET_WHY_ANOTHER;
		if (!why && any(funcs) && !t->lib)
			t->lib = locators[r]->lib;
		if (why && !t->refused) {
			t->refused = locators[r]->lib;
			t->why_refused = why;
		}
	}
	t->located = t->lib != EV_LIB_UNKNOWN;
	if (t->lib == EV_LIB_OPENSSL)
		image_version(l->image, t->version, &t->interface);
	if (t->located)
		site_choose(&l->image->code, all.funcs, all.symbols, t);
}

/* What the rows want to have looked for; false: no row is concerned with this file. */
static bool collect(struct locate *l, const struct literal *texts)
{
	bool concerned = false;

	for (size_t r = 0; locators[r]; r++) {
		l->texts = texts + r * LOCATE_TEXTS;
		if (!l->texts[0].n)
			continue;
		locators[r]->want(l);
		concerned = true;
	}
	return concerned;
}

static void find_texts(struct image *image, struct literal *texts)
{
	struct literal some[LOCATORS_MAX * LOCATE_TEXTS];
	size_t n = 0, of[LOCATORS_MAX * LOCATE_TEXTS];

	for (size_t r = 0; locators[r]; r++)
		for (size_t i = 0; i < LOCATE_TEXTS; i++)
			if (locators[r]->texts[i]) {
				of[n] = r * LOCATE_TEXTS + i;
				some[n++] = (struct literal){.text = locators[r]->texts[i]};
			}
	literal_find(image, some, n);
	for (size_t i = 0; i < n; i++)
		texts[of[i]] = some[i];
}

void locate(struct image *image, struct target *t)
{
	struct literal *texts = xcalloc(LOCATORS_MAX * LOCATE_TEXTS, sizeof(*texts));
	struct locate l = {.image = image};

	find_texts(image, texts);
	if (collect(&l, texts)) {
		if (decoder_init(&l.d, image->code.machine)) {
			struct insn_wanted wanted = {l.wanted, l.n_wanted};

			refs_find(&image->code, l.d.m, &wanted, &l.refs);
			ask(&l, texts, t);
			refs_release(&l.refs);
			decoder_release(&l.d);
		}
	}
	free(texts);
}
