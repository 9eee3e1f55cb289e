/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "llm/price.h"
#include "sink/otlp_attrs.h"

#define TEMPO_TEXT_MAX 2048 /* max_attribute_bytes of its configuration */

static const char *const profile_names[OTLP_PROFILES] = {
    [OTLP_PLAIN] = "plain",         [OTLP_COMMON] = "common", [OTLP_LANGFUSE] = "langfuse", [OTLP_PHOENIX] = "phoenix",
    [OTLP_LANGSMITH] = "langsmith", [OTLP_SIGNOZ] = "signoz", [OTLP_TEMPO] = "tempo",
};

int otlp_profile_parse(struct slice word)
{
	for (int i = 0; i < OTLP_PROFILES; i++)
		if (slice_eq(word, slice_str(profile_names[i])))
			return i;
	return -1;
}

const char *otlp_profile_name(enum otlp_profile p)
{
	return profile_names[p];
}

static struct slice text_of(const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	return a ? a->str : (struct slice){0};
}

static bool is_operation(const struct span *s, const char *name)
{
	return slice_eq(text_of(s, ATTR_OPERATION_NAME), slice_str(name));
}

/* What the additions are made of. Each returns false where the span has nothing to say. */

/* Of OpenInference: LLM EMBEDDING RETRIEVER RERANKER TOOL AGENT CHAIN. */
static bool inference_kind(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	if (s->kind == SPAN_TURN)
		ret->str = SLICE("AGENT");
	else if (s->kind == SPAN_TOOL || s->kind == SPAN_MCP)
		ret->str = SLICE("TOOL");
	else if (s->kind != SPAN_CHAT)
		ret->str = SLICE("CHAIN");
	else
		ret->str = is_operation(s, "embeddings")  ? SLICE("EMBEDDING")
			   : is_operation(s, "retrieval") ? SLICE("RETRIEVER")
			   : is_operation(s, "rerank")    ? SLICE("RERANKER")
							  : SLICE("LLM");
	return true;
}

static bool langsmith_kind(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	if (s->kind == SPAN_TOOL || s->kind == SPAN_MCP)
		ret->str = SLICE("tool");
	else if (s->kind != SPAN_CHAT)
		ret->str = SLICE("chain");
	else
		ret->str = is_operation(s, "embeddings")  ? SLICE("embedding")
			   : is_operation(s, "retrieval") ? SLICE("retriever")
							  : SLICE("llm");
	return true;
}

/* The time of the first chunk, ISO 8601. */
static bool completion_start(const struct span *s, struct arena *a, struct attr *ret)
{
	const struct attr *first = span_get(s, ATTR_TIME_TO_FIRST_CHUNK);
	char text[64], day[32];
	struct tm tm;

	if (!first || !s->start_wall || first->d < 0 || first->d > 1e9)
		return false;
	uint64_t at = s->start_wall + (uint64_t)(first->d * 1e9);
	time_t seconds = (time_t)(at / 1000000000);
	if (!gmtime_r(&seconds, &tm) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		return false;
	snprintf(text, sizeof(text), "%s.%06uZ", day, (unsigned)(at % 1000000000 / 1000));
	ret->str = arena_dup(a, slice_str(text));
	return true;
}

static bool first_token(const struct span *s, struct arena *a, struct attr *ret)
{
	const struct attr *first = span_get(s, ATTR_TIME_TO_FIRST_CHUNK);

	(void)a;
	if (first)
		ret->d = first->d;
	return first != NULL;
}

static int64_t tokens(const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	return a ? a->i : LLM_NONE;
}

bool otlp_billed(const struct span *s)
{
	if (s->kind != SPAN_CHAT || is_operation(s, "count_tokens") || slice_eq(text_of(s, ATTR_CALL_KIND), SLICE("relay")))
		return false;
	return s->status != SPAN_ERROR || span_get(s, ATTR_USAGE_INPUT_TOKENS) || span_get(s, ATTR_USAGE_OUTPUT_TOKENS);
}

bool otlp_cost(const struct span *s, double *ret)
{
	struct llm_usage u = {tokens(s, ATTR_USAGE_INPUT_TOKENS), tokens(s, ATTR_USAGE_OUTPUT_TOKENS),
	                      tokens(s, ATTR_USAGE_CACHE_READ), tokens(s, ATTR_USAGE_CACHE_CREATION),
	                      tokens(s, ATTR_USAGE_REASONING)};
	struct slice provider = text_of(s, ATTR_PROVIDER_NAME);
	const struct attr *complete = span_get(s, ATTR_COMPLETE);
	struct price p;

	if (!otlp_billed(s) || (complete && !complete->b) || !price_usual_tier(text_of(s, ATTR_OPENAI_RESPONSE_SERVICE_TIER)) ||
	    !price_usual_tier(text_of(s, ATTR_CALL_SERVICE_TIER)))
		return false;
	const struct price_model *m = price_find(provider, text_of(s, ATTR_RESPONSE_MODEL));
	if (!m)
		m = price_find(provider, text_of(s, ATTR_REQUEST_MODEL));
	if (price_calc(m, s->start_wall, &u, &p) != PRICE_KNOWN)
		return false;
	*ret = p.total;
	return true;
}

static bool cost(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	return otlp_cost(s, &ret->d);
}

static bool copy(const struct span *s, enum attr_key key, struct attr *ret)
{
	const struct attr *a = span_get(s, key);

	if (a)
		*ret = *a;
	return a != NULL;
}

static bool input(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	return copy(s, ATTR_INPUT_MESSAGES, ret) || copy(s, ATTR_TOOL_CALL_ARGUMENTS, ret) ||
	       copy(s, ATTR_RETRIEVAL_QUERY, ret);
}

static bool output(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	return copy(s, ATTR_OUTPUT_MESSAGES, ret) || copy(s, ATTR_TOOL_CALL_RESULT, ret) ||
	       copy(s, ATTR_RETRIEVAL_DOCUMENTS, ret);
}

static bool json_type(const struct span *s, struct arena *a, struct attr *ret, bool is_input)
{
	struct attr value = {0};

	if (!(is_input ? input : output)(s, a, &value))
		return false;
	bool is_json = value.str.n && (value.str.p[0] == '[' || value.str.p[0] == '{');
	ret->str = is_json ? SLICE("application/json") : SLICE("text/plain");
	return true;
}

static bool input_type(const struct span *s, struct arena *a, struct attr *ret)
{
	return json_type(s, a, ret, true);
}

static bool output_type(const struct span *s, struct arena *a, struct attr *ret)
{
	return json_type(s, a, ret, false);
}

static bool reasoning(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	return copy(s, ATTR_USAGE_REASONING, ret);
}

static bool provider(const struct span *s, struct arena *a, struct attr *ret)
{
	(void)a;
	return copy(s, ATTR_PROVIDER_NAME, ret);
}

#define P(name)  (1u << OTLP_##name)
#define SCALARS  (P(COMMON) | P(LANGFUSE) | P(PHOENIX) | P(LANGSMITH) | P(SIGNOZ) | P(TEMPO))

static const struct addition {
	unsigned profiles;
	const char *name;
	enum attr_type type;
	bool content;
	bool (*make)(const struct span *s, struct arena *a, struct attr *ret);
} additions[] = {
    {P(COMMON) | P(LANGFUSE), "langfuse.observation.completion_start_time", ATTR_STR, false, completion_start},
    {P(COMMON) | P(PHOENIX), "openinference.span.kind", ATTR_STR, false, inference_kind},
    {P(COMMON) | P(PHOENIX), "llm.cost.total", ATTR_DOUBLE, false, cost},
    {P(PHOENIX), "llm.token_count.completion_details.reasoning", ATTR_INT, false, reasoning},
    {P(PHOENIX), "input.value", ATTR_STR, true, input},
    {P(PHOENIX), "input.mime_type", ATTR_STR, true, input_type},
    {P(PHOENIX), "output.value", ATTR_STR, true, output},
    {P(PHOENIX), "output.mime_type", ATTR_STR, true, output_type},
    {SCALARS, "gen_ai.usage.cost", ATTR_DOUBLE, false, cost},
    {P(COMMON) | P(SIGNOZ), "gen_ai.server.ttft", ATTR_DOUBLE, false, first_token},
    {P(LANGSMITH), "gen_ai.system", ATTR_STR, false, provider},
    {P(LANGSMITH), "langsmith.span.kind", ATTR_STR, false, langsmith_kind},
    {P(LANGSMITH), "gen_ai.prompt", ATTR_STR, true, input},
    {P(LANGSMITH), "gen_ai.completion", ATTR_STR, true, output},
};

static void add(struct otlp_attrs *list, struct arena *a, enum otlp_profile profile, const char *name,
		enum attr_type type, const struct attr *v)
{
	if (type == ATTR_DOUBLE && !isfinite(v->d))
		return;
	if (type == ATTR_STR && profile == OTLP_TEMPO && v->str.n > TEMPO_TEXT_MAX) {
		list->dropped++;
		return;
	}
	*(struct otlp_attr *)arena_push(a, &list->v, &list->n, sizeof(struct otlp_attr)) =
	    (struct otlp_attr){name, type, *v};
}

void otlp_attrs(struct otlp_attrs *ret, const struct span *s, bool content, enum otlp_profile profile, struct arena *a)
{
	*ret = (struct otlp_attrs){0};
	for (size_t i = 0; i < s->n_attrs; i++) {
		const struct attr_def *def = &attr_defs[s->attrs[i].key];

		if (!def->local && (content || !def->content))
			add(ret, a, profile, def->name, def->type, &s->attrs[i]);
	}
	for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++) {
		const struct addition *row = &additions[i];
		struct attr v = {0};

		if (row->profiles & 1u << profile && (content || !row->content) && row->make(s, a, &v))
			add(ret, a, profile, row->name, row->type, &v);
	}
}

int otlp_kind(const struct span *s)
{
	const struct attr *side = span_get(s, ATTR_MCP_SIDE);

	if (s->kind == SPAN_CHAT)
		return span_get(s, ATTR_CALL_SIDE) ? OTLP_SERVER : OTLP_CLIENT;
	if (s->kind == SPAN_HTTP)
		return OTLP_CLIENT;
	if (s->kind != SPAN_MCP)
		return OTLP_INTERNAL;
	return side && slice_eq(side->str, SLICE("server")) ? OTLP_SERVER : OTLP_CLIENT;
}

int otlp_status(const struct span *s)
{
	return s->status == SPAN_UNSET ? 0 : s->status == SPAN_OK ? 1 : 2;
}

uint64_t otlp_end(const struct span *s)
{
	return s->start_wall ? s->start_wall + (s->end > s->start ? s->end - s->start : 0) : 0;
}
