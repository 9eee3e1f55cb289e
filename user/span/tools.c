/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "span/tools.h"

struct slice without_quoting(struct arena *a, struct slice s)
{
	char *bare = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\'' && s.p[i] != '"' && s.p[i] != '\\')
			bare[n++] = s.p[i];
	return slice_of(bare, n);
}

static void add_string(struct tool *t, struct slice s)
{
	s = slice_trim(s);
	if (s.n < 2 || t->n_strings == TOOL_STRINGS_MAX)
		return;
	s.n = s.n < TOOL_STRING_MAX ? s.n : TOOL_STRING_MAX;
	t->strings[t->n_strings] = arena_dup(&t->arena, s);
	t->bare[t->n_strings++] = without_quoting(&t->arena, s);
}

static void collect(struct tool *t, yyjson_val *v, unsigned depth)
{
	size_t i, n;
	yyjson_val *k, *x;

	if (depth > 8)
		return;
	if (yyjson_is_str(v)) {
		add_string(t, slice_of(yyjson_get_str(v), yyjson_get_len(v)));
	} else if (yyjson_is_arr(v)) {
		yyjson_arr_foreach(v, i, n, x) collect(t, x, depth + 1);
	} else if (yyjson_is_obj(v)) {
		yyjson_obj_foreach(v, i, n, k, x) collect(t, x, depth + 1);
	}
}

static void collect_strings(struct tool *t, struct slice arguments)
{
	yyjson_doc *doc = arguments.n ? yyjson_read(arguments.p, arguments.n, 0) : NULL;

	if (doc)
		collect(t, yyjson_doc_get_root(doc), 0);
	else if (arguments.p)
		add_string(t, arguments);
	yyjson_doc_free(doc);
}

struct tool *tool_new(struct content *c, struct turn *turn, struct process *agent,
                      const struct llm_part *part)
{
	struct tool *t = xcalloc(1, sizeof(*t));

	t->turn = turn;
	t->agent = process_ref(agent);
	c->masks = 0;
	t->call_id = arena_dup(&t->arena, part->id);
	t->name = arena_dup(&t->arena, part->name);
	t->label = content_label(c, &t->arena, part->name);
	t->shown_id = content_label(c, &t->arena, part->id);
	t->arguments = content_arguments(c, &t->arena, part->text);
	t->masks = c->masks;
	collect_strings(t, part->text);
	return t;
}

void tool_free(struct tool *t)
{
	process_unref(t->agent);
	arena_release(&t->arena);
	free(t);
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       c == '-' || c == '/' || c == '.';
}

/* Short strings ("ls") count only as whole words, else "ls" would be found in "else". */
static bool occurs(struct slice arg, struct slice s)
{
	while (s.n > 1 && arg.n >= s.n) {
		const char *p = slice_find(arg, s);

		if (!p)
			return false;

		size_t at = (size_t)(p - arg.p), end = at + s.n;
		if (s.n >= 12 || ((at == 0 || !is_word(p[-1])) && (end == arg.n || !is_word(arg.p[end]))))
			return true;
		arg = slice_from(arg, at + 1);
	}
	return false;
}

static bool occurs_in(const struct slice *texts, size_t n, struct slice s)
{
	for (size_t i = 0; i < n; i++)
		if (occurs(texts[i], s))
			return true;
	return false;
}

size_t tool_match(const struct tool *t, const struct slice *texts, const struct slice *bare, size_t n)
{
	size_t best = 0;

	for (size_t k = 0; k < t->n_strings; k++)
		if (t->strings[k].n > best &&
		    (occurs_in(texts, n, t->strings[k]) || (bare && occurs_in(bare, n, t->bare[k]))))
			best = t->strings[k].n;
	return best;
}
