/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "sink/measure.h"
#include "sink/otlp_attrs.h"

_Static_assert(SPAN_GAPS <= METRIC_BOUNDS_MAX + 1, "gaps of chunks");

/* What fills a metric's labels: the attributes of the span by the names of the labels. */
struct labels {
	struct slice v[METRIC_LABELS_MAX];
	char port[24];
};

static struct slice text_of(const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	return a ? a->str : (struct slice){NULL, 0};
}

static bool is_true(const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	return a && a->b;
}

static double seconds(const struct span *s)
{
	return s->end > s->start ? (double)(s->end - s->start) / 1e9 : 0;
}

static const struct attr *attr_named(const struct span *s, const char *name)
{
	for (size_t i = 0; i < s->n_attrs; i++)
		if (strcmp(attr_defs[s->attrs[i].key].name, name) == 0)
			return &s->attrs[i];
	return NULL;
}

/* The labels of metric `m` that are attributes of the span; the others are absent. */
static struct slice *labels_of(struct labels *l, const struct span *s, enum metric m)
{
	const struct metric_def *def = &metric_defs[m];

	for (size_t i = 0; i < metric_n_labels(def); i++) {
		const struct attr *a = attr_named(s, def->labels[i].name);

		l->v[i] = (struct slice){NULL, 0};
		if (a && attr_defs[a->key].type == ATTR_STR) {
			l->v[i] = a->str;
		} else if (a && attr_defs[a->key].type == ATTR_INT) { /* server.port is the only one */
			snprintf(l->port, sizeof(l->port), "%lld", (long long)a->i);
			l->v[i] = slice_str(l->port);
		}
	}
	return l->v;
}

/* Sets the label `name` of what labels_of() gave. */
static void set_label(struct labels *l, enum metric m, const char *name, struct slice value)
{
	for (size_t i = 0; i < metric_n_labels(&metric_defs[m]); i++)
		if (strcmp(metric_defs[m].labels[i].name, name) == 0)
			l->v[i] = value;
}

static struct exemplar exemplar_of(const struct span *s)
{
	struct exemplar e = {
	    .wall = s->start_wall ? s->start_wall + (s->end > s->start ? s->end - s->start : 0) : 0};

	memcpy(e.trace, s->trace, sizeof(e.trace));
	memcpy(e.id, s->id, sizeof(e.id));
	return e;
}

static void observe(struct registry *r, enum metric m, const struct span *s, double value)
{
	struct labels l;
	struct exemplar e = exemplar_of(s);

	registry_observe(r, m, labels_of(&l, s, m), value, 1, &e);
}

/* --- calls --- */

static void measure_tokens(struct registry *r, const struct span *s)
{
	static const struct {
		enum attr_key key;
		enum metric metric;
		const char *type;
	} kinds[] = {{ATTR_USAGE_INPUT_TOKENS, METRIC_TOKEN_USAGE, "input"},
	             {ATTR_USAGE_OUTPUT_TOKENS, METRIC_TOKEN_USAGE, "output"},
	             {ATTR_USAGE_CACHE_READ, METRIC_DETAIL_TOKENS, "cache_read"},
	             {ATTR_USAGE_CACHE_CREATION, METRIC_DETAIL_TOKENS, "cache_creation"},
	             {ATTR_USAGE_REASONING, METRIC_DETAIL_TOKENS, "reasoning"}};
	struct exemplar e = exemplar_of(s);
	struct labels l;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct attr *a = span_get(s, kinds[i].key);

		if (!a)
			continue;
		labels_of(&l, s, kinds[i].metric);
		set_label(&l, kinds[i].metric, "gen_ai.token.type", slice_str(kinds[i].type));
		if (kinds[i].metric == METRIC_TOKEN_USAGE)
			registry_observe(r, METRIC_TOKEN_USAGE, l.v, (double)a->i, 1, &e);
		else
			registry_add(r, METRIC_DETAIL_TOKENS, l.v, (double)a->i);
	}
}

static void measure_cost(struct registry *r, const struct span *s)
{
	enum metric m = METRIC_COST;
	struct labels l;
	double cost = 0;

	if (!otlp_billed(s))
		return;
	if (!otlp_cost(s, &cost))
		m = METRIC_COST_UNKNOWN;
	registry_add(r, m, labels_of(&l, s, m), m == METRIC_COST ? cost : 1);
}

static void measure_gaps(struct registry *r, const struct span *s)
{
	struct labels l;

	if (s->gaps)
		registry_observe_buckets(r, METRIC_OUTPUT_CHUNK, labels_of(&l, s, METRIC_OUTPUT_CHUNK),
		                         s->gaps->counts, s->gaps->sum);
}

/* Where the first token is known and there were more. */
static void measure_output(struct registry *r, const struct span *s, double first)
{
	const struct attr *tokens = span_get(s, ATTR_USAGE_OUTPUT_TOKENS);

	if (tokens && tokens->i > 1 && is_true(s, ATTR_COMPLETE) && seconds(s) >= first)
		observe(r, METRIC_SERVER_OUTPUT_TOKEN, s, (seconds(s) - first) / (double)(tokens->i - 1));
}

static void measure_call(struct registry *r, const struct span *s)
{
	bool server = slice_eq(text_of(s, ATTR_CALL_SIDE), SLICE("server")),
	     complete = is_true(s, ATTR_COMPLETE);
	const struct attr *first = span_get(s, ATTR_TIME_TO_FIRST_CHUNK);
	struct labels l;

	labels_of(&l, s, METRIC_CALLS);
	set_label(&l, METRIC_CALLS, attr_defs[ATTR_COMPLETE].name, complete ? SLICE("true") : SLICE("false"));
	registry_add(r, METRIC_CALLS, l.v, 1);
	if (slice_eq(text_of(s, ATTR_CALL_KIND), SLICE("relay")) && !server)
		return; /* the call that it passes on is measured */
	if (complete || s->status == SPAN_ERROR)
		observe(r, server ? METRIC_SERVER_DURATION : METRIC_CALL_DURATION, s, seconds(s));
	if (first)
		observe(r, server ? METRIC_SERVER_FIRST_TOKEN : METRIC_FIRST_CHUNK, s, first->d);
	if (server && first)
		measure_output(r, s, first->d);
	if (server) /* the client's tokens are counted where it is a client */
		return;
	measure_gaps(r, s);
	if (!slice_eq(text_of(s, ATTR_OPERATION_NAME),
	              SLICE("count_tokens"))) /* what it counted was not used */
		measure_tokens(r, s);
	measure_cost(r, s);
}

/* --- what calls lead to --- */

static void measure_tool(struct registry *r, const struct span *s)
{
	const struct attr *started = span_get(s, ATTR_TOOL_STARTED), *ended = span_get(s, ATTR_TOOL_ENDED);
	struct labels l;

	if (started && ended && ended->d >= started->d)
		observe(r, METRIC_TOOL_DURATION, s, ended->d - started->d);
	else
		registry_add(r, METRIC_TOOLS_UNTIMED, labels_of(&l, s, METRIC_TOOLS_UNTIMED), 1);
}

static void measure_mcp(struct registry *r, const struct span *s)
{
	bool sender = slice_eq(text_of(s, ATTR_MCP_SIDE), text_of(s, ATTR_MCP_ASKED_BY));

	if (!slice_eq(text_of(s, ATTR_MCP_PROTOCOL), SLICE("mcp")))
		return;
	if (is_true(s, ATTR_COMPLETE) || s->status == SPAN_ERROR)
		observe(r, sender ? METRIC_MCP_CLIENT_DURATION : METRIC_MCP_SERVER_DURATION, s, seconds(s));
}

void measure_span(struct registry *r, const struct span *s)
{
	registry_add(r, METRIC_SPANS, (struct slice[]){slice_str(span_kind_name(s->kind))}, 1);
	if (s->kind == SPAN_CHAT)
		measure_call(r, s);
	else if (s->kind == SPAN_TOOL)
		measure_tool(r, s);
	else if (s->kind == SPAN_MCP)
		measure_mcp(r, s);
	else if (s->kind == SPAN_TURN && is_true(s, ATTR_COMPLETE))
		observe(r, METRIC_TURN_DURATION, s, seconds(s));
}
