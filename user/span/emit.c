/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "span/assembler.h"

static double seconds(uint64_t from, uint64_t to)
{
	return to >= from ? (double)(to - from) / 1e9 : -((double)(from - to) / 1e9);
}

static struct span span_begin(struct spans *sp, enum span_kind kind, struct span_id id, struct trace_id trace,
                              struct span_id parent)
{
	struct span s = {.kind = kind};

	memcpy(s.id, id.b, sizeof(s.id));
	memcpy(s.trace, trace.b, sizeof(s.trace));
	memcpy(s.parent, parent.b, sizeof(s.parent));
	sp->content.masks = 0;
	return s;
}

static void span_end(struct spans *sp, struct span *s, uint64_t start, uint64_t end)
{
	s->start = start;
	s->end = end > start ? end : start;
	s->start_wall = sp->conf.clock ? clock_map_wall(sp->conf.clock, start) : 0;
	if (sp->content.masks)
		span_set_int(s, ATTR_REDACTED, (int64_t)sp->content.masks);
	sp->stats.spans++;
	sp->ev->span(sp->ctx, s);
	span_release(s);
}

/* Text from traffic that is no content. */
static void set_label(struct spans *sp, struct span *s, enum attr_key key, struct slice text)
{
	if (text.p)
		span_set_str(s, key, content_label(&sp->content, &s->arena, text));
}

static void set_name(struct spans *sp, struct span *s, const char *what, struct slice of)
{
	struct buf b = {0};

	buf_adds(&b, what);
	if (of.n) {
		buf_addc(&b, ' ');
		buf_addslice(&b, of);
	}
	s->name = content_label(&sp->content, &s->arena, buf_slice(&b));
	buf_release(&b);
}

static void set_hex(struct span *s, enum attr_key key, struct span_id id)
{
	char hex[17];

	for (size_t i = 0; i < sizeof(id.b); i++)
		snprintf(hex + 2 * i, 3, "%02x", id.b[i]);
	span_set_str(s, key, slice_of(hex, 16));
}

static void set_count(struct span *s, enum attr_key key, int64_t v)
{
	if (v != LLM_NONE)
		span_set_int(s, key, v);
}

static void set_usage(struct span *s, const struct llm_usage *u)
{
	set_count(s, ATTR_USAGE_INPUT_TOKENS, u->input);
	set_count(s, ATTR_USAGE_OUTPUT_TOKENS, u->output);
	set_count(s, ATTR_USAGE_CACHE_READ, u->cache_read);
	set_count(s, ATTR_USAGE_CACHE_CREATION, u->cache_creation);
	set_count(s, ATTR_USAGE_REASONING, u->reasoning);
}

static void add_count(int64_t *sum, int64_t v)
{
	if (v == LLM_NONE)
		return;
	if (__builtin_add_overflow(*sum == LLM_NONE ? 0 : *sum, v, sum))
		*sum = INT64_MAX;
}

void usage_add(struct llm_usage *sum, const struct llm_usage *u)
{
	add_count(&sum->input, u->input);
	add_count(&sum->output, u->output);
	add_count(&sum->cache_read, u->cache_read);
	add_count(&sum->cache_creation, u->cache_creation);
	add_count(&sum->reasoning, u->reasoning);
}

static void set_reason(struct span *s, const char *reason)
{
	span_set_bool(s, ATTR_COMPLETE, reason == NULL);
	span_set_str(s, ATTR_INCOMPLETE_REASON, slice_str(reason));
}

static void set_why(struct span *s, struct link_reason why)
{
	if (!why.evidence)
		return;
	span_set_str(s, ATTR_LINK_EVIDENCE, slice_str(why.evidence));
	span_set_double(s, ATTR_LINK_CONFIDENCE, why.confidence);
}

static void set_conversation(struct spans *sp, struct span *s, const struct conversation *c)
{
	set_hex(s, ATTR_CONVERSATION_ID, c->id);
	set_label(sp, s, ATTR_SESSION_ID, c->session_key);
	set_label(sp, s, ATTR_AGENT_NAME, c->agent_name);
}

static void set_strs(struct spans *sp, struct span *s, enum attr_key key, const struct slice *v, size_t n)
{
	struct arena a = {0};
	struct slice *clean = arena_alloc(&a, (n + 1) * sizeof(*clean));

	for (size_t i = 0; i < n; i++)
		clean[i] = content_label(&sp->content, &a, v[i]);
	if (n)
		span_set_strs(s, key, clean, n);
	arena_release(&a);
}

static void set_request(struct spans *sp, struct span *s, const struct llm_call *call)
{
	set_label(sp, s, ATTR_REQUEST_MODEL, call->request_model);
	if (call->stream)
		span_set_bool(s, ATTR_REQUEST_STREAM, true);
	set_count(s, ATTR_REQUEST_MAX_TOKENS, call->max_tokens);
	if (call->choice_count != 1)
		set_count(s, ATTR_REQUEST_CHOICE_COUNT, call->choice_count);
	set_count(s, ATTR_REQUEST_SEED, call->seed);
	span_set_double(s, ATTR_REQUEST_TEMPERATURE, call->temperature);
	span_set_double(s, ATTR_REQUEST_TOP_P, call->top_p);
	span_set_double(s, ATTR_REQUEST_TOP_K, call->top_k);
	span_set_double(s, ATTR_REQUEST_FREQUENCY_PENALTY, call->frequency_penalty);
	span_set_double(s, ATTR_REQUEST_PRESENCE_PENALTY, call->presence_penalty);
	set_strs(sp, s, ATTR_REQUEST_STOP_SEQUENCES, call->stop_sequences, call->n_stop_sequences);
	set_label(sp, s, ATTR_OUTPUT_TYPE, call->output_type);
	set_label(sp, s, ATTR_OPENAI_REQUEST_SERVICE_TIER, call->request_service_tier);
	set_label(sp, s, ATTR_SERVER_ADDRESS, call->server_address);
	set_count(s, ATTR_SERVER_PORT, call->server_port);
	set_label(sp, s, ATTR_USER_AGENT, call->user_agent);
}

static const char *openai_api_type(const char *api)
{
	if (!api || strncmp(api, "openai.", 7) != 0)
		return NULL;
	if (strcmp(api + 7, "chat") == 0)
		return "chat_completions";
	return strcmp(api + 7, "responses") == 0 ? "responses" : NULL;
}

static void set_response(struct spans *sp, struct span *s, const struct llm_call *call)
{
	set_label(sp, s, ATTR_RESPONSE_ID, call->response_id);
	set_label(sp, s, ATTR_RESPONSE_MODEL, call->response_model);
	set_strs(sp, s, ATTR_RESPONSE_FINISH_REASONS, call->finish_reasons, call->n_finish_reasons);
	set_label(sp, s, ATTR_OPENAI_RESPONSE_SERVICE_TIER, call->service_tier);
	set_label(sp, s, ATTR_OPENAI_SYSTEM_FINGERPRINT, call->system_fingerprint);
	set_label(sp, s, ATTR_CALL_REQUEST_ID, call->request_id);
	set_usage(s, &call->usage);
	if (call->status)
		span_set_int(s, ATTR_HTTP_STATUS, call->status);
}

static void set_content(struct spans *sp, struct span *s, const struct llm_call *call, bool failed)
{
	struct content *c = &sp->content;

	span_set_str(s, ATTR_SYSTEM_INSTRUCTIONS, content_system(c, &s->arena, &call->system));
	span_set_str(s, ATTR_INPUT_MESSAGES, content_messages(c, &s->arena, &call->input, false, false));
	span_set_str(s, ATTR_OUTPUT_MESSAGES, content_messages(c, &s->arena, &call->output, true, failed));
	span_set_str(s, ATTR_TOOL_DEFINITIONS, content_tools(c, &s->arena, call->tools, call->n_tools));
}

static void set_transport(struct spans *sp, struct span *s, const struct llm_call *call)
{
	static const char *const libs[] = {[EV_LIB_OPENSSL] = "openssl", [EV_LIB_BORINGSSL] = "boringssl"};

	span_set_str(s, ATTR_CALL_API, slice_str(call->api));
	span_set_int(s, ATTR_CALL_REQUEST_BYTES, (int64_t)call->request_bytes);
	if (call->response_start)
		span_set_int(s, ATTR_CALL_RESPONSE_BYTES, (int64_t)call->response_bytes);
	set_label(sp, s, ATTR_CALL_REQUEST_SHA256, call->request_sha256);
	if (call->n_chunks)
		span_set_int(s, ATTR_CALL_CHUNKS, (int64_t)call->n_chunks);
	if (call->request_start && call->request_end)
		span_set_double(s, ATTR_CALL_SEND_TIME, seconds(call->request_start, call->request_end));
	if (call->request_start && call->response_head)
		span_set_double(s, ATTR_CALL_HEADERS_TIME, seconds(call->request_start, call->response_head));
	if (call->stream && call->first_token && call->request_start)
		span_set_double(s, ATTR_TIME_TO_FIRST_CHUNK, seconds(call->request_start, call->first_token));
	if ((unsigned)call->conn.lib < sizeof(libs) / sizeof(libs[0]))
		span_set_str(s, ATTR_TLS_LIBRARY, slice_str(libs[call->conn.lib]));
	if (call->conn.late)
		span_set_bool(s, ATTR_TLS_LATE, true);
}

static void set_error(struct spans *sp, struct span *s, struct slice type, struct slice message)
{
	s->status = SPAN_ERROR;
	set_label(sp, s, ATTR_ERROR_TYPE, type);
	s->status_message = content_error(&sp->content, &s->arena, message);
}

/* error.type of a call that failed without saying why. */
static struct slice status_type(struct arena *a, const struct llm_call *call)
{
	char text[8];

	if (call->error_type.p || call->status < 400)
		return call->error_type.p ? call->error_type : SLICE("_OTHER");
	snprintf(text, sizeof(text), "%u", call->status);
	return arena_dup(a, slice_str(text));
}

void emit_chat(struct spans *sp, const struct flight *f)
{
	const struct llm_call *call = f->call;
	struct span s = span_begin(sp, SPAN_CHAT, f->chat, f->conversation->trace, f->turn->id);
	bool failed = call->error_type.p || call->error_message.p || call->status >= 400;

	set_name(sp, &s, call->operation ? call->operation : "chat", call->request_model);
	span_set_str(&s, ATTR_OPERATION_NAME, slice_str(call->operation));
	span_set_str(&s, ATTR_PROVIDER_NAME, slice_str(call->provider));
	set_conversation(sp, &s, f->conversation);
	set_request(sp, &s, call);
	set_response(sp, &s, call);
	set_transport(sp, &s, call);
	span_set_str(&s, ATTR_OPENAI_API_TYPE, slice_str(openai_api_type(call->api)));
	set_content(sp, &s, call, failed);
	span_set_str(&s, ATTR_CALL_KIND, slice_str(f->kind));
	set_why(&s, f->why);
	set_reason(&s, call->state == LLM_COMPLETE ? NULL
	               : call->why_incomplete      ? call->why_incomplete
	                                           : "incomplete");
	/* What is missing behind the end of a complete call is none of it. */
	if (call->lost_bytes && call->state != LLM_COMPLETE)
		span_set_int(&s, ATTR_LOST_BYTES, (int64_t)call->lost_bytes);
	if (failed)
		set_error(sp, &s, status_type(&s.arena, call), call->error_message);

	uint64_t start = call->request_start ? call->request_start : call->response_start;
	span_end(sp, &s, start ? start : call->end, call->end);
}

/* Lost process records may hold what is missing here. */
static const char *lost_reason(const struct spans *sp, uint64_t seen)
{
	return sp->life_lost > seen ? "process records were lost" : NULL;
}

/* What was lost since the turn began may have been a call of it, or the beginning of the next one. */
static bool traffic_lost(const struct turn *t)
{
	const struct process *p = t->conversation->process;

	return p && p->traffic_lost && p->traffic_lost >= t->start;
}

static const char *turn_reason(const struct spans *sp, const struct turn *t)
{
	if (t->late)
		return "its beginning was not seen";
	if (t->damaged)
		return t->damaged;
	return traffic_lost(t) ? "traffic of its process was lost" : lost_reason(sp, t->lost_seen);
}

void emit_tool(struct spans *sp, struct tool *t, const struct llm_part *result, uint64_t now)
{
	const struct conversation *c = t->turn->conversation;
	struct span s = span_begin(sp, SPAN_TOOL, t->id, c->trace, t->turn->id);
	const char *reason = t->damaged ? t->damaged : lost_reason(sp, t->lost_seen);

	sp->content.masks = t->masks;
	set_name(sp, &s, "execute_tool", t->label);
	span_set_str(&s, ATTR_OPERATION_NAME, SLICE("execute_tool"));
	set_conversation(sp, &s, c);
	span_set_str(&s, ATTR_TOOL_NAME, t->label);
	span_set_str(&s, ATTR_TOOL_TYPE, SLICE("function"));
	span_set_str(&s, ATTR_TOOL_CALL_ID, t->shown_id);
	span_set_str(&s, ATTR_TOOL_CALL_ARGUMENTS, t->arguments);
	if (result) {
		span_set_str(&s, ATTR_TOOL_CALL_RESULT, content_result(&sp->content, &s.arena, result->text));
		if (result->is_error)
			set_error(sp, &s, SLICE("tool_error"), (struct slice){NULL, 0});
	} else {
		reason = "never answered";
	}
	set_reason(&s, reason);

	uint64_t last = t->ended > t->asked ? t->ended : now;
	uint64_t end = t->answered ? t->answered : last;
	if (!t->turn->late && !traffic_lost(t->turn))
		span_set_double(&s, ATTR_TOOL_ASKED, seconds(t->turn->start, t->asked));
	if (t->started)
		span_set_double(&s, ATTR_TOOL_STARTED, seconds(t->asked, t->started));
	if (t->ended && !t->running)
		span_set_double(&s, ATTR_TOOL_ENDED, seconds(t->asked, t->ended));
	else if (t->answered)
		span_set_double(&s, ATTR_TOOL_ENDED, seconds(t->asked, t->answered));
	if (t->answered)
		span_set_double(&s, ATTR_TOOL_ANSWERED, seconds(t->asked, t->answered));

	uint64_t start = t->started && t->started < t->asked ? t->started : t->asked;
	intervals_add(&t->turn->tool_time, t->started ? t->started : t->asked,
	              t->ended && !t->running ? t->ended : end);
	if (end > t->turn->end)
		t->turn->end = end;
	span_end(sp, &s, start, end);
}

void emit_turn(struct spans *sp, struct turn *t)
{
	const struct conversation *c = t->conversation;
	struct span s = span_begin(sp, SPAN_TURN, t->id, c->trace, c->root);

	set_name(sp, &s, "invoke_agent", c->agent_name);
	span_set_str(&s, ATTR_OPERATION_NAME, SLICE("invoke_agent"));
	set_label(sp, &s, ATTR_PROVIDER_NAME, t->provider);
	set_label(sp, &s, ATTR_REQUEST_MODEL, t->model);
	set_conversation(sp, &s, c);
	set_usage(&s, &t->usage);
	span_set_int(&s, ATTR_TURN_INDEX, (int64_t)t->index);
	if (t->model_time.n)
		span_set_double(&s, ATTR_TURN_MODEL_TIME, (double)intervals_union(&t->model_time) / 1e9);
	if (t->tool_time.n)
		span_set_double(&s, ATTR_TURN_TOOL_TIME, (double)intervals_union(&t->tool_time) / 1e9);
	if (c->process) {
		span_set_int(&s, ATTR_PROCESS_PID,
		             c->process->id.pid ? c->process->id.pid : c->process->id.tgid);
		if (c->process->exe[0])
			set_label(sp, &s, ATTR_PROCESS_EXECUTABLE_NAME, slice_str(c->process->exe));
		if (c->process->container[0])
			span_set_str(&s, ATTR_CONTAINER_ID, slice_str(c->process->container));
	}
	if (c->nested)
		set_why(&s, c->nested_why);
	if (t->failed)
		set_error(sp, &s, t->error_type.p ? t->error_type : SLICE("_OTHER"), t->error_message);
	set_reason(&s, turn_reason(sp, t));
	span_end(sp, &s, t->start, t->end);
}

void emit_conversation(struct spans *sp, struct conversation *c)
{
	struct span s = span_begin(sp, SPAN_CONVERSATION, c->root, c->trace, (struct span_id){{0}});

	set_name(sp, &s, "conversation", (struct slice){NULL, 0});
	set_conversation(sp, &s, c);
	set_usage(&s, &c->usage);
	span_end(sp, &s, c->start, c->end);
}

static void set_creation_time(struct spans *sp, struct span *s, uint64_t boot)
{
	uint64_t wall = sp->conf.clock ? clock_map_wall(sp->conf.clock, boot) : 0;
	time_t t = (time_t)(wall / 1000000000);
	struct tm tm;
	char day[32], text[48];

	if (!wall || !gmtime_r(&t, &tm))
		return;
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03uZ", day, (unsigned)(wall / 1000000 % 1000));
	span_set_str(s, ATTR_PROCESS_CREATION_TIME, slice_str(text));
}

static void set_status(struct span *s, const struct run *r)
{
	unsigned signal = r->status & 0x7f, code = (r->status >> 8) & 0xff;

	if (!r->has_status)
		return;
	if (r->cpu_ns) /* no process ran for no time at all, or in no memory */
		span_set_double(s, ATTR_PROCESS_CPU_TIME, (double)r->cpu_ns / 1e9);
	if (r->max_rss)
		span_set_int(s, ATTR_PROCESS_MAX_RSS, (int64_t)r->max_rss);
	if (signal)
		span_set_int(s, ATTR_PROCESS_EXIT_SIGNAL, signal);
	else
		span_set_int(s, ATTR_PROCESS_EXIT_CODE, code);
	if (signal || code)
		s->status = SPAN_ERROR;
}

static struct slice run_name(const struct run *r)
{
	struct slice path = r->n_argv ? r->argv[0] : slice_str(r->process->exe);
	const char *p = path.n ? memrchr(path.p, '/', path.n) : NULL;
	struct slice name = p ? slice_from(path, (size_t)(p + 1 - path.p)) : path;

	return name.n ? slice_of(name.p, name.n < 256 ? name.n : 256) : slice_str(r->process->exe);
}

void emit_run(struct spans *sp, struct run *r)
{
	struct span s = span_begin(sp, SPAN_PROCESS, r->id, r->trace, r->span_parent);
	struct slice *argv = arena_alloc(&s.arena, (r->n_argv + 1) * sizeof(*argv));
	const struct process *p = r->process;

	s.name = content_label(&sp->content, &s.arena, run_name(r));
	set_hex(&s, ATTR_CONVERSATION_ID, r->conversation);
	span_set_int(&s, ATTR_PROCESS_PID, p->id.pid ? p->id.pid : p->id.tgid);
	if (p->parent_pid)
		span_set_int(&s, ATTR_PROCESS_PARENT_PID, p->parent_pid);
	set_creation_time(sp, &s, p->id.start);
	span_set_str(&s, ATTR_PROCESS_EXECUTABLE_NAME, s.name);
	if (r->n_argv && content_argv(&sp->content, &s.arena, r->argv, r->n_argv, argv))
		span_set_strs(&s, ATTR_PROCESS_COMMAND_ARGS, argv, r->n_argv);
	span_set_str(&s, ATTR_PROCESS_WORKING_DIRECTORY, content_path(&sp->content, &s.arena, r->cwd));
	span_set_int(&s, ATTR_PROCESS_USER, r->uid);
	span_set_int(&s, ATTR_PROCESS_GROUP, r->gid);
	set_label(sp, &s, ATTR_PROCESS_CGROUP, r->cgroup);
	span_set_str(&s, ATTR_CONTAINER_ID, r->container);
	set_status(&s, r);
	set_why(&s, r->why);
	if (r->lost_exit)
		set_reason(&s,
		           sp->finished ? "still running when the capture ended" : "the exit was not seen");
	else
		set_reason(&s, lost_reason(sp, r->lost_seen));
	span_end(sp, &s, r->start, r->end);
}
