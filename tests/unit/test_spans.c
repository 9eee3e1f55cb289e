/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "span/content.h"
#include "span/conversation.h"
#include "span/heads.h"

/* llm.h's destructor lives with the parsers; the calls here are made by hand. */
void __attribute__((weak)) llm_call_free(struct llm_call *call)
{
	if (call)
		arena_release(&call->arena);
	free(call);
}

#define MS 1000000ull

/* What came out: every span, decoded from its wire form. */
struct world {
	struct spans *sp;
	struct span *v;
	size_t n, cap;
	bool count_only;
	uint64_t offset;
};

static void on_span(void *ctx, const struct span *s)
{
	struct world *w = ctx;
	struct buf b = {0};

	w->n++;
	if (w->count_only)
		return;
	xgrow(&w->v, &w->cap, w->n, sizeof(*w->v));
	span_encode(&b, s);
	assert_int_equal(span_decode(buf_slice(&b), &w->v[w->n - 1]), 0);
	buf_release(&b);
}

static void begin_world(struct world *w, enum content_level level)
{
	static const struct span_events ev = {.span = on_span};
	static struct clock_map clock;
	struct span_conf conf = {.instance = "instance-0123456", .content = level, .clock = &clock};

	if (clock.n == 0)
		clock_map_add(&clock, 0, 1700000000000000000);
	*w = (struct world){0};
	w->sp = spans_new(&conf, &ev, w);
}

static void end_world(struct world *w)
{
	spans_free(w->sp);
	for (size_t i = 0; i < w->n && !w->count_only; i++)
		span_release(&w->v[i]);
	free(w->v);
}

static struct ev_proc proc(uint32_t pid)
{
	return (struct ev_proc){.start = pid * 1000ull, .tgid = pid, .pid = pid};
}

static void fork_at(struct world *w, uint64_t ms, uint32_t parent, uint32_t child)
{
	struct ev_fork r = {{EV_FORK, sizeof(r), ms * MS}, proc(parent), proc(child)};

	spans_fork(w->sp, &r);
}

static void exit_at(struct world *w, uint64_t ms, uint32_t pid, uint32_t status)
{
	struct ev_exit r = {{EV_EXIT, sizeof(r), ms * MS}, proc(pid), 0, 0, status, 0};

	spans_exit(w->sp, &r);
}

/* argv: arguments separated by '|' */
static void exec_proc(struct world *w, uint64_t ms, struct ev_proc p, const char *argv)
{
	static const char cwd[] = "work\0home";
	size_t n = strlen(argv) + 1, size = sizeof(struct ev_exec) + n + sizeof(cwd);
	struct ev_exec *r = xcalloc(1, size);

	r->head = (struct ev_head){EV_EXEC, (uint32_t)size, ms * MS};
	r->proc = p;
	r->argv_len = (uint32_t)n;
	r->cwd_len = sizeof(cwd);
	memcpy(r->data, argv, n);
	memcpy(r->data + n, cwd, sizeof(cwd));
	for (size_t i = 0; i + 1 < n; i++)
		if (r->data[i] == '|')
			r->data[i] = '\0';
	spans_exec(w->sp, r);
	free(r);
}

static void exec_at(struct world *w, uint64_t ms, uint32_t pid, const char *argv)
{
	exec_proc(w, ms, proc(pid), argv);
}

static struct llm_call *call_new(struct world *w, uint32_t pid, uint64_t ms)
{
	struct llm_call *c = xcalloc(1, sizeof(*c));

	c->conn.id = (struct ev_conn_id){.tls = 1, .gen = 1, .proc = proc(pid)};
	c->conn.lib = EV_LIB_OPENSSL;
	c->request_offset = w->offset++;
	c->server_port = 443;
	c->api = "openai.chat";
	c->provider = "openai";
	c->operation = "chat";
	c->request_model = SLICE("gpt-x");
	c->stream = true;
	c->max_tokens = c->choice_count = c->seed = LLM_NONE;
	c->temperature = 0.5;
	c->top_p = c->top_k = c->frequency_penalty = c->presence_penalty = NAN;
	c->usage = (struct llm_usage){10, 5, LLM_NONE, LLM_NONE, LLM_NONE};
	c->request_start = ms * MS;
	c->request_end = ms * MS + 1;
	c->status = 200;
	return c;
}

static void part_add(struct llm_call *c, struct llm_messages *m, const char *role, enum llm_part_kind kind,
                     const char *id, const char *name, const char *text)
{
	struct llm_message *msg = arena_push(&c->arena, &m->v, &m->n, sizeof(*msg));
	struct llm_part *p;

	*msg = (struct llm_message){.role = slice_str(role)};
	p = arena_push(&c->arena, &msg->parts, &msg->n_parts, sizeof(*p));
	*p = (struct llm_part){.kind = kind,
	                       .id = arena_dup(&c->arena, slice_str(id)),
	                       .name = arena_dup(&c->arena, slice_str(name)),
	                       .text = arena_dup(&c->arena, slice_str(text))};
}

static void in_text(struct llm_call *c, const char *role, const char *text)
{
	part_add(c, &c->input, role, LLM_TEXT, NULL, NULL, text);
}

static void in_call(struct llm_call *c, const char *id, const char *name, const char *args)
{
	part_add(c, &c->input, "assistant", LLM_TOOL_CALL, id, name, args);
}

static void in_result(struct llm_call *c, const char *id, const char *text)
{
	part_add(c, &c->input, "tool", LLM_TOOL_RESULT, id, NULL, text);
}

static void out_text(struct llm_call *c, const char *text)
{
	part_add(c, &c->output, "assistant", LLM_TEXT, NULL, NULL, text);
}

static void out_call(struct llm_call *c, const char *id, const char *name, const char *args)
{
	struct llm_messages one = {0};

	if (c->output.n == 0) {
		part_add(c, &c->output, "assistant", LLM_TOOL_CALL, id, name, args);
		return;
	}
	part_add(c, &one, "assistant", LLM_TOOL_CALL, id, name, args);
	struct llm_message *m = &c->output.v[0];
	*(struct llm_part *)arena_push(&c->arena, &m->parts, &m->n_parts, sizeof(struct llm_part)) =
	    one.v[0].parts[0];
}

static void begin(struct world *w, struct llm_call *c)
{
	spans_llm_events.begin(w->sp, c);
}

static void end_at(struct world *w, struct llm_call *c, uint64_t ms)
{
	c->response_start = c->response_head = c->request_start + MS;
	c->first_token = c->request_start + 2 * MS;
	c->end = ms * MS;
	spans_llm_events.end(w->sp, c);
}

static void fail_at(struct world *w, struct llm_call *c, uint64_t ms, uint16_t status)
{
	c->status = status;
	c->error_type = SLICE("rate_limit");
	c->error_message = SLICE("slow down");
	end_at(w, c, ms);
}

/* ---- looking at the result ---- */

static size_t count(const struct world *w, enum span_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->v[i].kind == kind;
	return n;
}

static const struct span *nth(const struct world *w, enum span_kind kind, size_t n)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].kind == kind && n-- == 0)
			return &w->v[i];
	fail_msg("no %s span number %zu", span_kind_name(kind), n);
	return NULL;
}

static const struct span *named(const struct world *w, enum span_kind kind, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].kind == kind && slice_eq(w->v[i].name, slice_str(name)))
			return &w->v[i];
	fail_msg("no %s span '%s'", span_kind_name(kind), name);
	return NULL;
}

static const struct span *by_tool_id(const struct world *w, const char *id)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct attr *a = span_get(&w->v[i], ATTR_TOOL_CALL_ID);

		if (w->v[i].kind == SPAN_TOOL && a && slice_eq(a->str, slice_str(id)))
			return &w->v[i];
	}
	fail_msg("no tool span '%s'", id);
	return NULL;
}

static void assert_parent(const struct span *child, const struct span *parent)
{
	assert_memory_equal(child->parent, parent->id, 8);
	assert_memory_equal(child->trace, parent->trace, 16);
}

static void assert_str(const struct span *s, enum attr_key key, const char *want)
{
	const struct attr *a = span_get(s, key);

	if (!a)
		fail_msg("%s is not set", attr_defs[key].name);
	if (!slice_eq(a->str, slice_str(want)))
		fail_msg("%s is '%.*s', not '%s'", attr_defs[key].name, (int)a->str.n, a->str.p, want);
}

static double number(const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	if (!a)
		fail_msg("%s is not set", attr_defs[key].name);
	return attr_defs[key].type == ATTR_DOUBLE ? a->d : (double)a->i;
}

/* Every id once, every parent known. */
static void assert_tree(const struct world *w)
{
	static const uint8_t none[8];

	for (size_t i = 0; i < w->n; i++) {
		bool known = memcmp(w->v[i].parent, none, 8) == 0;

		for (size_t k = 0; k < w->n; k++) {
			if (k != i && memcmp(w->v[i].id, w->v[k].id, 8) == 0)
				fail_msg("an id came twice");
			if (memcmp(w->v[i].parent, w->v[k].id, 8) == 0) {
				known = true;
				assert_memory_equal(w->v[i].trace, w->v[k].trace, 16);
			}
		}
		if (!known)
			fail_msg("parent of %s '%.*s' never came", span_kind_name(w->v[i].kind),
			         (int)w->v[i].name.n, w->v[i].name.p);
	}
}

static void finish(struct world *w, uint64_t ms)
{
	spans_finish(w->sp, ms * MS);
	assert_tree(w);
}

/* ---- stories ---- */

/* An agent (pid 10) is asked twice; the first time it runs `ls -la` in a shell (pid 20). */
static void two_turns(struct world *w)
{
	struct llm_call *c;

	exec_at(w, 1, 10, "/usr/bin/agent|--api-key|CANARY");
	c = call_new(w, 10, 100);
	in_text(c, "user", "list it");
	begin(w, c);
	out_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\": \"ls -la\"}");
	end_at(w, c, 150);

	fork_at(w, 160, 10, 20);
	exec_at(w, 161, 20, "/bin/sh|-c|ls -la");
	fork_at(w, 162, 20, 21);
	exec_at(w, 163, 21, "/usr/bin/ls|-la");
	exit_at(w, 170, 21, 0);
	exit_at(w, 171, 20, 2 << 8);

	c = call_new(w, 10, 200);
	in_text(c, "user", "list it");
	in_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"ls -la\"}");
	in_result(c, "call_aaaaaaaaaaaa", "a b c");
	begin(w, c);
	out_text(c, "three files");
	end_at(w, c, 250);

	c = call_new(w, 10, 1000);
	in_text(c, "user", "list it");
	in_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"ls -la\"}");
	in_result(c, "call_aaaaaaaaaaaa", "a b c");
	in_text(c, "assistant", " three files\n");
	in_text(c, "user", "thanks");
	begin(w, c);
	out_text(c, "welcome");
	end_at(w, c, 1050);
}

static void a_conversation_of_two_turns(void **state)
{
	struct world w;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	two_turns(&w);
	finish(&w, 2000);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 1);
	assert_int_equal(count(&w, SPAN_TURN), 2);
	assert_int_equal(count(&w, SPAN_CHAT), 3);
	assert_int_equal(count(&w, SPAN_TOOL), 1);
	assert_int_equal(count(&w, SPAN_PROCESS), 2);

	const struct span *root = nth(&w, SPAN_CONVERSATION, 0), *turn = nth(&w, SPAN_TURN, 0);
	const struct span *tool = nth(&w, SPAN_TOOL, 0), *sh = named(&w, SPAN_PROCESS, "sh");
	assert_parent(turn, root);
	assert_parent(nth(&w, SPAN_CHAT, 0), turn);
	assert_parent(nth(&w, SPAN_CHAT, 1), turn);
	assert_parent(nth(&w, SPAN_CHAT, 2), nth(&w, SPAN_TURN, 1));
	assert_parent(tool, turn);
	assert_parent(sh, tool);
	assert_parent(named(&w, SPAN_PROCESS, "ls"), sh);
	assert_str(sh, ATTR_LINK_EVIDENCE, "argv");
	assert_str(sh, ATTR_PROCESS_WORKING_DIRECTORY, "/home/work");
	assert_int_equal(sh->status, SPAN_ERROR);
	assert_int_equal(number(sh, ATTR_PROCESS_EXIT_CODE), 2);
	assert_str(tool, ATTR_TOOL_CALL_ARGUMENTS, "{\"command\": \"ls -la\"}");
	assert_str(tool, ATTR_TOOL_CALL_RESULT, "a b c");
	assert_float_equal(number(tool, ATTR_TOOL_ASKED), 0.050, 1e-6);
	assert_float_equal(number(tool, ATTR_TOOL_STARTED), 0.011, 1e-6);
	assert_float_equal(number(tool, ATTR_TOOL_ENDED), 0.021, 1e-6);
	assert_float_equal(number(tool, ATTR_TOOL_ANSWERED), 0.050, 1e-6);
	assert_float_equal(number(turn, ATTR_TURN_MODEL_TIME), 0.100, 1e-6);
	assert_float_equal(number(turn, ATTR_TURN_TOOL_TIME), 0.010, 1e-6);
	assert_int_equal(number(turn, ATTR_USAGE_INPUT_TOKENS), 20);
	assert_null(span_get(turn, ATTR_USAGE_CACHE_READ));
	assert_string_equal(nth(&w, SPAN_CHAT, 0)->name.p, "chat gpt-x");
	assert_string_equal(turn->name.p, "invoke_agent agent");
	assert_float_equal(number(nth(&w, SPAN_CHAT, 0), ATTR_TIME_TO_FIRST_CHUNK), 0.002, 1e-6);
	end_world(&w);
}

static void print_all(const struct world *w, struct buf *out)
{
	for (size_t i = 0; i < w->n; i++)
		span_print(out, &w->v[i], 0);
}

static void the_same_input_gives_the_same_spans(void **state)
{
	struct buf out[2] = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world w;

		begin_world(&w, CONTENT_REDACTED);
		two_turns(&w);
		finish(&w, 2000);
		print_all(&w, &out[i]);
		end_world(&w);
	}
	assert_string_equal(buf_str(&out[0]), buf_str(&out[1]));
	assert_null(strstr(buf_str(&out[0]), "CANARY"));
	buf_release(&out[0]);
	buf_release(&out[1]);
}

/* Process records come 50 ms late, the answer that asks for the tool earlier than them. */
static void records_out_of_order(void **state)
{
	struct world w;
	struct llm_call *c, *d;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	fork_at(&w, 160, 10, 20);
	exec_at(&w, 161, 20, "/bin/sh|-c|make all");
	out_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"make all\"}");
	end_at(&w, c, 150);
	d = call_new(&w, 10, 200);
	in_text(d, "user", "go");
	in_call(d, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"make all\"}");
	in_result(d, "call_aaaaaaaaaaaa", "ok");
	begin(&w, d);
	out_text(d, "done");
	end_at(&w, d, 210);
	exit_at(&w, 170, 20, 0);
	finish(&w, 1000);
	assert_parent(named(&w, SPAN_PROCESS, "sh"), nth(&w, SPAN_TOOL, 0));
	assert_float_equal(number(nth(&w, SPAN_TOOL, 0), ATTR_TOOL_ENDED), 0.020, 1e-6);
	end_world(&w);
}

static void parallel_tools_by_argv(void **state)
{
	struct world w;
	struct llm_call *c;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	out_call(c, "call_one_11111", "shell", "{\"command\":\"echo 'one'\"}");
	out_call(c, "call_two_22222", "shell", "{\"command\":\"make two\"}");
	end_at(&w, c, 150);
	for (uint32_t pid = 20; pid < 23; pid++)
		fork_at(&w, 151, 10, pid);
	exec_at(&w, 160, 21, "/bin/bash|-c|source x && eval 'make two' < /dev/null");
	exec_at(&w, 161, 20, "/bin/helper|--run");
	exec_at(&w, 162, 20, "/bin/bash|-c|eval 'echo '\\''one'\\'''");
	exec_at(&w, 163, 22, "/usr/bin/git|status");
	exit_at(&w, 170, 20, 0);
	exit_at(&w, 171, 21, 9);
	exit_at(&w, 172, 22, 0);
	c = call_new(&w, 10, 200);
	in_text(c, "user", "go");
	in_call(c, "call_one_11111", "shell", "{\"command\":\"echo 'one'\"}");
	in_call(c, "call_two_22222", "shell", "{\"command\":\"make two\"}");
	in_result(c, "call_two_22222", "2");
	in_result(c, "call_one_11111", "1");
	begin(&w, c);
	out_text(c, "ok");
	end_at(&w, c, 210);
	finish(&w, 1000);

	const struct span *one = by_tool_id(&w, "call_one_11111"), *two = by_tool_id(&w, "call_two_22222");
	const struct span *helper = named(&w, SPAN_PROCESS, "helper"), *git = named(&w, SPAN_PROCESS, "git");
	assert_parent(helper, one);
	assert_str(git, ATTR_LINK_EVIDENCE, "time");
	assert_parent(git, nth(&w, SPAN_TURN, 0));
	size_t under_one = 0, under_two = 0;
	for (size_t i = 0; i < w.n; i++) {
		bool bash = slice_eq(w.v[i].name, SLICE("bash"));

		under_one += bash && memcmp(w.v[i].parent, one->id, 8) == 0;
		under_two += bash && memcmp(w.v[i].parent, two->id, 8) == 0;
		if (bash && memcmp(w.v[i].parent, two->id, 8) == 0)
			assert_int_equal(number(&w.v[i], ATTR_PROCESS_EXIT_SIGNAL), 9);
	}
	assert_int_equal(under_one, 1);
	assert_int_equal(under_two, 1);
	end_world(&w);
}

/* A tool starts an agent of its own, which asks the model and runs a tool. */
static void a_sub_agent_hangs_below_its_process(void **state)
{
	struct world w;
	struct llm_call *outer, *inner;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	outer = call_new(&w, 10, 100);
	in_text(outer, "user", "delegate");
	begin(&w, outer);
	out_call(outer, "call_aaaaaaaaaaaa", "task", "{\"command\":\"subagent -p 'count'\"}");
	end_at(&w, outer, 150);
	fork_at(&w, 160, 10, 20);
	exec_at(&w, 161, 20, "/bin/sh|-c|subagent -p 'count'");
	fork_at(&w, 162, 20, 30);
	exec_at(&w, 163, 30, "/bin/subagent|-p|count");
	inner = call_new(&w, 30, 300);
	in_text(inner, "user", "count");
	begin(&w, inner);
	out_call(inner, "call_bbbbbbbbbbbb", "shell", "{\"command\":\"wc -l file\"}");
	end_at(&w, inner, 350);
	fork_at(&w, 360, 30, 40);
	exec_at(&w, 361, 40, "/usr/bin/wc|-l|file");
	exit_at(&w, 370, 40, 0);
	inner = call_new(&w, 30, 400);
	in_text(inner, "user", "count");
	in_call(inner, "call_bbbbbbbbbbbb", "shell", "{\"command\":\"wc -l file\"}");
	in_result(inner, "call_bbbbbbbbbbbb", "7");
	begin(&w, inner);
	out_text(inner, "seven");
	end_at(&w, inner, 450);
	exit_at(&w, 460, 30, 0);
	exit_at(&w, 461, 20, 0);
	outer = call_new(&w, 10, 500);
	in_text(outer, "user", "delegate");
	in_call(outer, "call_aaaaaaaaaaaa", "task", "{\"command\":\"subagent -p 'count'\"}");
	in_result(outer, "call_aaaaaaaaaaaa", "seven");
	begin(&w, outer);
	out_text(outer, "seven it is");
	end_at(&w, outer, 550);
	finish(&w, 1000);

	assert_int_equal(count(&w, SPAN_CONVERSATION), 1);
	assert_int_equal(count(&w, SPAN_TURN), 2);
	const struct span *sub = named(&w, SPAN_PROCESS, "subagent"),
	                  *turn = named(&w, SPAN_TURN, "invoke_agent subagent");
	assert_parent(turn, sub);
	assert_parent(sub, named(&w, SPAN_PROCESS, "sh"));
	assert_parent(named(&w, SPAN_PROCESS, "sh"), by_tool_id(&w, "call_aaaaaaaaaaaa"));
	assert_parent(by_tool_id(&w, "call_bbbbbbbbbbbb"), turn);
	assert_parent(named(&w, SPAN_PROCESS, "wc"), by_tool_id(&w, "call_bbbbbbbbbbbb"));
	end_world(&w);
}

static void a_failed_call_is_retried(void **state)
{
	struct world w;
	struct llm_call *c;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	fail_at(&w, c, 110, 429);
	c = call_new(&w, 10, 1000);
	in_text(c, "user", "go");
	begin(&w, c);
	out_text(c, "gone");
	end_at(&w, c, 1050);
	/* The same words after success are another conversation. */
	c = call_new(&w, 10, 2000);
	in_text(c, "user", "go");
	begin(&w, c);
	out_text(c, "gone");
	end_at(&w, c, 2050);
	finish(&w, 3000);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 2);
	assert_int_equal(count(&w, SPAN_TURN), 2);
	assert_str(nth(&w, SPAN_CHAT, 0), ATTR_CALL_KIND, "main");
	assert_int_equal(nth(&w, SPAN_CHAT, 0)->status, SPAN_ERROR);
	assert_str(nth(&w, SPAN_CHAT, 1), ATTR_CALL_KIND, "retry");
	assert_parent(nth(&w, SPAN_CHAT, 1), nth(&w, SPAN_TURN, 0));
	assert_int_equal(nth(&w, SPAN_TURN, 0)->status, SPAN_UNSET);
	end_world(&w);
}

/* One process (a gateway) carries many conversations with the same first prompt at the same time. */
static void identical_prompts_stay_apart(void **state)
{
	enum { N = 20 };
	struct world w;
	struct llm_call *c[N];
	char text[32];

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	for (int same = 0; same < 2; same++) {
		for (int i = 0; i < N; i++) {
			c[i] = call_new(&w, 10, 100 + (uint64_t)same * 5000);
			in_text(c[i], "user", same ? "hello" : "hi");
			begin(&w, c[i]);
		}
		for (int i = 0; i < N; i++) {
			snprintf(text, sizeof(text), "answer %d", same ? 0 : i);
			out_text(c[i], text);
			end_at(&w, c[i], 200 + (uint64_t)same * 5000 + (uint64_t)i);
		}
		for (int i = 0; i < (same ? HEAD_OWNERS_MAX : N); i++) {
			c[i] = call_new(&w, 10, 1000 + (uint64_t)same * 5000 + (uint64_t)i);
			snprintf(text, sizeof(text), "answer %d", same ? 0 : i);
			in_text(c[i], "user", same ? "hello" : "hi");
			in_text(c[i], "assistant", text);
			in_text(c[i], "user", "more");
			begin(&w, c[i]);
			out_text(c[i], "that is all");
			end_at(&w, c[i], 1100 + (uint64_t)same * 5000 + (uint64_t)i);
		}
	}
	finish(&w, 20000);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 2 * N);
	assert_int_equal(count(&w, SPAN_TURN), 3 * N + HEAD_OWNERS_MAX);
	end_world(&w);
}

static void the_session_key_decides(void **state)
{
	struct world w;
	struct llm_call *c;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	for (int i = 0; i < 2; i++) {
		c = call_new(&w, 10, 100 + 100 * (uint64_t)i);
		c->session_key = i ? SLICE("session-b") : SLICE("session-a");
		in_text(c, "user", "hi");
		begin(&w, c);
		out_text(c, "hello");
		end_at(&w, c, 150 + 100 * (uint64_t)i);
	}
	c = call_new(&w, 10, 1000);
	c->session_key = SLICE("session-a");
	in_text(c, "user", "hi");
	in_text(c, "assistant", "hello");
	in_text(c, "user", "more");
	begin(&w, c);
	out_text(c, "no");
	end_at(&w, c, 1050);
	finish(&w, 2000);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 2);
	assert_memory_equal(nth(&w, SPAN_CHAT, 2)->trace, nth(&w, SPAN_CHAT, 0)->trace, 16);
	assert_str(nth(&w, SPAN_CHAT, 2), ATTR_LINK_EVIDENCE, "session_key");
	end_world(&w);
}

/* The user goes back and says something else: a branch of the same conversation. */
static void an_edited_history_is_a_branch(void **state)
{
	struct world w;
	struct llm_call *c;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "a");
	begin(&w, c);
	out_text(c, "A");
	end_at(&w, c, 150);
	for (int i = 0; i < 2; i++) {
		c = call_new(&w, 10, 200 + 100 * (uint64_t)i);
		in_text(c, "user", "a");
		in_text(c, "assistant", "A");
		in_text(c, "user", i ? "c" : "b");
		begin(&w, c);
		out_text(c, "B");
		end_at(&w, c, 250 + 100 * (uint64_t)i);
	}
	/* The assistant's words rewritten by the client: still the only conversation with this prompt. */
	c = call_new(&w, 10, 500);
	in_text(c, "user", "a");
	in_text(c, "assistant", "A, edited");
	in_text(c, "user", "d");
	begin(&w, c);
	out_text(c, "D");
	end_at(&w, c, 550);
	finish(&w, 2000);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 1);
	assert_int_equal(count(&w, SPAN_TURN), 4);
	assert_str(nth(&w, SPAN_CHAT, 3), ATTR_LINK_EVIDENCE, "prompt");
	end_world(&w);
}

static void everything_open_at_the_end(void **state)
{
	struct world w;
	struct llm_call *c, *never;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	out_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"sleep 1000\"}");
	end_at(&w, c, 150);
	fork_at(&w, 160, 10, 20);
	exec_at(&w, 161, 20, "/bin/sleep|1000");
	never = call_new(&w, 11, 170);
	in_text(never, "user", "unanswered");
	begin(&w, never);
	spans_life_lost(w.sp, 0);
	spans_finish(w.sp, 500 * MS);
	assert_str(nth(&w, SPAN_TOOL, 0), ATTR_INCOMPLETE_REASON, "never answered");
	assert_str(nth(&w, SPAN_PROCESS, 0), ATTR_INCOMPLETE_REASON, "still running when the capture ended");
	assert_int_equal(nth(&w, SPAN_PROCESS, 0)->end, 500 * MS);
	assert_parent(nth(&w, SPAN_PROCESS, 0), nth(&w, SPAN_TOOL, 0));
	assert_null(span_get(nth(&w, SPAN_TOOL, 0), ATTR_TOOL_ENDED));
	assert_null(span_get(nth(&w, SPAN_PROCESS, 0), ATTR_PROCESS_EXIT_CODE));
	spans_llm_events.end(w.sp, never);
	end_world(&w);
}

static void lost_process_records_are_told(void **state)
{
	struct world w;
	struct llm_call *c;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	out_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"sleep 1000\"}");
	end_at(&w, c, 150);
	spans_tick(w.sp, 400 * MS);
	spans_tick(w.sp, 500 * MS);
	spans_life_lost(w.sp, 3);
	c = call_new(&w, 10, 600);
	in_text(c, "user", "go");
	in_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"sleep 1000\"}");
	in_result(c, "call_aaaaaaaaaaaa", "x");
	begin(&w, c);
	out_text(c, "ok");
	end_at(&w, c, 610);
	finish(&w, 1000);
	assert_str(nth(&w, SPAN_TOOL, 0), ATTR_INCOMPLETE_REASON, "process records were lost");
	assert_str(nth(&w, SPAN_TURN, 0), ATTR_INCOMPLETE_REASON, "process records were lost");
	end_world(&w);
}

/* A pid that comes again with another start is another process, whether or not its exit was seen. */
static void a_pid_is_used_again(void **state)
{
	struct world w;
	struct llm_call *c;
	struct ev_proc again = {.start = 99999, .tgid = 20, .pid = 20};

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	out_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"x\"}");
	end_at(&w, c, 150);
	fork_at(&w, 160, 10, 20);
	exec_at(&w, 161, 20, "/bin/first");
	struct ev_fork f = {{EV_FORK, sizeof(f), 170 * MS}, proc(10), again};
	spans_fork(w.sp, &f);
	exec_proc(&w, 171, again, "/bin/second");
	struct ev_exit e = {{EV_EXIT, sizeof(e), 180 * MS}, again, 0, 0, 0, 0};
	spans_exit(w.sp, &e);
	finish(&w, 1000);
	assert_int_equal(count(&w, SPAN_PROCESS), 2);
	assert_int_equal(named(&w, SPAN_PROCESS, "first")->end, 170 * MS);
	assert_null(span_get(named(&w, SPAN_PROCESS, "first"), ATTR_PROCESS_EXIT_CODE));
	assert_int_equal(number(named(&w, SPAN_PROCESS, "second"), ATTR_PROCESS_EXIT_CODE), 0);
	end_world(&w);
}

/* Idle for half an hour: the root goes out; what continues it later bears the same conversation id. */
static void an_idle_conversation_is_closed(void **state)
{
	struct world w;
	struct llm_call *c;

	(void)state;
	begin_world(&w, CONTENT_REDACTED);
	c = call_new(&w, 10, 100);
	in_text(c, "user", "go");
	begin(&w, c);
	out_text(c, "ok");
	end_at(&w, c, 150);
	spans_tick(w.sp, 300 * MS);
	spans_tick(w.sp, 400 * MS);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 0);
	spans_tick(w.sp, 400 * MS + CONVERSATION_IDLE);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 1);
	c = call_new(&w, 10, 4000000);
	in_text(c, "user", "go");
	in_text(c, "assistant", "ok");
	in_text(c, "user", "again");
	begin(&w, c);
	out_text(c, "yes");
	end_at(&w, c, 4000100);
	finish(&w, 5000000);
	assert_int_equal(count(&w, SPAN_CONVERSATION), 2);
	const struct span *a = nth(&w, SPAN_CONVERSATION, 0), *b = nth(&w, SPAN_CONVERSATION, 1);
	assert_true(slice_eq(span_get(a, ATTR_CONVERSATION_ID)->str, span_get(b, ATTR_CONVERSATION_ID)->str));
	assert_memory_not_equal(a->id, b->id, 8);
	assert_int_equal(span_get(nth(&w, SPAN_TURN, 0), ATTR_TURN_INDEX)->i, 1);
	assert_int_equal(span_get(nth(&w, SPAN_TURN, 1), ATTR_TURN_INDEX)->i, 2);
	end_world(&w);
}

/* A store: keeps what the first capture leaves, and gives the second one what it asks for. */
struct keeper {
	struct world w; /* first: on_span() gets it */
	struct head_record v[32];
	size_t n, wanted;
	bool answers;
};

static void on_head(void *ctx, const struct head_record *h)
{
	struct keeper *k = ctx;

	assert_true(k->n < sizeof(k->v) / sizeof(*k->v));
	k->v[k->n++] = *h;
}

static void on_want(void *ctx, const uint8_t (*links)[16], size_t n)
{
	struct keeper *k = ctx;

	assert_true(n > 0 && n <= HEADS_WANTED_MAX);
	k->wanted++;
	for (size_t i = 0; k->answers && i < n; i++)
		for (size_t h = 0; h < k->n; h++)
			if (memcmp(k->v[h].link, links[i], sizeof(k->v[h].link)) == 0)
				spans_head(k->w.sp, &k->v[h]);
}

static void capture(struct keeper *k)
{
	static const struct span_events ev = {.span = on_span, .head = on_head, .want = on_want};
	static const uint8_t key[32] = "the key of the store";
	struct span_conf conf = {.instance = "instance-0123456", .link_key = key};

	k->w = (struct world){0};
	k->w.sp = spans_new(&conf, &ev, k);
}

static void say(struct keeper *k, const char *prompt, const char *answered, const char *answer, uint64_t ms)
{
	struct llm_call *c = call_new(&k->w, 10, ms);

	c->request_offset = ms; /* unlike those of the other capture */
	in_text(c, "user", "go");
	if (answered) {
		in_text(c, "assistant", answered);
		in_text(c, "user", prompt);
	}
	begin(&k->w, c);
	out_text(c, answer);
	end_at(&k->w, c, ms + 10);
}

static void heads_are_asked_for(void **state)
{
	struct keeper *k = xcalloc(1, sizeof(*k));
	struct slice id;

	(void)state;
	capture(k);
	say(k, "", NULL, "one", 100);
	say(k, "more", "one", "two", 200);
	finish(&k->w, 1000);
	assert_int_equal(k->wanted, 0);
	assert_int_equal(count(&k->w, SPAN_TURN), 2);
	struct world before = k->w;
	id = span_get(nth(&before, SPAN_TURN, 0), ATTR_CONVERSATION_ID)->str;

	/* Asked for and given: the turn behind the one that left the head, linked to what was before. */
	k->answers = true;
	capture(k);
	say(k, "even more", "one", "three", 2000);
	finish(&k->w, 3000);
	assert_int_equal(k->wanted, 1);
	assert_str(nth(&k->w, SPAN_CHAT, 0), ATTR_LINK_EVIDENCE, "prefix");
	assert_int_equal(number(nth(&k->w, SPAN_TURN, 0), ATTR_TURN_INDEX), 2);
	assert_true(slice_eq(span_get(nth(&k->w, SPAN_TURN, 0), ATTR_CONVERSATION_ID)->str, id));
	const struct span *root = nth(&k->w, SPAN_CONVERSATION, 0);
	assert_int_equal(root->n_links, 1);
	assert_memory_equal(root->links[0].id, nth(&before, SPAN_CONVERSATION, 0)->id, 8);
	end_world(&k->w);

	/* Not given: a conversation of its own. */
	k->answers = false;
	capture(k);
	say(k, "even more", "one", "three", 4000);
	finish(&k->w, 5000);
	assert_int_equal(k->wanted, 2);
	assert_int_equal(number(nth(&k->w, SPAN_TURN, 0), ATTR_TURN_INDEX), 1);
	end_world(&k->w);
	end_world(&before);
	free(k);
}

/* A secret in every place where text can stand, at each level. */
static void canaries(void **state)
{
#define KEY "sk-ant-CANARYSHAPE0123456789"
	(void)state;
	for (int level = CONTENT_NONE; level <= CONTENT_FULL; level++) {
		struct world w;
		struct llm_call *c;
		struct buf out = {0};

		begin_world(&w, (enum content_level)level);
		c = call_new(&w, 10, 100);
		c->user_agent = SLICE("x/1 token=CANARY1x");
		c->server_address = SLICE("bob:CANARY1x@host");
		c->server_address = SLICE("host?key=CANARY1x");
		part_add(c, &c->system, "system", LLM_TEXT, NULL, NULL,
		         "PLAIN " KEY " Authorization: Bearer CANARY1x");
		in_text(c, "user", "PLAIN " KEY " https://h/?key=CANARY1x");
		c->tools = arena_alloc(&c->arena, sizeof(*c->tools));
		c->tools[0] = (struct llm_tool_def){.name = SLICE("t"), .description = SLICE("PLAIN " KEY)};
		c->n_tools = 1;
		begin(&w, c);
		out_call(
		    c, "call_aaaaaaaaaaaa", "shell",
		    "{\"command\":\"PLAIN FOO_TOKEN=CANARY1x run\",\"deep\":[{\"password\":\"CANARY1x\"}]}");
		end_at(&w, c, 150);
		fork_at(&w, 160, 10, 20);
		exec_at(&w, 161, 20, "/bin/PLAINx|--api-key|CANARY1x|TOKEN=CANARY1x");
		exit_at(&w, 170, 20, 0);
		c = call_new(&w, 10, 200);
		in_text(c, "user", "PLAIN " KEY " https://h/?key=CANARY1x");
		in_call(
		    c, "call_aaaaaaaaaaaa", "shell",
		    "{\"command\":\"PLAIN FOO_TOKEN=CANARY1x run\",\"deep\":[{\"password\":\"CANARY1x\"}]}");
		in_result(c, "call_aaaaaaaaaaaa", "PLAIN " KEY " \xff Cookie: a=CANARY1x");
		begin(&w, c);
		c->error_message = SLICE("PLAIN " KEY " x-api-key: CANARY1x");
		c->error_type = SLICE("e");
		end_at(&w, c, 250);
		finish(&w, 1000);
		print_all(&w, &out);
		const char *text = buf_str(&out);

		assert_null(strstr(text, "CANARY1x"));
		assert_int_equal(strstr(text, "CANARYSHAPE") != NULL, level == CONTENT_FULL);
		assert_int_equal(strstr(text, "PLAIN ") != NULL, level >= CONTENT_REDACTED);
		assert_int_equal(strstr(text, "gen_ai.input.messages") != NULL, level >= CONTENT_SHAPE);
		if (level == CONTENT_REDACTED)
			assert_non_null(strstr(text, "spantap.redacted"));
		assert_null(strstr(text, "\\xff"));
		buf_release(&out);
		end_world(&w);
	}
}

/* Bytes on the heap; 0 without the sanitizer that counts them. */
size_t __attribute__((weak)) __sanitizer_get_current_allocated_bytes(void);

static size_t heap_bytes(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

#define SOAK_GROWTH (4u << 20) /* of the last 20,000 rounds: 200 processes that never exit, and their runs   \
	                        */

/* 100,000 calls and 200,000 processes: what is kept does not grow once every table is full. */
static void a_long_capture_does_not_grow(void **state)
{
	struct world w;
	char text[64];
	size_t full = 0, end;

	(void)state;
	begin_world(&w, CONTENT_NONE);
	w.count_only = true;
	for (uint32_t i = 0; i < 50000; i++) {
		uint64_t t = 1000 + i * 20ull;
		struct llm_call *c = call_new(&w, 10, t);

		snprintf(text, sizeof(text), "prompt %u", i);
		in_text(c, "user", text);
		begin(&w, c);
		out_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"x y z\"}");
		end_at(&w, c, t + 5);
		for (uint32_t k = 0; k < 4; k++) {
			uint32_t pid = 100 + i * 4 + k;

			fork_at(&w, t + 6, k & 1 ? pid - 1 : 10, pid);
			exec_at(&w, t + 7, pid, k & 1 ? "y" : "/bin/sh|-c|x y z");
			if (i % 100 || k)
				exit_at(&w, t + 8 + (k & 1 ? 0 : 1), pid, 0);
		}
		c = call_new(&w, 10, t + 10);
		in_text(c, "user", text);
		in_call(c, "call_aaaaaaaaaaaa", "shell", "{\"command\":\"x y z\"}");
		if (i % 10)
			in_result(c, "call_aaaaaaaaaaaa", "r");
		begin(&w, c);
		out_text(c, "ok");
		end_at(&w, c, t + 15);
		if (i == 30000)
			full = heap_bytes();
		if (i % 1000 == 0) {
			const struct span_stats *st = spans_stats(w.sp);

			assert_true(st->open_conversations <= CONVERSATIONS_MAX + 8);
			assert_true(st->held_processes <= 10000);
			assert_true(st->open_tools <= TOOLS_MAX);
		}
	}
	end = heap_bytes();
	print_message("FIGURE heap after 30,000 and 50,000 rounds: %zu and %zu KiB\n", full >> 10, end >> 10);
	assert_true(end <= full + SOAK_GROWTH);
	spans_finish(w.sp, 10000000 * MS);
	/* 100,000 chats; one turn, one root and one tool a conversation; 200,000 processes. */
	assert_int_equal(w.n, 100000 + 50000 * 3 + 200000);
	end_world(&w);
}

/* The peer takes another way than the bytes: the call may be over when it comes, and is not final yet. */
static void the_peer_may_come_behind_a_short_call(void **state)
{
	struct world w;
	struct conn_info info, other;

	(void)state;
	begin_world(&w, CONTENT_FULL);
	exec_at(&w, 1, 10, "agent");
	struct llm_call *c = call_new(&w, 10, 10);
	begin(&w, c);
	info = other = c->conn;
	end_at(&w, c, 12);
	info.family = AF_INET;
	info.port = 443;
	memcpy(info.address, "\xc0\x00\x02\x07", 4);
	spans_conn(w.sp, &info);
	other.id.gen++;
	other.family = AF_INET;
	spans_conn(w.sp, &other);
	finish(&w, 1000);
	assert_int_equal(w.v[0].kind, SPAN_CHAT);
	assert_true(slice_eq(span_get(&w.v[0], ATTR_NETWORK_PEER_ADDRESS)->str, SLICE("192.0.2.7")));
	assert_int_equal(span_get(&w.v[0], ATTR_NETWORK_PEER_PORT)->i, 443);
	end_world(&w);
}

static void expect_int(const struct span *s, enum attr_key key, int64_t want)
{
	assert_non_null(span_get(s, key));
	assert_int_equal(span_get(s, key)->i, want);
}

static void expect_str(const struct span *s, enum attr_key key, const char *want)
{
	assert_non_null(span_get(s, key));
	assert_true(slice_eq(span_get(s, key)->str, slice_str(want)));
}

/* What is counted besides usage, under which names the tier stands, what the request says of a tool. */
static void details_of_a_call(void **state)
{
	static const struct {
		const char *api;
		enum attr_key asked, got, not_asked, not_got;
	} tiers[] = {
	    {"openai.chat", ATTR_OPENAI_REQUEST_SERVICE_TIER, ATTR_OPENAI_RESPONSE_SERVICE_TIER,
	     ATTR_CALL_REQUEST_SERVICE_TIER, ATTR_CALL_SERVICE_TIER},
	    {"anthropic.messages", ATTR_CALL_REQUEST_SERVICE_TIER, ATTR_CALL_SERVICE_TIER,
	     ATTR_OPENAI_REQUEST_SERVICE_TIER, ATTR_OPENAI_RESPONSE_SERVICE_TIER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		struct llm_tool_def def = {.name = SLICE("shell"), .description = SLICE("runs a command")};
		struct world w;

		begin_world(&w, i ? CONTENT_SHAPE : CONTENT_REDACTED);
		struct llm_call *c = call_new(&w, 10, 100);
		c->api = tiers[i].api;
		c->protocol = SLICE("h2");
		for (int d = 0; d < LLM_DETAILS; d++)
			c->details[d] = d == LLM_VIDEO_INPUT ? LLM_NONE : 10 + d;
		c->server_time.queue = 250 * MS;
		c->reasoning_budget = 1024;
		c->prompt_id = SLICE("pmpt_1");
		c->guardrail = SLICE("gr-1");
		c->request_service_tier = SLICE("flex");
		c->service_tier = SLICE("default");
		c->tools = &def;
		c->n_tools = 1;
		in_text(c, "user", "go");
		out_call(c, "call_1", "shell", "{}");
		begin(&w, c);
		end_at(&w, c, 200);
		finish(&w, 1000);

		const struct span *s = nth(&w, SPAN_CHAT, 0), *tool = nth(&w, SPAN_TOOL, 0);
		expect_int(s, ATTR_USAGE_TEXT_INPUT, 10 + LLM_TEXT_INPUT);
		expect_int(s, ATTR_USAGE_AUDIO_OUTPUT, 10 + LLM_AUDIO_OUTPUT);
		expect_int(s, ATTR_USAGE_CACHE_CREATION_1H, 10 + LLM_CACHE_CREATION_1H);
		expect_int(s, ATTR_USAGE_WEB_SEARCHES, 10 + LLM_WEB_SEARCHES);
		expect_int(s, ATTR_USAGE_SERVER_TOOLS, 10 + LLM_SERVER_TOOLS);
		assert_null(span_get(s, ATTR_USAGE_VIDEO_INPUT)); /* unknown is not 0 */
		expect_int(s, ATTR_REQUEST_REASONING_BUDGET, 1024);
		assert_float_equal(span_get(s, ATTR_SERVER_QUEUE_TIME)->d, 0.25, 1e-9);
		expect_str(s, ATTR_PROMPT_NAME, "pmpt_1");
		expect_str(s, ATTR_BEDROCK_GUARDRAIL, "gr-1");
		expect_str(s, ATTR_NETWORK_PROTOCOL_NAME, "http");
		expect_str(s, ATTR_NETWORK_PROTOCOL_VERSION, "2");
		expect_str(s, tiers[i].asked, "flex");
		expect_str(s, tiers[i].got, "default");
		assert_null(span_get(s, tiers[i].not_asked));
		assert_null(span_get(s, tiers[i].not_got));
		if (i)
			assert_null(span_get(tool, ATTR_TOOL_DESCRIPTION)); /* content */
		else
			expect_str(tool, ATTR_TOOL_DESCRIPTION, "runs a command");
		end_world(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(details_of_a_call),
	    cmocka_unit_test(the_peer_may_come_behind_a_short_call),
	    cmocka_unit_test(a_conversation_of_two_turns),
	    cmocka_unit_test(the_same_input_gives_the_same_spans),
	    cmocka_unit_test(records_out_of_order),
	    cmocka_unit_test(parallel_tools_by_argv),
	    cmocka_unit_test(a_sub_agent_hangs_below_its_process),
	    cmocka_unit_test(a_failed_call_is_retried),
	    cmocka_unit_test(identical_prompts_stay_apart),
	    cmocka_unit_test(the_session_key_decides),
	    cmocka_unit_test(an_edited_history_is_a_branch),
	    cmocka_unit_test(everything_open_at_the_end),
	    cmocka_unit_test(lost_process_records_are_told),
	    cmocka_unit_test(a_pid_is_used_again),
	    cmocka_unit_test(an_idle_conversation_is_closed),
	    cmocka_unit_test(heads_are_asked_for),
	    cmocka_unit_test(canaries),
	    cmocka_unit_test(a_long_capture_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
