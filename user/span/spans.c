/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/join.h"
#include "span/relay.h"
#include "span/side.h"

#define SERVED_NS 300000ull /* that a call at a server waits for the client's, if both are seen */

struct spans *spans_new(const struct span_conf *conf, const struct span_events *ev, void *ctx)
{
	struct spans *sp = xcalloc(1, sizeof(*sp));

	sp->conf = *conf;
	sp->ev = ev;
	sp->ctx = ctx;
	content_init(&sp->content, conf->content, conf->redact);
	processes_init(&sp->processes);
	heads_init(&sp->heads, conf->link_key);
	TAILQ_INIT(&sp->lru);
	TAILQ_INIT(&sp->sides);
	TAILQ_INIT(&sp->join_list);
	TAILQ_INIT(&sp->held);
	TAILQ_INIT(&sp->orphans);
	TAILQ_INIT(&sp->early);
	TAILQ_INIT(&sp->gone);
	TAILQ_INIT(&sp->running);
	LIST_INIT(&sp->flights);
	return sp;
}

void spans_join_traces(struct spans *sp)
{
	sp->conf.join_traces = true;
}

void spans_press(struct spans *sp, bool on)
{
	sp->pressed = on;
	sp->content.level = on ? CONTENT_NONE : sp->conf.content;
}

/* ---- calls ---- */

static struct turn *turn_for(struct spans *sp, struct conversation *c, struct flight *f, bool again,
                             bool answered)
{
	struct turn *t = c->turn;
	uint64_t ts = flight_start(f);

	if (t && t->flights && f->chain.n && link_eq(t->asked, f->chain.v[f->chain.n - 1]))
		again = true;
	if (t && !again && f->chain.new_prompt && !(t->asks_tools && answered)) {
		turn_leave(sp, t, ts);
		t = NULL;
	}
	if (!t) {
		t = turn_new(sp, c, f);
		c->turn = t;
	}
	return t;
}

static void leave_head(struct spans *sp, struct link at, const struct owner *o)
{
	heads_add(&sp->heads, at, o);
	heads_give(sp, at, o);
}

static void note_name(struct spans *sp, const struct flight *f, const char *kind, struct slice name)
{
	struct link l = name_link(&sp->heads, kind, name);
	struct owner o = owner_of(f->conversation, f->chat);

	if (!link_none(l))
		leave_head(sp, l, &o);
}

/* What a main call shows of the conversation's agent. */
static void note_agent(struct spans *sp, struct flight *f, struct conversation *c)
{
	struct process *before = c->process;

	c->process = process_ref(f->process);
	process_unref(before);
	f->process->conversation = c->serial;
	mcp_adopt(sp, f->process);
	c->past->process = f->process->id;
	c->parts = f->chain.n > c->parts ? f->chain.n : c->parts;
	if (!link_none(f->system))
		c->system = f->system;
}

static void join(struct spans *sp, struct flight *f, struct conversation *c, const struct found *why)
{
	uint64_t ts = flight_start(f);

	f->conversation = c;
	f->aside = (is_aside(f->call) && why->any) || why->aside;
	f->kind = f->aside || is_preparation(f->call) ? "auxiliary" : why->retry ? "retry" : "main";
	f->why = why->any || why->aside ? why->why : (struct link_reason){"new", 1.0};
	f->continues = why->any ? why->owner.chat : (struct span_id){{0}};
	LIST_INSERT_HEAD(&c->flights, f, in_conversation);
	TAILQ_REMOVE(&sp->lru, c, lru);
	TAILQ_INSERT_TAIL(&sp->lru, c, lru);

	bool answered = answer_tools(sp, c, f);
	c->offers_tools = c->offers_tools || f->call->n_tools > 0;
	if (c->process && c->process != f->process)
		runs_place(sp, c->process, ts);
	if (!f->aside)
		sides_join(sp, f, true);
	f->turn = turn_for(sp, c, f, why->again || why->aside, answered);
	f->turn->flights++;
	if (!why->aside || !c->process)
		note_agent(sp, f, c);
	if (!f->aside)
		sides_join(sp, f, false);
	note_name(sp, f, "conversation", f->call->conversation_id);
	c->last = ts > c->last ? ts : c->last;
	c->past->last = c->last;
}

/* The conversation that the provider keeps may just have been made; only who remembers more can tell. */
static bool continues_something(const struct spans *sp, const struct flight *f)
{
	return f->chain.answered || f->chain.n_ids || f->call->previous_response_id.n ||
	       (f->call->conversation_id.n && sp->ev->want);
}

static void locate(struct spans *sp, struct flight *f, bool ended)
{
	sides_before(sp, f);
	struct found r = find_conversation(sp, f, ended);
	struct conversation *c = r.any ? open_conversation(sp, r.owner.past->serial) : NULL;

	if (!r.any && (continues_something(sp, f) || f->side) && !ended) {
		if (!f->side)
			heads_want(sp, f);
		return;
	}
	if (!c)
		c = conversation_new(sp, f, r.any ? &r.owner : NULL);
	join(sp, f, c, &r);
	keep_limits(sp, sp->now);
}

static struct flight *flight_new(struct spans *sp, struct llm_call *call)
{
	struct flight *f = xcalloc(1, sizeof(*f));

	f->call = call;
	call->user = f;
	f->chat = id_chat(sp->conf.instance, call);
	LIST_INIT(&f->relays);
	LIST_INSERT_HEAD(&sp->flights, f, in_all);
	return f;
}

static void take_begin(struct spans *sp, struct flight *f)
{
	struct llm_call *call = f->call;

	f->process = process_ref(enter_process(sp, &call->conn.id.proc, call->request_start));
	if (!is_aside(call))
		chain_extend(&f->chain, &sp->heads.key, &f->arena, call->input.v, call->input.n);
	f->system = system_link(&sp->heads, &call->system, &call->input);
	if (relay_begin(sp, f))
		return;
	f->side = side_may_be(f);
	locate(sp, f, false);
	if (!call->is_server && !f->process->is_agent) {
		f->process->is_agent = true;
		runs_adopt(sp, f->process);
	}
}

static void flight_free(struct flight *f)
{
	if (f->conversation)
		LIST_REMOVE(f, in_conversation);
	LIST_REMOVE(f, in_all);
	process_unref(f->process);
	arena_release(&f->arena);
	free(f);
}

static void note_tool_calls(struct spans *sp, const struct flight *f)
{
	const struct llm_messages *out = &f->call->output;

	for (size_t i = 0; i < out->n; i++)
		for (size_t k = 0; k < out->v[i].n_parts; k++) {
			const struct llm_part *p = &out->v[i].parts[k];

			if (p->kind == LLM_TOOL_CALL && id_tells(p->id))
				note_name(sp, f, "tool_call", p->id);
		}
}

static void leave_heads(struct spans *sp, struct flight *f)
{
	struct conversation *c = f->conversation;
	struct owner o = owner_of(c, f->chat);
	const struct llm_call *call = f->call;

	note_name(sp, f, "response", call->response_id);
	note_name(sp, f, "conversation", call->response_conversation);
	note_tool_calls(sp, f);
	c->last_chat = f->chat;
	if (f->chain.n == 0)
		return;
	o.asked = true;
	leave_head(sp, f->chain.v[f->chain.n - 1], &o);
	o.asked = false;
	c->tip = f->chain.v[f->chain.n - 1];
	for (size_t i = 0; i < call->output.n; i++) {
		struct chain with = f->chain;

		chain_extend(&with, &sp->heads.key, &f->arena, &call->output.v[i], 1);
		if (with.n > f->chain.n) {
			leave_head(sp, with.v[with.n - 1], &o);
			c->tip = with.v[with.n - 1];
		}
	}
}

/* In place of the shortest that is kept. */
static void said_line(struct conversation *c, struct slice line)
{
	size_t shortest = 0;

	for (size_t i = 1; i < SAID_LINES; i++)
		if (c->said[i].n < c->said[shortest].n)
			shortest = i;
	if (line.n < SAID_LINE_MIN || line.n <= c->said[shortest].n)
		return;
	memcpy(c->said[shortest].text, line.p, line.n);
	c->said[shortest].n = line.n;
}

/* The longest lines of the answer. */
static void conversation_said(struct conversation *c, const struct llm_call *call)
{
	for (size_t i = 0; i < SAID_LINES; i++)
		c->said[i].n = 0;
	for (size_t i = 0; call->output.n && i < call->output.v[0].n_parts; i++) {
		struct slice text = call->output.v[0].parts[i].text, line;

		while (call->output.v[0].parts[i].kind == LLM_TEXT && slice_cut(&text, '\n', &line)) {
			line = slice_trim(line);
			line.n = line.n < SAID_LINE_MAX ? line.n : SAID_LINE_MAX;
			said_line(c, line);
		}
	}
}

static void note_outcome(struct flight *f)
{
	const struct llm_call *call = f->call;
	struct conversation *c = f->conversation;
	struct turn *t = f->turn;

	if (call->state != LLM_COMPLETE)
		t->damaged = "a call of it is incomplete";
	if (f->aside)
		return;
	conversation_said(c, call);
	t->failed = call->error_type.p || call->error_message.p || call->status >= 400;
	t->error_type = t->failed ? arena_dup(&t->arena, call->error_type) : (struct slice){NULL, 0};
	t->error_message = t->failed ? arena_dup(&t->arena, call->error_message) : (struct slice){NULL, 0};
	c->only_prepared = is_preparation(call);
	c->has_failed = f->chain.n && (t->failed || call->state != LLM_COMPLETE || c->only_prepared);
	if (c->has_failed) {
		c->failed_tip = f->chain.v[f->chain.n - 1];
		c->failed_continues = f->continues;
		c->failed_at = call->end;
	}
	if (!t->provider.p)
		t->provider = arena_dup(&t->arena, slice_str(call->provider));
	if (!t->model.p)
		t->model = arena_dup(&t->arena, call->request_model);
}

static void flight_done(struct spans *sp, struct flight *f)
{
	struct llm_call *call = f->call;
	struct turn *t = f->turn;

	flight_free(f);
	call->user = NULL;
	llm_call_free(call);
	t->flights--;
	if (t->closing && t->flights == 0)
		turn_close(sp, t, sp->now);
}

void call_finish(struct spans *sp, struct flight *f)
{
	struct llm_call *call = f->call;
	struct conversation *c = f->conversation;
	struct turn *t = f->turn;

	if (!f->relay)
		join_call(sp, t, call);
	emit_chat(sp, f);
	relays_leave(sp, f);
	if (f->relay) {
		flight_done(sp, f);
		return;
	}
	usage_add(&t->usage, &call->usage);
	usage_add(&c->usage, &call->usage);
	intervals_add(&t->spent[SPENT_MODEL], flight_start(f), call->end);
	/* A guard comes before what it guards; a check of the account may come long before. */
	if (f->aside && flight_start(f) < t->start && call->end + SIDE_WAIT >= t->start)
		t->start = flight_start(f);
	if (call->end > t->end)
		t->end = call->end;
	if (call->end > c->last)
		c->last = c->past->last = call->end;
	note_outcome(f);
	if (!f->aside)
		leave_heads(sp, f);
	bool asks = ask_tools(sp, f);
	if (asks || (!t->failed && !f->aside && !is_preparation(call)))
		t->asks_tools = asks;
	LIST_REMOVE(f, in_conversation);
	f->conversation = NULL;
	if (asks)
		answer_from_flights(sp, c);
	flight_done(sp, f);
}

void call_settle(struct spans *sp, struct flight *f, struct conversation *c, const struct found *why)
{
	join(sp, f, c ? c : conversation_new(sp, f, NULL), why);
	call_finish(sp, f);
}

static void take_end(struct spans *sp, struct llm_call *call)
{
	struct flight *f = call->user;

	if (f->relay && relay_end(f))
		return;
	if (!f->conversation && f->side && side_may_stay(f)) {
		f->ended = true;
		side_park(sp, f);
		return;
	}
	if (!f->conversation && !f->relay)
		locate(sp, f, true);
	call_finish(sp, f);
	keep_limits(sp, sp->now);
}

/* ---- processes ---- */

/* Our own records, so that a loss waits for its turn like all that happens. */
struct traffic_loss {
	struct ev_head head;
	struct ev_proc proc;
};

struct left_alone {
	struct ev_head head;
	struct ev_proc proc;
	uint64_t bytes;
};

struct life_loss {
	struct ev_head head;
	uint64_t total;
};

static void lose_process(struct spans *sp, struct process *p, uint64_t ts)
{
	if (p->run)
		run_end(sp, p->run, ts, NULL, true);
	process_end(&sp->processes, p);
}

struct process *enter_process(struct spans *sp, const struct ev_proc *id, uint64_t ts)
{
	struct process *stale = process_stale(&sp->processes, id);
	struct process *p = process_find(&sp->processes, id);

	if (!p && stale)
		lose_process(sp, stale, ts);
	if (!p && (stale = process_surplus(&sp->processes)))
		lose_process(sp, stale, ts);
	return process_get(&sp->processes, id);
}

static void take_fork(struct spans *sp, const struct ev_fork *rec)
{
	struct process *parent = process_ref(enter_process(sp, &rec->parent, rec->head.ts));
	struct process *child = enter_process(sp, &rec->child, rec->head.ts);

	process_fork(parent, child);
	process_unref(parent);
}

static void take_exec(struct spans *sp, const struct ev_exec *rec)
{
	struct process *p = enter_process(sp, &rec->proc, rec->head.ts), *agent = process_agent(p->parent);
	struct run *before = p->run;

	if (rec->flags & EV_EXEC_FOUND) {
		process_found(p, rec);
		return;
	}
	p->n_execs++;
	cgroup_container(rec, p->container);
	cgroup_pod(rec, p->pod);
	exec_name(rec, p->exe, sizeof(p->exe));
	if (before)
		run_end(sp, before, rec->head.ts, NULL, false);
	p->run = run_new(p, agent, rec, id_process(sp->conf.instance, &rec->proc, rec->head.ts));
	p->run->lost_seen = sp->life_lost;
	run_unref(before);
	runs_hold(sp, p->run);
}

static void take_loss(struct spans *sp, const struct traffic_loss *rec)
{
	struct process *p = enter_process(sp, &rec->proc, rec->head.ts);

	p->traffic_lost = rec->head.ts > p->traffic_lost ? rec->head.ts : p->traffic_lost;
}

static void take_left_alone(struct spans *sp, const struct left_alone *rec)
{
	http_left_alone(sp, &rec->proc, rec->bytes);
}

static void take_life_loss(struct spans *sp, const struct life_loss *rec)
{
	if (rec->total > sp->life_lost)
		sp->life_lost = rec->total;
}

static void take_exit(struct spans *sp, const struct ev_exit *rec)
{
	struct process *p = process_find(&sp->processes, &rec->proc);

	if (!p)
		return;
	if (p->run)
		run_end(sp, p->run, rec->head.ts, rec, false);
	http_gone(sp, p, rec->head.ts);
	process_end(&sp->processes, p);
}

/* ---- what comes in ---- */

static void take(struct spans *sp, const struct reorder_item *item)
{
	if (item->ts > sp->now)
		sp->now = item->ts;
	switch (item->what) {
	case HAPPENS_FORK:
		take_fork(sp, (const struct ev_fork *)(const void *)item->record);
		break;
	case HAPPENS_EXEC:
		take_exec(sp, (const struct ev_exec *)(const void *)item->record);
		break;
	case HAPPENS_EXIT:
		take_exit(sp, (const struct ev_exit *)(const void *)item->record);
		break;
	case HAPPENS_LOSS:
		take_loss(sp, (const struct traffic_loss *)(const void *)item->record);
		break;
	case HAPPENS_LIFE_LOSS:
		take_life_loss(sp, (const struct life_loss *)(const void *)item->record);
		break;
	case HAPPENS_MCP:
		mcp_take(sp, item->record);
		break;
	case HAPPENS_HTTP:
		http_take(sp, item->record);
		break;
	case HAPPENS_LEFT_ALONE:
		take_left_alone(sp, (const struct left_alone *)(const void *)item->record);
		break;
	case HAPPENS_BEGIN:
		take_begin(sp, item->call->user);
		break;
	case HAPPENS_END:
		take_end(sp, item->call);
		break;
	}
	free(item->record);
}

static void take_ready(struct spans *sp, bool all)
{
	struct reorder_item item;

	while (reorder_take(&sp->reorder, all, &item))
		take(sp, &item);
}

static void on_begin(void *ctx, struct llm_call *call)
{
	struct spans *sp = ctx;

	if (sp->finished)
		return;
	if (sp->conf.content < CONTENT_REDACTED)
		buf_release(&call->body); /* it is written at no lower level */
	struct flight *f = flight_new(sp, call);
	uint64_t ts = call->request_end ? call->request_end : call->request_start;
	/* Without TLS a write is dated when it returns: the server may have read the request before. */
	if (call->is_server && call->conn.lib == EV_LIB_SOCKET)
		ts += SERVED_NS;
	f->begun = reorder_call(&sp->reorder, HAPPENS_BEGIN, ts, call);
	take_ready(sp, false);
}

static void on_end(void *ctx, struct llm_call *call)
{
	struct spans *sp = ctx;

	if (sp->finished) {
		llm_call_free(call);
		return;
	}
	/* Never before its begin: a server may have answered before the request's last byte. */
	const struct flight *f = call->user;
	reorder_call(&sp->reorder, HAPPENS_END, call->end > f->begun ? call->end : f->begun, call);
	take_ready(sp, false);
}

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	struct spans *sp = ctx;

	if (sp->finished)
		return;
	mcp_keep(sp, m);
	take_ready(sp, false);
}

static void on_http(void *ctx, const struct http_request *r)
{
	struct spans *sp = ctx;

	if (sp->finished)
		return;
	http_keep(sp, r);
	take_ready(sp, false);
}

const struct llm_events spans_llm_events = {
    .begin = on_begin, .end = on_end, .mcp = on_mcp, .http = on_http};

void spans_fork(struct spans *sp, const struct ev_fork *rec)
{
	reorder_record(&sp->reorder, HAPPENS_FORK, &rec->head, sizeof(*rec));
	take_ready(sp, false);
}

void spans_exec(struct spans *sp, const struct ev_exec *rec)
{
	reorder_record(&sp->reorder, HAPPENS_EXEC, &rec->head,
	               sizeof(*rec) + rec->argv_len + rec->cwd_len + rec->cgroup_len);
	take_ready(sp, false);
}

void spans_exit(struct spans *sp, const struct ev_exit *rec)
{
	reorder_record(&sp->reorder, HAPPENS_EXIT, &rec->head, sizeof(*rec));
	take_ready(sp, false);
}

/* Peer and server name come through the life ring, a short call may be over by then. */
void spans_conn(struct spans *sp, const struct conn_info *info)
{
	unsigned looked_at = 0;
	struct flight *f;

	LIST_FOREACH(f, &sp->flights, in_all)
	{
		if (++looked_at > CONN_FLIGHTS_MAX)
			break;
		if (memcmp(&f->call->conn.id, &info->id, sizeof(info->id)) == 0)
			f->call->conn = *info;
	}
}

void spans_traffic_lost(struct spans *sp, const struct ev_proc *proc, uint64_t ts)
{
	struct traffic_loss rec = {.head = {.size = sizeof(rec), .ts = ts}, .proc = *proc};

	reorder_record(&sp->reorder, HAPPENS_LOSS, &rec.head, sizeof(rec));
	take_ready(sp, false);
}

void spans_left_alone(struct spans *sp, const struct ev_proc *proc, uint64_t bytes, uint64_t ts)
{
	struct left_alone rec = {.head = {.size = sizeof(rec), .ts = ts}, .proc = *proc, .bytes = bytes};

	reorder_record(&sp->reorder, HAPPENS_LEFT_ALONE, &rec.head, sizeof(rec));
	take_ready(sp, false);
}

void spans_life_lost(struct spans *sp, uint64_t total)
{
	struct life_loss rec = {.head = {.size = sizeof(rec), .ts = sp->reorder.newest}, .total = total};

	reorder_record(&sp->reorder, HAPPENS_LIFE_LOSS, &rec.head, sizeof(rec));
	take_ready(sp, false);
}

void spans_tick(struct spans *sp, uint64_t now)
{
	struct conversation *c;

	reorder_tick(&sp->reorder, now);
	take_ready(sp, false);
	sides_tick(sp, now, false);
	mcp_tick(sp, now, false);
	http_tick(sp, now, false);
	while ((c = TAILQ_FIRST(&sp->lru)) && LIST_EMPTY(&c->flights) && c->last + CONVERSATION_IDLE < now)
		conversation_close(sp, c, now);
}

void spans_finish(struct spans *sp, uint64_t now)
{
	struct conversation *c;
	struct flight *f;
	struct run *r;

	if (sp->finished)
		return;
	take_ready(sp, true);
	sides_tick(sp, now, true);
	relays_finish(sp);
	mcp_tick(sp, now, true);
	sp->finished = true;
	runs_place_all(sp);
	http_tick(sp, now, true);
	while ((r = TAILQ_FIRST(&sp->running)))
		run_end(sp, r, now, NULL, true);
	while ((c = TAILQ_FIRST(&sp->lru)))
		conversation_close(sp, c, now);
	while ((f = LIST_FIRST(&sp->flights))) {
		f->call->user = NULL;
		flight_free(f);
	}
}

const struct span_stats *spans_stats(struct spans *sp)
{
	sp->stats.open_conversations = sp->by_serial.n;
	sp->stats.open_tools = sp->n_tools;
	sp->stats.live_processes = sp->processes.n;
	return &sp->stats;
}

static void ignore_span(void *ctx, const struct span *s)
{
	(void)ctx;
	(void)s;
}

void spans_free(struct spans *sp)
{
	static const struct span_events nobody = {.span = ignore_span};

	if (!sp)
		return;
	sp->ev = &nobody;
	spans_finish(sp, sp->now);
	reorder_release(&sp->reorder);
	joins_release(sp);
	content_release(&sp->content);
	processes_release(&sp->processes);
	heads_release(&sp->heads);
	map_release(&sp->by_serial);
	map_release(&sp->tool_ids);
	free(sp);
}
