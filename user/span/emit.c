/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "span/emit.h"
#include "span/join.h"
#include "span/traceparent.h"

double emit_seconds(uint64_t from, uint64_t to)
{
	return to >= from ? (double)(to - from) / 1e9 : -((double)(from - to) / 1e9);
}

struct span emit_begin(struct spans *sp, enum span_kind kind, struct span_id id, struct trace_id trace,
                       struct span_id parent)
{
	struct span s = {.kind = kind};

	memcpy(s.id, id.b, sizeof(s.id));
	memcpy(s.trace, trace.b, sizeof(s.trace));
	memcpy(s.parent, parent.b, sizeof(s.parent));
	sp->content.masks = 0;
	return s;
}

static void note_pressure(struct spans *sp, struct span *s)
{
	bool has_content = s->kind != SPAN_CONVERSATION && s->kind != SPAN_TURN;

	if (!sp->pressed || !has_content || sp->conf.content == CONTENT_NONE)
		return;
	sp->stats.pressed++;
	span_set_bool(s, ATTR_CONTENT_DROPPED, true);
	if (!span_get(s, ATTR_INCOMPLETE_REASON))
		span_set_str(s, ATTR_INCOMPLETE_REASON, SLICE("content left out: spantap is above --max-cpu or --max-memory"));
}

void emit_end(struct spans *sp, struct span *s, uint64_t start, uint64_t end)
{
	s->start = start;
	s->end = end > start ? end : start;
	s->start_wall = sp->conf.clock ? clock_map_wall(sp->conf.clock, start) : 0;
	if (sp->content.masks)
		span_set_int(s, ATTR_REDACTED, (int64_t)sp->content.masks);
	note_pressure(sp, s);
	sp->stats.spans++;
	if (!join_span(sp, s))
		sp->ev->span(sp->ctx, s);
	span_release(s);
}

/* Text from traffic that is no content. */
void emit_set_label(struct spans *sp, struct span *s, enum attr_key key, struct slice text)
{
	if (text.p)
		span_own_str(s, key, content_label(&sp->content, &s->arena, text));
}

void emit_set_name(struct spans *sp, struct span *s, const char *what, struct slice of)
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

void emit_set_id(struct span *s, enum attr_key key, struct span_id id)
{
	char hex[17];

	for (size_t i = 0; i < sizeof(id.b); i++)
		snprintf(hex + 2 * i, 3, "%02x", id.b[i]);
	span_set_str(s, key, slice_of(hex, 16));
}

void emit_set_count(struct span *s, enum attr_key key, int64_t v)
{
	if (v != LLM_NONE)
		span_set_int(s, key, v);
}

void emit_set_usage(struct span *s, const struct llm_usage *u)
{
	emit_set_count(s, ATTR_USAGE_INPUT_TOKENS, u->input);
	emit_set_count(s, ATTR_USAGE_OUTPUT_TOKENS, u->output);
	emit_set_count(s, ATTR_USAGE_CACHE_READ, u->cache_read);
	emit_set_count(s, ATTR_USAGE_CACHE_CREATION, u->cache_creation);
	emit_set_count(s, ATTR_USAGE_REASONING, u->reasoning);
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

void emit_set_reason(struct span *s, const char *reason)
{
	span_set_bool(s, ATTR_COMPLETE, reason == NULL);
	span_set_str(s, ATTR_INCOMPLETE_REASON, slice_str(reason));
}

void emit_set_why(struct span *s, struct link_reason why)
{
	if (!why.evidence)
		return;
	span_set_str(s, ATTR_LINK_EVIDENCE, slice_str(why.evidence));
	span_set_double(s, ATTR_LINK_CONFIDENCE, why.confidence);
}

void emit_set_place(struct span *s, const struct process *p)
{
	if (p->container[0])
		span_set_str(s, ATTR_CONTAINER_ID, slice_str(p->container));
	if (p->pod[0])
		span_set_str(s, ATTR_K8S_POD_UID, slice_str(p->pod));
}

void emit_set_conversation(struct spans *sp, struct span *s, const struct conversation *c)
{
	emit_set_id(s, ATTR_CONVERSATION_ID, c->id);
	emit_set_label(sp, s, ATTR_SESSION_ID, c->session_key);
	emit_set_label(sp, s, ATTR_AGENT_NAME, c->agent_name);
	if (c->process)
		emit_set_place(s, c->process);
}

void emit_set_strs(struct spans *sp, struct span *s, enum attr_key key, const struct slice *v, size_t n)
{
	struct arena a = {0};
	struct slice *clean = arena_alloc(&a, (n + 1) * sizeof(*clean));

	for (size_t i = 0; i < n; i++)
		clean[i] = content_label(&sp->content, &a, v[i]);
	if (n)
		span_set_strs(s, key, clean, n);
	arena_release(&a);
}

struct slice emit_transport(const struct conn_info *conn)
{
	if (conn->lib == EV_LIB_STDIO)
		return SLICE("pipe");
	return conn->family == AF_UNIX ? SLICE("unix") : SLICE("tcp");
}

void emit_set_peer(struct spans *sp, struct span *s, const struct conn_info *conn,
                   struct slice server_address, int64_t server_port)
{
	struct slice asked = slice_str(conn->server_name);
	char address[INET6_ADDRSTRLEN];

	if (conn->family == AF_UNIX) {
		span_set_str(s, ATTR_SERVER_ADDRESS, content_path(&sp->content, &s->arena, asked));
		return;
	}
	emit_set_label(sp, s, ATTR_SERVER_ADDRESS, server_address.n || !asked.n ? server_address : asked);
	emit_set_count(s, ATTR_SERVER_PORT,
	               server_port == LLM_NONE && conn->family ? conn->port : server_port);
	if (asked.n && server_address.n && !slice_caseeq(asked, server_address))
		emit_set_label(sp, s, ATTR_TLS_SERVER_NAME, asked);
	if (!conn->family || !inet_ntop(conn->family, conn->address, address, sizeof(address)))
		return;
	span_set_str(s, ATTR_NETWORK_PEER_ADDRESS, slice_str(address));
	span_set_int(s, ATTR_NETWORK_PEER_PORT, conn->port);
}

void emit_set_protocol(struct span *s, struct slice protocol)
{
	const char *version = slice_eq(protocol, SLICE("h2"))         ? "2"
	                      : slice_eq(protocol, SLICE("http/1.1")) ? "1.1"
	                      : slice_eq(protocol, SLICE("http/1.0")) ? "1.0"
	                                                              : NULL;

	if (version)
		span_set_str(s, ATTR_NETWORK_PROTOCOL_NAME, SLICE("http"));
	span_set_str(s, ATTR_NETWORK_PROTOCOL_VERSION, slice_str(version));
}

void emit_set_library(struct span *s, const struct conn_info *conn)
{
	static const char *const libs[] = {
	    [EV_LIB_OPENSSL] = "openssl",  [EV_LIB_BORINGSSL] = "boringssl", [EV_LIB_GNUTLS] = "gnutls",
	    [EV_LIB_GO] = "go crypto/tls", [EV_LIB_NSS] = "nss",             [EV_LIB_MBEDTLS] = "mbedtls",
	    [EV_LIB_WOLFSSL] = "wolfssl",  [EV_LIB_S2N] = "s2n",             [EV_LIB_RUSTLS] = "rustls",
	};

	if ((unsigned)conn->lib < sizeof(libs) / sizeof(libs[0]))
		span_set_str(s, ATTR_TLS_LIBRARY, slice_str(libs[conn->lib]));
	if (conn->late)
		span_set_bool(s, ATTR_TLS_LATE, true);
}

void emit_set_traceparent(struct span *s, struct slice header)
{
	struct trace_id trace;
	struct span_id id;

	if (traceparent_read(header, &trace, &id))
		span_add_link(s, trace.b, id.b, SLICE("traceparent"), 1.0);
}

void emit_set_error(struct spans *sp, struct span *s, struct slice type, struct slice message)
{
	s->status = SPAN_ERROR;
	emit_set_label(sp, s, ATTR_ERROR_TYPE, type);
	s->status_message = content_error(&sp->content, &s->arena, message);
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

/* What is known of the tool's time; one that nothing was seen of is not known to run, nor to wait. */
static void spend(struct tool *t, uint64_t end)
{
	struct intervals *spent = t->turn->spent;

	if (!t->started) {
		intervals_add(&spent[SPENT_UNKNOWN], t->asked, t->answered ? t->answered : UINT64_MAX);
		return;
	}
	intervals_add(&spent[SPENT_WAITING], t->asked, t->started);
	intervals_add(&spent[SPENT_TOOL], t->started, t->ended && !t->running ? t->ended : end);
	t->turn->tools_seen = true;
}

static void set_spent(struct spans *sp, struct span *s, struct turn *t)
{
	struct time_split split = time_split(t->spent, t->start, t->end);

	if (t->spent[SPENT_MODEL].n)
		span_set_double(s, ATTR_TURN_MODEL_TIME, (double)split.ns[SPENT_MODEL] / 1e9);
	if (t->tools_seen) {
		span_set_double(s, ATTR_TURN_TOOL_TIME, (double)split.ns[SPENT_TOOL] / 1e9);
		span_set_double(s, ATTR_TURN_WAITING_TIME, (double)split.ns[SPENT_WAITING] / 1e9);
	}
	/* What was lost may have been a call. */
	if (!turn_reason(sp, t))
		span_set_double(s, ATTR_TURN_AGENT_TIME, (double)split.agent / 1e9);
}

void emit_tool(struct spans *sp, struct tool *t, const struct llm_part *result, uint64_t now)
{
	const struct conversation *c = t->turn->conversation;
	struct span s = emit_begin(sp, SPAN_TOOL, t->id, t->turn->trace, t->turn->id);
	const char *reason = t->damaged ? t->damaged : lost_reason(sp, t->lost_seen);

	sp->content.masks = t->masks;
	emit_set_name(sp, &s, "execute_tool", t->label);
	span_set_str(&s, ATTR_OPERATION_NAME, SLICE("execute_tool"));
	emit_set_conversation(sp, &s, c);
	span_set_str(&s, ATTR_TOOL_NAME, t->label);
	span_set_str(&s, ATTR_TOOL_DESCRIPTION, t->description);
	span_set_str(&s, ATTR_TOOL_TYPE, SLICE("function"));
	span_set_str(&s, ATTR_TOOL_CALL_ID, t->shown_id);
	span_set_str(&s, ATTR_TOOL_CALL_ARGUMENTS, t->arguments);
	if (result) {
		span_own_str(&s, ATTR_TOOL_CALL_RESULT, content_result(&sp->content, &s.arena, result->text));
		if (result->is_error)
			emit_set_error(sp, &s, SLICE("tool_error"), (struct slice){NULL, 0});
	} else {
		reason = "never answered";
	}
	emit_set_reason(&s, reason);

	uint64_t last = t->ended > t->asked ? t->ended : now;
	uint64_t end = t->answered ? t->answered : last;
	if (!t->turn->late && !traffic_lost(t->turn))
		span_set_double(&s, ATTR_TOOL_ASKED, emit_seconds(t->turn->start, t->asked));
	if (t->started)
		span_set_double(&s, ATTR_TOOL_STARTED, emit_seconds(t->asked, t->started));
	if (t->ended && !t->running)
		span_set_double(&s, ATTR_TOOL_ENDED, emit_seconds(t->asked, t->ended));
	else if (t->answered)
		span_set_double(&s, ATTR_TOOL_ENDED, emit_seconds(t->asked, t->answered));
	if (t->answered)
		span_set_double(&s, ATTR_TOOL_ANSWERED, emit_seconds(t->asked, t->answered));

	uint64_t start = t->started && t->started < t->asked ? t->started : t->asked;
	spend(t, end);
	if (end > t->turn->end)
		t->turn->end = end;
	emit_end(sp, &s, start, end);
}

void emit_turn(struct spans *sp, struct turn *t)
{
	const struct conversation *c = t->conversation;
	struct trace_id trace = t->trace;
	struct span_id parent = c->root;
	bool joined = join_decide(sp, t, &trace, &parent);
	struct span s = emit_begin(sp, SPAN_TURN, t->id, trace, joined ? parent : c->root);

	emit_set_name(sp, &s, "invoke_agent", c->agent_name);
	span_set_str(&s, ATTR_OPERATION_NAME, SLICE("invoke_agent"));
	emit_set_label(sp, &s, ATTR_PROVIDER_NAME, t->provider);
	emit_set_label(sp, &s, ATTR_REQUEST_MODEL, t->model);
	emit_set_conversation(sp, &s, c);
	emit_set_usage(&s, &t->usage);
	span_set_int(&s, ATTR_TURN_INDEX, (int64_t)t->index);
	set_spent(sp, &s, t);
	if (c->process) {
		span_set_int(&s, ATTR_PROCESS_PID,
		             c->process->id.pid ? c->process->id.pid : c->process->id.tgid);
		if (c->process->exe[0])
			emit_set_label(sp, &s, ATTR_PROCESS_EXECUTABLE_NAME, slice_str(c->process->exe));
	}
	if (joined) {
		emit_set_why(&s, (struct link_reason){"traceparent", 1.0});
		span_add_link(&s, c->trace.b, c->root.b, SLICE("conversation"), 1.0);
	}
	if (c->nested)
		emit_set_why(&s, c->nested_why);
	if (t->failed)
		emit_set_error(sp, &s, t->error_type.p ? t->error_type : SLICE("_OTHER"), t->error_message);
	emit_set_reason(&s, turn_reason(sp, t));
	emit_end(sp, &s, t->start, t->end);
}

void emit_conversation(struct spans *sp, struct conversation *c)
{
	struct span s = emit_begin(sp, SPAN_CONVERSATION, c->root, c->trace, (struct span_id){{0}});

	emit_set_name(sp, &s, "conversation", (struct slice){NULL, 0});
	emit_set_conversation(sp, &s, c);
	emit_set_usage(&s, &c->usage);
	if (!id_none(c->earlier_root))
		span_add_link(&s, c->earlier_trace.b, c->earlier_root.b, SLICE("earlier"), 1.0);
	emit_end(sp, &s, c->start, c->end);
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
	struct span s = emit_begin(sp, SPAN_PROCESS, r->id, r->trace, r->span_parent);
	struct slice *argv = arena_alloc(&s.arena, (r->n_argv + 1) * sizeof(*argv));
	const struct process *p = r->process;

	s.name = content_label(&sp->content, &s.arena, run_name(r));
	emit_set_id(&s, ATTR_CONVERSATION_ID, r->conversation);
	span_set_int(&s, ATTR_PROCESS_PID, p->id.pid ? p->id.pid : p->id.tgid);
	if (p->parent_pid)
		span_set_int(&s, ATTR_PROCESS_PARENT_PID, p->parent_pid);
	set_creation_time(sp, &s, p->id.start);
	span_set_str(&s, ATTR_PROCESS_EXECUTABLE_NAME, s.name);
	if (r->n_argv && content_argv(&sp->content, &s.arena, r->argv, r->n_argv, argv))
		span_set_strs(&s, ATTR_PROCESS_COMMAND_ARGS, argv, r->n_argv);
	span_own_str(&s, ATTR_PROCESS_WORKING_DIRECTORY, content_path(&sp->content, &s.arena, r->cwd));
	span_set_int(&s, ATTR_PROCESS_USER, r->uid);
	span_set_int(&s, ATTR_PROCESS_GROUP, r->gid);
	emit_set_label(sp, &s, ATTR_PROCESS_CGROUP, r->cgroup);
	span_set_str(&s, ATTR_CONTAINER_ID, r->container);
	span_set_str(&s, ATTR_K8S_POD_UID, r->pod);
	set_status(&s, r);
	if (r->left_alone)
		span_set_int(&s, ATTR_PROCESS_LEFT_ALONE, (int64_t)r->left_alone);
	emit_set_why(&s, r->why);
	if (r->lost_exit)
		emit_set_reason(&s, sp->finished ? "still running when the capture ended"
		                                 : "the exit was not seen");
	else
		emit_set_reason(&s, lost_reason(sp, r->lost_seen));
	emit_end(sp, &s, r->start, r->end);
}
