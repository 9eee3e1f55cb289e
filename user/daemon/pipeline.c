/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "daemon/budget.h"
#include "daemon/pipeline.h"

#define TICK_NS 10000000

struct pipeline {
	struct streams *streams;
	struct llm *llm;
	struct spans *spans;
	struct sampler *sampler; /* NULL: every conversation is kept */
	double share;            /* of them, as the operator wants it */
	unsigned pressure;
	struct verdicts *verdicts;
	const struct span_events *ev;
	void *ctx;
	struct pipeline_conn *current; /* whose bytes are being parsed */
	struct clock_map clock;
	uint64_t records, bad_records, poisoned;
	uint64_t unknown; /* connections that speak no protocol known here */
	uint64_t ticked; /* time of the latest tick */
};

struct pipeline_conn {
	struct pipeline *pipeline;
	struct ev_proc proc;
	struct proto_conn *proto;
	bool unknown; /* counted as such */
	struct verdict_conn verdict;
};

/* --- between proto and llm: what verdicts rest on --- */

static void on_request(void *ctx, struct exchange *x)
{
	struct pipeline_conn *c = ctx;

	verdict_begin(c->pipeline->verdicts, &c->verdict, x);
	llm_proto_events.request(c->pipeline->llm, x);
}

static void on_request_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	llm_proto_events.request_body(((struct pipeline_conn *)ctx)->pipeline->llm, x, ts, s);
}

static void on_request_end(void *ctx, struct exchange *x)
{
	llm_proto_events.request_end(((struct pipeline_conn *)ctx)->pipeline->llm, x);
}

static void on_response(void *ctx, struct exchange *x)
{
	llm_proto_events.response(((struct pipeline_conn *)ctx)->pipeline->llm, x);
}

static void on_response_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	llm_proto_events.response_body(((struct pipeline_conn *)ctx)->pipeline->llm, x, ts, s);
}

static void on_body_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	llm_proto_events.body_gap(((struct pipeline_conn *)ctx)->pipeline->llm, x, dir, ts, n);
}

static void on_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s, bool text)
{
	struct pipeline_conn *c = ctx;

	llm_proto_events.message(c->pipeline->llm, x, dir, ts, s, text);
	if (c->verdict.info->lib == EV_LIB_STDIO && !x->user)
		verdict_none(c->pipeline->verdicts, &c->verdict);
}

static void on_end(void *ctx, struct exchange *x)
{
	struct pipeline_conn *c = ctx;

	llm_proto_events.end(c->pipeline->llm, x);
	verdict_end(c->pipeline->verdicts, &c->verdict, x);
}

static const struct proto_events proto_events = {
    .request = on_request,
    .request_body = on_request_body,
    .request_end = on_request_end,
    .response = on_response,
    .response_body = on_response_body,
    .body_gap = on_body_gap,
    .message = on_message,
    .end = on_end,
};

/* --- between llm and span --- */

static void on_llm_begin(void *ctx, struct llm_call *call)
{
	struct pipeline *p = ctx;

	if (p->current)
		verdict_llm(p->verdicts, &p->current->verdict);
	spans_llm_events.begin(p->spans, call);
}

static void on_llm_end(void *ctx, struct llm_call *call)
{
	spans_llm_events.end(((struct pipeline *)ctx)->spans, call);
}

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	spans_llm_events.mcp(((struct pipeline *)ctx)->spans, m);
}

static void on_http(void *ctx, const struct http_request *r)
{
	spans_llm_events.http(((struct pipeline *)ctx)->spans, r);
}

static const struct llm_events llm_events = {
    .begin = on_llm_begin, .end = on_llm_end, .mcp = on_mcp, .http = on_http};

/* --- between span and what writes spans --- */

static void on_span(void *ctx, const struct span *s)
{
	struct pipeline *p = ctx;

	if (p->sampler)
		sampler_add(p->sampler, s);
	else
		p->ev->span(p->ctx, s);
}

static void on_head(void *ctx, const struct head_record *h)
{
	struct pipeline *p = ctx;

	if (p->ev->head)
		p->ev->head(p->ctx, h);
}

static const struct span_events span_events = {.span = on_span, .head = on_head};

static void press(struct pipeline *p, uint64_t steps)
{
	if (!p->sampler)
		return;
	p->pressure = steps < PRESSURE_STEPS ? (unsigned)steps : PRESSURE_STEPS;
	spans_press(p->spans, p->pressure > 0);
	sampler_share(p->sampler, p->pressure > 1 ? ldexp(p->share, 1 - (int)p->pressure) : p->share);
}

/* --- between stream and proto --- */

static void *on_open(void *ctx, const struct conn_info *info)
{
	struct pipeline_conn *c = xcalloc(1, sizeof(*c));

	c->pipeline = ctx;
	c->proc = info->id.proc;
	c->proto = proto_open(&proto_events, c, info);
	verdict_open(c->pipeline->verdicts, &c->verdict, info);
	return c;
}

static void parsed(struct pipeline_conn *c)
{
	c->pipeline->current = NULL;
	if (proto_is_unknown(c->proto)) {
		c->pipeline->unknown += !c->unknown;
		c->unknown = true;
		verdict_none(c->pipeline->verdicts, &c->verdict);
	}
	verdict_work(c->pipeline->verdicts, &c->verdict);
}

static void on_bytes(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct pipeline_conn *c = conn;

	c->pipeline->current = c;
	c->verdict.produced[dir] += bytes.n;
	proto_feed(c->proto, dir, ts, bytes);
	parsed(c);
}

static void on_gap(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct pipeline_conn *c = conn;

	c->pipeline->current = c;
	c->verdict.produced[dir] += n;
	spans_traffic_lost(c->pipeline->spans, &c->proc, ts);
	proto_gap(c->proto, dir, ts, n, cause);
	parsed(c);
}

static void on_close(void *conn, uint64_t ts, bool complete)
{
	struct pipeline_conn *c = conn;

	c->pipeline->current = c;
	proto_close(c->proto, ts, complete);
	c->pipeline->current = NULL;
	verdict_close(c->pipeline->verdicts, &c->verdict);
	free(c);
}

static const struct stream_events stream_events = {on_open, on_bytes, on_gap, on_close};

struct pipeline *pipeline_new(const uint8_t instance[16], enum content_level content, unsigned redact,
			      const uint8_t *link_key, const struct span_events *ev, void *ctx)
{
	struct pipeline *p = xcalloc(1, sizeof(*p));
	struct span_conf conf = {.content = content, .redact = redact, .clock = &p->clock, .link_key = link_key};

	memcpy(conf.instance, instance, sizeof(conf.instance));
	p->ev = ev;
	p->ctx = ctx;
	p->spans = spans_new(&conf, &span_events, p);
	p->llm = llm_new(&llm_events, p);
	p->verdicts = verdicts_new(NULL, NULL, false);
	p->streams = streams_new(&stream_events, p);
	return p;
}

void pipeline_head(struct pipeline *p, const struct head_record *h)
{
	spans_head(p->spans, h);
}

void pipeline_join_traces(struct pipeline *p)
{
	spans_join_traces(p->spans);
}

void pipeline_sample(struct pipeline *p, const struct sample_conf *conf)
{
	p->share = conf->share;
	p->sampler = sampler_new(conf, p->ev->span, p->ctx);
}

void pipeline_judge(struct pipeline *p, void (*judge)(void *ctx, const struct verdict *v), void *ctx, bool llm_only)
{
	verdicts_free(p->verdicts);
	p->verdicts = verdicts_new(judge, ctx, llm_only);
}

static void add_totals(const struct pipeline *p, const struct pipeline_queues *q, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	const struct pipeline_stats s = pipeline_stats(p);
	const struct {
		const char *key;
		uint64_t n;
	} totals[] = {{"records", s.records},         {"bad_records", s.bad_records},
		      {"poisoned", s.poisoned},       {"holes", s.stream.gaps},
		      {"connections", s.stream.conns}, {"unknown_protocol", s.unknown},
		      {"grpc", s.llm.grpc},           {"batches", s.llm.batches},
		      {"shed_spans", q->shed_spans}};
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "totals");

	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
		yyjson_mut_obj_add_uint(doc, o, totals[i].key, totals[i].n);
}

static void add_queue(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *name, uint64_t used, uint64_t bytes)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, name);

	yyjson_mut_obj_add_uint(doc, o, "used", used);
	yyjson_mut_obj_add_uint(doc, o, "bytes", bytes);
}

/* "limits": {…}: what is left out now, and how much it was. */
static void limits_json(const struct pipeline *p, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	const struct sample_stats *s = sampler_stats(p->sampler);
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "limits");

	yyjson_mut_obj_add_uint(doc, o, "pressure", p->pressure);
	yyjson_mut_obj_add_uint(doc, o, "spans_without_content", spans_stats(p->spans)->pressed);
	yyjson_mut_obj_add_real(doc, o, "share", sampler_now(p->sampler));
	yyjson_mut_obj_add_uint(doc, o, "conversations_left_out", s->dropped);
	yyjson_mut_obj_add_uint(doc, o, "calls_left_out", s->dropped_calls);
	yyjson_mut_obj_add_uint(doc, o, "conversations_waiting", s->held);
}

void pipeline_status(const struct pipeline *p, const struct pipeline_queues *q, struct buf *out)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	size_t n = 0;

	yyjson_mut_doc_set_root(doc, root);
	verdicts_json(p->verdicts, doc, root);
	spans_live_json(p->spans, doc, root);
	yyjson_mut_obj_add_uint(doc, root, "began", q->began);
	add_totals(p, q, doc, root);
	add_queue(doc, root, "journal", q->journal_used, q->journal_bytes);
	add_queue(doc, root, "outbox", q->outbox_used, q->outbox_bytes);
	if (p->sampler)
		limits_json(p, doc, root);

	char *text = yyjson_mut_write(doc, 0, &n);
	if (text)
		buf_add(out, text, n);
	free(text);
	yyjson_mut_doc_free(doc);
}

/* The record as its type, NULL when it is too short to be one. */
#define RECORD(rec, type) ((rec)->size >= sizeof(type) ? (const type *)(const void *)(rec) : NULL)

static int on_data(struct pipeline *p, const struct ev_head *rec, bool poison)
{
	const struct ev_data *d = RECORD(rec, struct ev_data);
	bool body = d && !(d->flags & EV_DATA_UNREADABLE);

	if (!d || d->dir > 1 || d->len == 0 || (body && d->len > rec->size - sizeof(*d)))
		return -EBADMSG;
	if (poison)
		streams_poison(p->streams, d);
	else
		streams_data(p->streams, d);
	return 0;
}

static int on_exec(struct pipeline *p, const struct ev_head *rec)
{
	const struct ev_exec *e = RECORD(rec, struct ev_exec);

	if (!e || (uint64_t)sizeof(*e) + e->argv_len + e->cwd_len + e->cgroup_len > rec->size)
		return -EBADMSG;
	spans_exec(p->spans, e);
	return 0;
}

static void on_totals(struct pipeline *p, const struct ev_conn *rec)
{
	struct pipeline_conn *c = streams_find(p->streams, &rec->conn);

	if (c) {
		uint64_t before = c->verdict.ignored[0] + c->verdict.ignored[1];

		verdict_totals(p->verdicts, &c->verdict, rec);
		uint64_t more = c->verdict.ignored[0] + c->verdict.ignored[1] - before;
		if (more)
			spans_left_alone(p->spans, &c->proc, more, rec->head.ts);
	}
	streams_conn(p->streams, rec);
}

static void on_peer(struct pipeline *p, const struct ev_peer *rec)
{
	streams_peer(p->streams, rec);

	struct pipeline_conn *c = streams_find(p->streams, &rec->conn);
	if (c)
		spans_conn(p->spans, c->verdict.info);
}

static void on_name(struct pipeline *p, const struct ev_name *rec)
{
	streams_name(p->streams, rec);

	struct pipeline_conn *c = streams_find(p->streams, &rec->conn);
	if (!c)
		return;
	verdict_name(p->verdicts, &c->verdict, slice_str(c->verdict.info->server_name));
	spans_conn(p->spans, c->verdict.info);
}

static int dispatch(struct pipeline *p, const struct ev_head *rec, bool poison)
{
	switch (rec->type) {
	case EV_DATA:
		return on_data(p, rec, poison);
	case EV_EXEC:
		return poison ? 0 : on_exec(p, rec);
	case EV_FORK:
		if (!RECORD(rec, struct ev_fork))
			return -EBADMSG;
		spans_fork(p->spans, RECORD(rec, struct ev_fork));
		return 0;
	case EV_EXIT:
		if (!RECORD(rec, struct ev_exit))
			return -EBADMSG;
		spans_exit(p->spans, RECORD(rec, struct ev_exit));
		streams_exit(p->streams, &RECORD(rec, struct ev_exit)->proc, rec->ts);
		return 0;
	case EV_CONN_CLOSE:
	case EV_TOTALS:
		if (!RECORD(rec, struct ev_conn))
			return -EBADMSG;
		on_totals(p, RECORD(rec, struct ev_conn));
		return 0;
	case EV_PEER:
		if (!RECORD(rec, struct ev_peer))
			return -EBADMSG;
		on_peer(p, RECORD(rec, struct ev_peer));
		return 0;
	case EV_NAME:
		if (!RECORD(rec, struct ev_name))
			return -EBADMSG;
		on_name(p, RECORD(rec, struct ev_name));
		return 0;
	case EV_CLOCK:
		if (!RECORD(rec, struct ev_clock))
			return -EBADMSG;
		clock_map_add(&p->clock, rec->ts, RECORD(rec, struct ev_clock)->realtime_offset);
		return 0;
	case EV_MARK:
		if (!RECORD(rec, struct ev_mark))
			return -EBADMSG;
		if (RECORD(rec, struct ev_mark)->what == EV_MARK_LIFE_LOST)
			spans_life_lost(p->spans, RECORD(rec, struct ev_mark)->a);
		else if (RECORD(rec, struct ev_mark)->what == EV_MARK_PRESSURE)
			press(p, RECORD(rec, struct ev_mark)->a);
		return 0;
	default:
		return -EBADMSG;
	}
}

int pipeline_record(struct pipeline *p, const struct ev_head *rec, bool poison)
{
	p->records++;
	p->poisoned += poison;

	int err = rec->size < sizeof(*rec) ? -EBADMSG : dispatch(p, rec, poison);
	if (err) {
		p->bad_records++;
		return err;
	}
	if (rec->ts > p->ticked + TICK_NS)
		pipeline_tick(p, rec->ts);
	return 0;
}

void pipeline_tick(struct pipeline *p, uint64_t now)
{
	p->ticked = now;
	streams_expire(p->streams, now);
	spans_tick(p->spans, now);
}

void pipeline_finish(struct pipeline *p, uint64_t ts)
{
	streams_finish(p->streams, ts);
	spans_finish(p->spans, ts);
	if (p->sampler)
		sampler_finish(p->sampler);
}

struct pipeline_stats pipeline_stats(const struct pipeline *p)
{
	return (struct pipeline_stats){
	    .stream = *streams_stats(p->streams),
	    .llm = *llm_stats(p->llm),
	    .records = p->records,
	    .bad_records = p->bad_records,
	    .poisoned = p->poisoned,
	    .pressed = spans_stats(p->spans)->pressed,
	    .sample = p->sampler ? *sampler_stats(p->sampler) : (struct sample_stats){0},
	    .unknown = p->unknown,
	};
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	streams_free(p->streams);
	llm_free(p->llm);
	spans_free(p->spans);
	sampler_free(p->sampler);
	verdicts_free(p->verdicts);
	free(p);
}
