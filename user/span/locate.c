/* SPDX-License-Identifier: Apache-2.0 */
#include "span/assembler.h"

struct conversation *open_conversation(struct spans *sp, uint64_t serial)
{
	return serial ? map_get(&sp->by_serial, &serial, sizeof(serial)) : NULL;
}

struct conversation *agents_conversation(struct spans *sp, const struct process *agent, uint64_t began)
{
	struct conversation *c = open_conversation(sp, agent->conversation), *outer;

	while (c && began < c->start && (outer = open_conversation(sp, c->outer)))
		c = outer;
	return c;
}

struct owner owner_of(const struct conversation *c, struct span_id chat)
{
	return (struct owner){.past = c->past, .chat = chat};
}

static bool same_process(const struct owner *o, const struct process *p)
{
	return o->past->process.tgid == p->id.tgid && o->past->process.start == p->id.start;
}

static bool same_session(const struct spans *sp, const struct owner *o, const struct flight *f)
{
	struct link l = session_link(&sp->heads, f->call->session_key);

	return !link_none(l) && link_eq(l, o->past->session);
}

static bool is_retry(struct spans *sp, const struct owner *o, const struct flight *f)
{
	const struct conversation *c = open_conversation(sp, o->past->serial);

	return c && c->has_failed && f->chain.n && same_process(o, f->process) &&
	       link_eq(c->failed_tip, f->chain.v[f->chain.n - 1]) &&
	       f->call->request_start <= c->failed_at + RETRY_WINDOW;
}

static struct head *head_at(struct spans *sp, const struct flight *f, size_t n)
{
	return heads_find(&sp->heads, f->chain.v[n - 1]);
}

/* It asked the very same, which is no continuation. */
static bool is_twin(const struct owner *o, const struct flight *f, size_t n)
{
	return o->asked && n == f->chain.n;
}

/*
 * Of several conversations with this very chain: session, the latest tool call, process, not continued
 * elsewhere, latest.  `n`: parts of the chain, 0 for a name.
 */
static const struct owner *choose(struct spans *sp, const struct head *h, const struct flight *f, size_t n,
                                  const struct owner *told)
{
	const struct owner *best = NULL;
	unsigned best_rank = 0;

	for (size_t i = 0; h && i < h->n; i++) {
		const struct owner *o = &h->owners[i];
		const struct conversation *c = open_conversation(sp, o->past->serial);
		unsigned rank = (same_session(sp, o, f) ? 8 : 0) | (told && told->past == o->past ? 4 : 0) |
		                (same_process(o, f->process) ? 2 : 0) |
		                (c && link_eq(c->tip, h->at) && LIST_EMPTY(&c->flights) ? 1 : 0);

		if (is_twin(o, f, n))
			continue;
		if (!best || rank > best_rank || (rank == best_rank && o->used > best->used)) {
			best = o;
			best_rank = rank;
		}
	}
	return best;
}

static struct found found(const struct owner *o, const char *evidence, double confidence)
{
	return (struct found){.any = true, .owner = *o, .why = {evidence, confidence}};
}

bool is_aside(const struct llm_call *call)
{
	static const char *const speaking[] = {"chat", "generate_content", "text_completion", "invoke_agent",
	                                       "count_tokens"};

	for (size_t i = 0; i < sizeof(speaking) / sizeof(speaking[0]); i++)
		if (!call->operation || strcmp(call->operation, speaking[i]) == 0)
			return false;
	return true;
}

bool is_preparation(const struct llm_call *call)
{
	return call->warm_up || (call->operation && strcmp(call->operation, "count_tokens") == 0);
}

/* The response or the conversation that the request names: the provider gave the name to one alone. */
static struct found find_named(struct spans *sp, const struct flight *f)
{
	const struct llm_call *call = f->call;
	const struct {
		const char *kind, *evidence;
		struct slice name;
	} names[] = {{"response", "previous_response_id", call->previous_response_id},
	             {"conversation", "conversation_id", call->conversation_id}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct link l = name_link(&sp->heads, names[i].kind, names[i].name);
		struct head *h = link_none(l) ? NULL : heads_find(&sp->heads, l);
		const struct owner *o = choose(sp, h, f, 0, NULL);

		if (o)
			return found(o, names[i].evidence, 0.99);
	}
	return (struct found){0};
}

/* What a process does aside belongs to its conversation where it has only one; a server has many users. */
static struct found find_only(struct spans *sp, const struct flight *f)
{
	struct conversation *c, *only = NULL;

	if (f->call->is_server)
		return (struct found){0};
	TAILQ_FOREACH(c, &sp->lru, lru)
	{
		if (c->process != f->process || link_none(c->tip))
			continue;
		if (only)
			return (struct found){0};
		only = c;
	}
	if (!only)
		return (struct found){0};

	struct owner o = owner_of(only, (struct span_id){{0}});
	return found(&o, "process", 0.5);
}

static struct found find_retry(struct spans *sp, const struct flight *f)
{
	struct head *h = f->chain.n ? heads_find(&sp->heads, f->chain.v[f->chain.n - 1]) : NULL;

	for (size_t i = 0; h && i < h->n; i++)
		if (is_retry(sp, &h->owners[i], f)) {
			struct found r = found(&h->owners[i], "same_messages", 0.95);

			r.again = true;
			r.owner.chat = open_conversation(sp, h->owners[i].past->serial)->failed_continues;
			r.retry = !open_conversation(sp, h->owners[i].past->serial)->only_prepared;
			return r;
		}
	return (struct found){0};
}

static struct found find_session(struct spans *sp, const struct flight *f, const struct owner *told)
{
	if (!f->call->session_key.n)
		return (struct found){0};
	for (size_t n = f->chain.n; n > 0; n--) {
		const struct owner *o = choose(sp, head_at(sp, f, n), f, n, told);

		if (o && same_session(sp, o, f)) {
			struct found r = found(o, "session_key", 0.99);

			r.at = n;
			return r;
		}
	}
	return (struct found){0};
}

/*
 * The longest known chain. What follows the last answer has only been asked, and perhaps by another run of
 * the same agent as well: in that part, the conversation of this process comes before a longer one of
 * another.
 */
static struct found find_prefix(struct spans *sp, const struct flight *f, const struct owner *told)
{
	struct found longest = {0};

	for (size_t n = f->chain.n; n > 0 && n >= f->chain.answered; n--) {
		const struct owner *o = choose(sp, head_at(sp, f, n), f, n, told);
		bool ours = o && same_process(o, f->process);

		if (o && (ours || !longest.any)) {
			longest = found(o, "prefix", 0.95);
			longest.at = n;
		}
		if (ours || (longest.any && n <= f->chain.news))
			break;
	}
	return longest;
}

/* The call that asked for the latest tool call of this history that anybody asked for. */
static struct found find_tool_call(struct spans *sp, const struct flight *f)
{
	const struct chain *c = &f->chain;

	for (size_t i = c->n_ids; i > 0 && i + CHAIN_IDS_MAX > c->n_ids; i--) {
		const struct chain_id *id = &c->ids[(i - 1) % CHAIN_IDS_MAX];
		struct head *h = heads_find(&sp->heads, name_link(&sp->heads, "tool_call", id->id));
		const struct owner *o = choose(sp, h, f, 0, NULL);

		if (o) {
			struct found r = found(o, "tool_call_id", 0.9);

			r.at = id->at;
			return r;
		}
	}
	return (struct found){0};
}

/* Results of open tools of the same process or session: there, ids that only count say something too. */
static struct found find_tool_id(struct spans *sp, const struct flight *f)
{
	const struct llm_messages *in = &f->call->input;

	for (size_t i = 0; i < in->n; i++)
		for (size_t k = 0; k < in->v[i].n_parts; k++) {
			const struct llm_part *p = &in->v[i].parts[k];
			struct tool *t = p->kind == LLM_TOOL_RESULT && p->id.n
			                     ? map_get(&sp->tool_ids, p->id.p, p->id.n)
			                     : NULL;

			for (; t; t = t->next_same_id) {
				struct owner o = owner_of(t->turn->conversation, t->chat);

				if (same_process(&o, f->process) || same_session(sp, &o, f))
					return found(&o, "tool_call_id", 0.8);
			}
		}
	return (struct found){0};
}

/* The same first prompt, an answer that nobody knows: only where it can be meant alone. */
static struct found find_prompt(struct spans *sp, const struct flight *f)
{
	for (size_t n = f->chain.answered ? f->chain.answered - 1 : 0; n > 0; n--) {
		struct head *h = heads_find(&sp->heads, f->chain.v[n - 1]);
		const struct owner *only = NULL;

		for (size_t i = 0; h && i < h->n; i++) {
			if (!same_process(&h->owners[i], f->process) ||
			    !open_conversation(sp, h->owners[i].past->serial))
				continue;
			if (only)
				return (struct found){0};
			only = &h->owners[i];
		}
		if (only)
			return found(only, "prompt", 0.5);
	}
	return (struct found){0};
}

/*
 * The user goes on without an answer, or another agent of the same process takes over: all that the latest
 * call of a conversation asked comes again, with more behind it.
 */
static struct found find_unanswered(struct spans *sp, const struct flight *f)
{
	if (f->call->is_server)
		return (struct found){0};
	for (size_t n = f->chain.n ? f->chain.n - 1 : 0; n > 0; n--) {
		struct head *h = head_at(sp, f, n);

		for (size_t i = 0; h && i < h->n; i++) {
			const struct owner *o = &h->owners[i];
			const struct conversation *c = open_conversation(sp, o->past->serial);

			if (o->asked && c && same_process(o, f->process) && id_eq(c->last_chat, o->chat) &&
			    link_eq(o->past->session, session_link(&sp->heads, f->call->session_key)))
				return found(o, "prefix_no_reply", 0.6);
		}
	}
	return (struct found){0};
}

/* What the history says: the chain, or the id of a tool call that stands behind the known part of it. */
static struct found find_history(struct spans *sp, const struct flight *f)
{
	struct found by_id = find_tool_call(sp, f), r = {0};
	const struct owner *told = by_id.any ? &by_id.owner : NULL;

	if (!f->chain.answered && !by_id.any)
		return r;
	if (f->chain.answered) {
		r = find_session(sp, f, told);
		if (!r.any)
			r = find_prefix(sp, f, told);
	}
	if (by_id.any && (!r.any || by_id.at > r.at))
		r = by_id;
	return r.any ? r : find_tool_id(sp, f);
}

struct found find_conversation(struct spans *sp, const struct flight *f, bool ended)
{
	struct found r = is_aside(f->call) ? find_only(sp, f) : find_retry(sp, f);

	if (!r.any)
		r = find_named(sp, f);
	if (r.any)
		return r;
	r = find_history(sp, f);
	if (!r.any && !f->chain.answered)
		r = find_unanswered(sp, f);
	if (!r.any && (!f->chain.answered || ended))
		r = find_compacted(sp, f);
	/* Until the call has ended, the answer that it continues may still be on its way. */
	if (!r.any && f->chain.answered && ended)
		r = find_prompt(sp, f);
	return r;
}

/* What the user says, or who speaks for him, the latest first: system messages quote the names of tools. */
static size_t prompt_texts(const struct llm_messages *in, struct slice ret[PROMPT_TEXTS_MAX])
{
	size_t n = 0;

	for (size_t i = in->n; i-- > 0;)
		for (size_t k = in->v[i].n_parts; k-- > 0 && n < PROMPT_TEXTS_MAX;) {
			struct slice text = in->v[i].parts[k].text;

			if (!slice_eq(in->v[i].role, SLICE("user")) || in->v[i].parts[k].kind != LLM_TEXT)
				continue;
			ret[n++] = slice_of(text.p, text.n < PROMPT_BYTES_MAX ? text.n : PROMPT_BYTES_MAX);
		}
	return n;
}

struct tool *find_task(const struct flight *f)
{
	struct slice texts[PROMPT_TEXTS_MAX];
	size_t n = prompt_texts(&f->call->input, texts), best = PROMPT_MATCH_MIN - 1;
	struct tool *t, *task = NULL;
	unsigned looked_at = 0;

	if (n == 0)
		return NULL;
	TAILQ_FOREACH_REVERSE(t, &f->process->tools, tool_list, in_agent)
	{
		if (++looked_at > CANDIDATES_MAX)
			break;

		size_t score =
		    t->asked <= flight_start(f) && !t->answered ? tool_match(t, texts, NULL, n) : 0;

		/* Of calls with the same words: one that has begun nothing, then the earlier. */
		if (score > best || (task && score == best && (task->delegated || !t->delegated))) {
			task = t;
			best = score;
		}
	}
	return task;
}
