/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "base/map.h"
#include "sink/row.h"
#include "store/messages.h"

#define ARGUMENTS_PARSE_MAX (1 << 20) /* longer arguments are shown as they are */

static struct slice get_str(const struct span *s, enum attr_key key, struct arena *a)
{
	const struct attr *v = span_get(s, key);

	return v ? arena_dup(a, messages_cut(v->str, ROW_TEXT_MAX)) : (struct slice){0};
}

static int64_t get_int(const struct span *s, enum attr_key key)
{
	const struct attr *v = span_get(s, key);

	return v ? v->i : LLM_NONE;
}

static double get_double(const struct span *s, enum attr_key key)
{
	const struct attr *v = span_get(s, key);

	return v ? v->d : (double)NAN;
}

/* The strings of an array joined by `sep`. */
static struct slice get_joined(const struct span *s, enum attr_key key, const char *sep, struct arena *a)
{
	const struct attr *v = span_get(s, key);
	struct buf b = {0};

	for (size_t i = 0; v && i < v->strs.n && b.n < ROW_TEXT_MAX; i++) {
		buf_adds(&b, i ? sep : "");
		buf_addslice(&b, messages_cut(v->strs.v[i], ROW_TEXT_MAX));
	}
	struct slice r = b.n ? arena_dup(a, messages_cut(buf_slice(&b), ROW_TEXT_MAX)) : (struct slice){0};
	buf_release(&b);
	return r;
}

static struct slice get_message(const struct span *s, enum attr_key key,
                                void (*extract)(struct buf *, struct slice, size_t), struct arena *a)
{
	const struct attr *v = span_get(s, key);
	struct buf b = {0};

	if (v)
		extract(&b, v->str, ROW_TEXT_MAX);
	struct slice r = b.n ? arena_dup(a, buf_slice(&b)) : (struct slice){0};
	buf_release(&b);
	return r;
}

/* A string, or an array of strings joined by blanks (as some agents give the command). */
static bool add_words(struct buf *b, yyjson_val *v)
{
	size_t i, n;
	yyjson_val *word;

	if (yyjson_is_str(v))
		buf_addslice(b, messages_cut(slice_of(yyjson_get_str(v), yyjson_get_len(v)), ROW_TEXT_MAX));
	yyjson_arr_foreach(v, i, n, word)
	{
		if (!yyjson_is_str(word) || b->n > ROW_TEXT_MAX)
			return false;
		buf_adds(b, i ? " " : "");
		buf_addslice(
		    b, messages_cut(slice_of(yyjson_get_str(word), yyjson_get_len(word)), ROW_TEXT_MAX));
	}
	return b->n > 0;
}

/* Arguments that tell most about a call, the best first. */
static const char *const telling[] = {"command", "cmd",   "script",  "code",     "file_path", "path",
                                      "url",     "query", "pattern", "filename", "prompt"};

static struct slice get_arguments(const struct span *s, struct arena *a)
{
	const struct attr *v = span_get(s, ATTR_TOOL_CALL_ARGUMENTS);
	struct buf b = {0};
	bool found = false;

	if (!v)
		return (struct slice){0};
	yyjson_doc *doc =
	    v->str.n && v->str.n <= ARGUMENTS_PARSE_MAX ? yyjson_read(v->str.p, v->str.n, 0) : NULL;
	for (size_t i = 0; !found && i < sizeof(telling) / sizeof(telling[0]); i++) {
		buf_clear(&b);
		found = add_words(&b, yyjson_obj_get(yyjson_doc_get_root(doc), telling[i]));
	}
	struct slice r = arena_dup(a, messages_cut(found ? buf_slice(&b) : v->str, ROW_TEXT_MAX));
	yyjson_doc_free(doc);
	buf_release(&b);
	return r;
}

static void read_operation(struct row *r, const struct span *s, struct arena *a)
{
	static const char *const speaking[] = {"chat", "generate_content", "text_completion", "invoke_agent"};

	r->operation = get_str(s, ATTR_OPERATION_NAME, a);
	r->speaks = !r->operation.n;
	for (size_t i = 0; i < sizeof(speaking) / sizeof(speaking[0]); i++)
		r->speaks |= slice_eq(r->operation, slice_str(speaking[i]));
}

static void read_texts(struct row *r, const struct span *s, struct arena *a)
{
	switch (r->kind) {
	case SPAN_CHAT:
		r->label = get_str(s, ATTR_RESPONSE_MODEL, a);
		if (!r->label.n)
			r->label = get_str(s, ATTR_REQUEST_MODEL, a);
		if (!r->label.n)
			r->label = get_str(s, ATTR_DATA_SOURCE_ID, a);
		read_operation(r, s, a);
		r->asked = get_message(s, ATTR_INPUT_MESSAGES, messages_user_text, a);
		r->text = get_message(s, ATTR_OUTPUT_MESSAGES, messages_answer, a);
		if (!r->text.n)
			r->text = get_str(s, ATTR_RETRIEVAL_QUERY, a);
		break;
	case SPAN_TOOL:
		r->label = get_str(s, ATTR_TOOL_NAME, a);
		r->text = get_arguments(s, a);
		break;
	case SPAN_MCP:
		r->text = get_arguments(s, a);
		break;
	case SPAN_HTTP:
		r->label = get_str(s, ATTR_HTTP_METHOD, a);
		r->text = get_str(s, ATTR_URL_FULL, a);
		if (!r->text.n)
			r->text = get_str(s, ATTR_SERVER_ADDRESS, a);
		break;
	case SPAN_PROCESS:
		r->label = get_str(s, ATTR_PROCESS_EXECUTABLE_NAME, a);
		r->text = get_joined(s, ATTR_PROCESS_COMMAND_ARGS, " ", a);
		break;
	default:
		r->label = get_str(s, ATTR_AGENT_NAME, a);
		r->asked = get_message(s, ATTR_INPUT_MESSAGES, messages_user_text, a);
	}
	if (!r->label.n && r->kind >= SPAN_TOOL)
		r->label = arena_dup(a, messages_cut(s->name, ROW_TEXT_MAX));
}

static void read_error(struct row *r, const struct span *s, struct arena *a)
{
	const struct attr *type = span_get(s, ATTR_ERROR_TYPE);
	struct buf b = {0};

	if (type)
		buf_addslice(&b, messages_cut(type->str, ROW_TEXT_MAX));
	if (s->status_message.n && !(type && slice_eq(type->str, s->status_message))) {
		buf_adds(&b, b.n ? ": " : "");
		buf_addslice(&b, messages_cut(s->status_message, ROW_TEXT_MAX));
	}
	r->error = b.n ? arena_dup(a, buf_slice(&b)) : (struct slice){0};
	buf_release(&b);
}

void row_read(struct row *r, const struct span *s, struct arena *a)
{
	const struct attr *complete = span_get(s, ATTR_COMPLETE), *late = span_get(s, ATTR_TLS_LATE);

	*r = (struct row){.kind = s->kind, .status = s->status, .start = s->start, .end = s->end};
	memcpy(r->trace, s->trace, sizeof(r->trace));
	memcpy(r->id, s->id, sizeof(r->id));
	memcpy(r->parent, s->parent, sizeof(r->parent));
	read_texts(r, s, a);
	read_error(r, s, a);
	r->finish = get_joined(s, ATTR_RESPONSE_FINISH_REASONS, ", ", a);
	r->why = get_str(s, ATTR_INCOMPLETE_REASON, a);
	r->evidence = get_str(s, ATTR_LINK_EVIDENCE, a);
	r->conversation = get_str(s, ATTR_CONVERSATION_ID, a);
	r->call_kind = get_str(s, ATTR_CALL_KIND, a);
	r->input = get_int(s, ATTR_USAGE_INPUT_TOKENS);
	r->output = get_int(s, ATTR_USAGE_OUTPUT_TOKENS);
	r->cache_read = get_int(s, ATTR_USAGE_CACHE_READ);
	r->pid = get_int(s, ATTR_PROCESS_PID);
	r->exit_code = get_int(s, ATTR_PROCESS_EXIT_CODE);
	r->http_status = get_int(s, ATTR_HTTP_STATUS);
	r->exit_signal = get_int(s, ATTR_PROCESS_EXIT_SIGNAL);
	r->turn_index = get_int(s, ATTR_TURN_INDEX);
	r->lost_bytes = get_int(s, ATTR_LOST_BYTES);
	r->first_token = get_double(s, ATTR_TIME_TO_FIRST_CHUNK);
	r->cpu_time = get_double(s, ATTR_PROCESS_CPU_TIME);
	r->confidence = get_double(s, ATTR_LINK_CONFIDENCE);
	r->tool_started = get_double(s, ATTR_TOOL_STARTED);
	r->incomplete = complete && !complete->b;
	r->joined_late = late && late->b;
}

/* Parents before children that began at the same time. */
static int by_start(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(x->id, y->id, sizeof(x->id));
}

/* Marks what can be reached from `r`, without recursion: the chain of parents is as deep as traffic makes it.
 */
static void mark(struct row *r, struct row **stack)
{
	size_t n = 0;

	r->placed = true;
	stack[n++] = r;
	while (n) {
		for (struct row *c = stack[--n]->child; c; c = c->next) {
			if (c->placed)
				continue;
			c->placed = true;
			stack[n++] = c;
		}
	}
}

static void unlink_child(struct row *parent, struct row *r)
{
	struct row **at = &parent->child;

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
	r->next = NULL;
}

static struct row *parent_of(const struct map *ids, const struct row *r)
{
	struct row *p = map_get(ids, r->parent, sizeof(r->parent));

	return p == r ? NULL : p;
}

void rows_link(struct row *v, size_t n, struct arena *a, struct row ***ret_roots, size_t *ret_n)
{
	struct map ids = {0};
	struct row **roots = arena_alloc(a, (n + 1) * sizeof(*roots)),
	           **stack = arena_alloc(a, (n + 1) * sizeof(*stack));
	size_t n_roots = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_start);
	for (size_t i = 0; i < n; i++) {
		v[i].child = v[i].next = NULL;
		v[i].placed = false;
		map_put(&ids, v[i].id, sizeof(v[i].id), &v[i]);
	}
	/* From the last to the first, each put in front: children end up in order. */
	for (size_t i = n; i-- > 0;) {
		struct row *p = parent_of(&ids, &v[i]);

		if (p) {
			v[i].next = p->child;
			p->child = &v[i];
		}
	}
	for (size_t i = 0; i < n; i++)
		if (!parent_of(&ids, &v[i])) {
			roots[n_roots++] = &v[i];
			mark(&v[i], stack);
		}
	for (size_t i = 0; i < n; i++)
		if (!v[i].placed) {
			unlink_child(parent_of(&ids, &v[i]), &v[i]);
			roots[n_roots++] = &v[i];
			mark(&v[i], stack);
		}
	map_release(&ids);
	*ret_roots = roots;
	*ret_n = n_roots;
}
