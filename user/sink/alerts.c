/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"
#include "sink/alerts.h"
#include "sink/otlp_attrs.h"

/* Times are counted in buckets, each 4 % wider than the one before, from 1 ms to 3.8 h: a quantile is right
 * to 2 %. */
#define BUCKETS     420
#define BUCKET_STEP 1.04
#define BUCKET_LOW  0.001 /* s */

struct slot {
	uint32_t calls, failed, priced, unpriced;
	double cost;
	uint32_t *times; /* by bucket; NULL: this rule is not of times, or there were none */
};

/* The latest tool call of a conversation. */
struct repeated {
	struct hash call;
	unsigned times;
};

struct alert {
	struct alert_rule rule;
	struct slot slots[ALERT_SLOTS];
	uint64_t newest; /* number of the newest slot: its time / its length */
	/* of a tool_loop */
	unsigned loop;
	uint64_t loop_until;
	uint8_t loop_in[32]; /* the conversation */
	size_t loop_in_len;
	struct buf loop_tool;
	/* what it is at present */
	uint64_t since; /* holds from then on; 0: it does not */
	bool on;
};

struct alerts {
	struct alert *v;
	size_t n;
	struct map conversations; /* id -> struct repeated */
};

struct alerts *alerts_new(const char *rules)
{
	struct slice rest = slice_str(rules), line;
	struct alerts *a = xcalloc(1, sizeof(*a));

	a->v = xcalloc(ALERT_RULES_MAX, sizeof(*a->v));
	while (a->n < ALERT_RULES_MAX && slice_cut(&rest, '\n', &line)) {
		struct buf error = {0};

		if (alert_parse(line, &a->v[a->n].rule, &error) == 0)
			a->n++;
		buf_release(&error);
	}
	if (a->n)
		return a;
	alerts_free(a);
	return NULL;
}

static void forget_conversations(struct alerts *a)
{
	struct map_entry *e;

	map_foreach (&a->conversations, e)
		free(e->value);
	map_release(&a->conversations);
	a->conversations = (struct map){0};
}

void alerts_free(struct alerts *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++) {
		for (int k = 0; k < ALERT_SLOTS; k++)
			free(a->v[i].slots[k].times);
		buf_release(&a->v[i].loop_tool);
	}
	forget_conversations(a);
	free(a->v);
	free(a);
}

/* --- windows --- */

/* The slot of `now`; what has left the window is forgotten. */
static struct slot *slot_at(struct alert *al, uint64_t now)
{
	uint64_t number = now / (al->rule.over / ALERT_SLOTS),
	         gone = number > al->newest ? number - al->newest : 0;

	for (uint64_t i = 1; i <= gone && i <= ALERT_SLOTS; i++) {
		struct slot *s = &al->slots[(al->newest + i) % ALERT_SLOTS];

		free(s->times);
		*s = (struct slot){0};
	}
	if (gone)
		al->newest = number;
	return &al->slots[al->newest % ALERT_SLOTS];
}

static size_t bucket_of(double seconds)
{
	double i = seconds > BUCKET_LOW ? 1 + floor(log(seconds / BUCKET_LOW) / log(BUCKET_STEP)) : 0;

	return i < BUCKETS ? (size_t)i : BUCKETS - 1;
}

static void count_time(struct slot *s, double seconds)
{
	if (!(seconds >= 0))
		return;
	if (!s->times)
		s->times = xcalloc(BUCKETS, sizeof(*s->times));
	s->times[bucket_of(seconds)]++;
}

/* NAN: there were none. */
static double p95(const struct alert *al)
{
	uint64_t n = 0, below = 0, sums[BUCKETS] = {0};

	for (int k = 0; k < ALERT_SLOTS; k++)
		for (int i = 0; al->slots[k].times && i < BUCKETS; i++) {
			sums[i] += al->slots[k].times[i];
			n += al->slots[k].times[i];
		}
	for (int i = 0; n && i < BUCKETS; i++) {
		below += sums[i];
		if (below * 100 >= n * 95)
			return i ? BUCKET_LOW * pow(BUCKET_STEP, i - 0.5) : BUCKET_LOW;
	}
	return NAN;
}

static struct slot sum_of(const struct alert *al)
{
	struct slot sum = {0};

	for (int k = 0; k < ALERT_SLOTS; k++) {
		sum.calls += al->slots[k].calls;
		sum.failed += al->slots[k].failed;
		sum.priced += al->slots[k].priced;
		sum.unpriced += al->slots[k].unpriced;
		sum.cost += al->slots[k].cost;
	}
	return sum;
}

/* NAN: nothing is known. */
static double value_of(const struct alert *al, const struct slot *sum)
{
	switch (al->rule.subject) {
	case ALERT_ERROR_RATE:
		return sum->calls ? (double)sum->failed / sum->calls : NAN;
	case ALERT_P95_DURATION:
	case ALERT_P95_TTFT:
		return p95(al);
	case ALERT_COST_PER_DAY:
		return sum->priced ? sum->cost : NAN;
	case ALERT_TOOL_LOOP:
		break;
	}
	return al->loop ? al->loop : NAN;
}

/* --- spans --- */

static void on_call(struct alert *al, const struct span *s, uint64_t now)
{
	const struct attr *complete = span_get(s, ATTR_COMPLETE),
	                  *first = span_get(s, ATTR_TIME_TO_FIRST_CHUNK);
	struct slot *slot = slot_at(al, now);
	double cost = 0;

	slot->calls++;
	slot->failed += s->status == SPAN_ERROR;
	if (al->rule.subject == ALERT_P95_DURATION && complete && complete->b && s->status != SPAN_ERROR &&
	    s->end >= s->start)
		count_time(slot, (double)(s->end - s->start) / 1e9);
	if (al->rule.subject == ALERT_P95_TTFT && first)
		count_time(slot, first->d);
	if (al->rule.subject != ALERT_COST_PER_DAY)
		return;
	if (otlp_cost(s, &cost))
		slot->priced++;
	else
		slot->unpriced += otlp_billed(s);
	slot->cost += cost;
}

static void on_loop(struct alert *al, struct slice conversation, struct slice tool, unsigned times,
                    uint64_t now)
{
	bool same = slice_eq(conversation, slice_of(al->loop_in, al->loop_in_len));
	bool holds = times > al->rule.limit || (al->rule.or_equal && times == al->rule.limit);

	if (holds && conversation.n <= sizeof(al->loop_in)) {
		al->loop = times;
		al->loop_until = now + al->rule.over;
		al->loop_in_len = conversation.n;
		memcpy(al->loop_in, conversation.p, conversation.n);
		buf_clear(&al->loop_tool);
		text_line(&al->loop_tool, tool, 40);
	} else if (same) {
		al->loop = 0; /* it does something else now */
		al->loop_in_len = 0;
	}
}

static void on_tool(struct alerts *a, const struct span *s, uint64_t now)
{
	const struct attr *in = span_get(s, ATTR_CONVERSATION_ID), *tool = span_get(s, ATTR_TOOL_NAME),
	                  *arguments = span_get(s, ATTR_TOOL_CALL_ARGUMENTS);

	if (!in || !tool || !arguments) /* what is not known is equal to nothing */
		return;
	struct hash call = HASH(tool->str, arguments->str);
	struct repeated *r = map_get(&a->conversations, in->str.p, in->str.n);
	if (!r) {
		if (a->conversations.n >= ALERT_CONVERSATIONS)
			forget_conversations(a);
		r = xcalloc(1, sizeof(*r));
		map_put(&a->conversations, in->str.p, in->str.n, r);
	}
	r->times = r->times && memcmp(&r->call, &call, sizeof(call)) == 0 ? r->times + 1 : 1;
	r->call = call;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].rule.subject == ALERT_TOOL_LOOP)
			on_loop(&a->v[i], in->str, tool->str, r->times, now);
}

void alerts_span(struct alerts *a, const struct span *s, uint64_t now)
{
	const struct attr *side = span_get(s, ATTR_CALL_SIDE), *call_kind = span_get(s, ATTR_CALL_KIND);

	if (s->kind == SPAN_TOOL)
		on_tool(a, s, now);
	/* As a client alone, and each call once. */
	if (s->kind != SPAN_CHAT || side || (call_kind && slice_eq(call_kind->str, SLICE("relay"))))
		return;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].rule.subject != ALERT_TOOL_LOOP)
			on_call(&a->v[i], s, now);
}

/* --- what has become of it --- */

static void add_remedy(struct buf *line, const struct alert *al, const struct slot *sum, double value)
{
	switch (al->rule.subject) {
	case ALERT_ERROR_RATE:
		buf_addf(line, "%u of %u calls failed: 'spantap ls --status err' shows them", sum->failed,
		         sum->calls);
		return;
	case ALERT_P95_DURATION:
	case ALERT_P95_TTFT:
		buf_addf(line, "it is %.3g s: 'spantap stats --by model' says where", value);
		return;
	case ALERT_COST_PER_DAY:
		buf_addf(line, "it is $%.2f", value);
		if (sum->unpriced)
			buf_addf(line, " and %u calls whose price is not known", sum->unpriced);
		buf_adds(line, ": 'spantap cost' says for what");
		return;
	case ALERT_TOOL_LOOP:
		buf_addf(line, "%u times %s: 'spantap show ", al->loop,
		         al->loop_tool.n ? buf_str((struct buf *)(uintptr_t)&al->loop_tool) : "?");
		text_escape(line, slice_of(al->loop_in, al->loop_in_len < 8 ? al->loop_in_len : 8));
		buf_adds(line, "' shows it; end the agent if it does not get on");
	}
}

static void tell(const struct alert *al, const struct slot *sum, double value, void (*say)(const char *line))
{
	struct buf line = {0};

	buf_addf(&line, "alert%s: %s", al->on ? "" : " over", al->rule.text);
	if (al->on) {
		buf_adds(&line, ": ");
		add_remedy(&line, al, sum, value);
	}
	say(buf_str(&line));
	buf_release(&line);
}

static void look_at(struct alert *al, uint64_t now, struct registry *r, void (*say)(const char *line))
{
	struct slice rule = slice_str(al->rule.text);
	bool was = al->on;

	if (al->rule.subject == ALERT_TOOL_LOOP && now > al->loop_until)
		al->loop = 0;
	slot_at(al, now);
	struct slot sum = sum_of(al);
	double value = value_of(al, &sum);
	bool holds = value > al->rule.limit || (al->rule.or_equal && value == al->rule.limit);

	if (!holds)
		al->since = 0;
	else if (!al->since)
		al->since = now;
	al->on = holds && now - al->since >= al->rule.hold;
	if (al->on != was)
		tell(al, &sum, value, say);
	registry_set(r, METRIC_ALERT, &rule, al->on, 0);
	registry_add(r, METRIC_ALERT_FIRED, &rule, al->on && !was);
	if (isnan(value))
		registry_unset(r, METRIC_ALERT_VALUE, &rule);
	else
		registry_set(r, METRIC_ALERT_VALUE, &rule, value, 0);
}

void alerts_tick(struct alerts *a, uint64_t now, struct registry *r, void (*say)(const char *line))
{
	for (size_t i = 0; i < a->n; i++)
		look_at(&a->v[i], now, r, say);
}
