/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/call.h"
#include "llm/socket.h"

#define NOT_CERTAIN "messages were lost: which answer belongs to which request is not certain"

struct socket {
	struct pending *carrier;
	struct api_session session;
	struct pending *open[SOCKET_OPEN_MAX]; /* in the order of their requests */
	size_t n;
	uint64_t n_calls;
	struct pending *current; /* whose response events without an id belong to; NULL: not known */
	struct slice last;       /* the id of the response that ended last, in the session's arena */
	bool holed;              /* messages were lost */
	bool pipelined;          /* a request was sent before the answer to the one before had ended */
	bool request_lost;       /* since the latest call began */
	bool silent[2]; /* [from_client] no message was seen since the latest hole in that direction */
};

struct socket *socket_new(struct pending *carrier, struct slice model)
{
	struct socket *s = xcalloc(1, sizeof(*s));

	s->carrier = carrier;
	s->session.model = arena_dup(&s->session.arena, model);
	return s;
}

static void close_call(struct socket *s, size_t at, uint64_t ts, const char *why)
{
	struct pending *p = s->open[at];

	if (p->call->response_id.n && !slice_eq(s->last, p->call->response_id)) {
		/* One id is kept at a time, and they are short: the arena stays small for long sessions. */
		if (p->call->response_id.n <= 128 && s->session.arena.bytes < 65536)
			s->last = arena_dup(&s->session.arena, p->call->response_id);
	}
	if (s->current == p)
		s->current = NULL;
	s->n--;
	memmove(&s->open[at], &s->open[at + 1], (s->n - at) * sizeof(s->open[0]));
	pending_end(p, ts, p->doubt ? p->doubt : why);
	pending_free(p);
}

static struct pending *open_call(struct socket *s, uint64_t ts)
{
	struct pending *p;

	if (s->n == SOCKET_OPEN_MAX)
		close_call(s, 0, ts, "more requests in work on one connection than are followed");
	p = pending_new(s->carrier->llm, s->carrier->x, s->carrier->api);
	p->answer.is_stream = true;
	p->call->request_offset += ++s->n_calls;
	p->call->framing = "websocket";
	p->call->stream = true;
	p->call->status = s->carrier->x->status;
	if (p->api->context)
		p->api->context(p->call, &s->session);
	buf_clear(&s->session.items);
	s->open[s->n++] = p;
	return p;
}

static void request(struct socket *s, uint64_t ts, struct slice text, const struct llm_api *api)
{
	struct buf body = {0};
	struct pending *p;
	yyjson_doc *doc;
	struct api_message m;

	/* What a hole touched is over when the client asks again; it may still go on where nothing is seen.
	 */
	for (size_t i = s->n; i-- > 0;)
		if (s->open[i]->doubt || s->silent[false])
			close_call(s, i, ts, "response messages lost");
	s->pipelined = s->pipelined || s->n > 0;

	p = open_call(s, ts);
	doc = json_read_into(&p->call->arena, text);
	m = api->message(&s->session, true, yyjson_doc_get_root(doc));
	api->request(p->call, m.request);
	if (!p->call->request_model.n)
		p->call->request_model = arena_dup(&p->call->arena, s->session.model);
	if (s->holed && s->pipelined)
		p->doubt = NOT_CERTAIN;
	s->request_lost = false;
	buf_addslice(&body, text);
	request_body(&p->llm->requests, p->call, &body, doc != NULL);
	yyjson_doc_free(doc);
	p->call->request_bytes = text.n;
	p->call->request_start = p->call->request_end = ts;
	pending_weigh(p);
	pending_begin(p);
}

/* An answer to no request that was seen. */
static struct pending *unasked(struct socket *s, uint64_t ts)
{
	struct pending *p = open_call(s, ts);

	if (s->request_lost || (s->holed && s->pipelined))
		p->doubt = "request messages lost";
	else if (!p->api->unasked)
		p->doubt = "an answer without a request";
	if (!p->call->request_model.n)
		p->call->request_model = arena_dup(&p->call->arena, s->session.model);
	p->call->request_start = p->call->request_end = ts;
	pending_begin(p);
	/* A hole of unknown length lasts until a message is seen again. */
	s->request_lost = s->request_lost && s->silent[true];
	return p;
}

/* The call that an event belongs to; NULL when none does. */
static struct pending *call_of(struct socket *s, uint64_t ts, const struct api_message *m)
{
	struct pending *first = NULL;

	if (m->response.n) {
		for (size_t i = 0; i < s->n; i++) {
			if (slice_eq(s->open[i]->call->response_id, m->response))
				return s->open[i];
			if (!first && !s->open[i]->call->response_id.n)
				first = s->open[i];
		}
		if (slice_eq(s->last, m->response))
			return NULL; /* late: its call has ended */
		if (first)
			return first;
		return m->kind == MESSAGE_BEGIN ? unasked(s, ts) : NULL;
	}
	/* The event of no response in particular, as an error: the call that waits longest. */
	return s->current ? s->current : s->n ? s->open[0] : NULL;
}

static void event(struct socket *s, uint64_t ts, const struct api_message *m, size_t n, yyjson_val *v)
{
	struct pending *p = call_of(s, ts, m);

	if (!p)
		return;
	if (m->response.n)
		s->current = p;
	/* Its beginning may lie in a hole that reached further than was known. */
	if (s->holed && m->kind != MESSAGE_BEGIN && !p->call->response_start)
		p->doubt = "response messages lost";
	if (!p->call->response_start)
		p->call->response_start = ts;
	p->call->response_bytes += n;
	p->response_last = ts;
	pending_value(p, ts, (struct slice){0}, v);
	answer_once(&p->answer, &p->call->response_id, m->response);
	pending_weigh(p);
	if (!p->answer.done)
		return;
	for (size_t i = s->n; i-- > 0;)
		if (s->open[i] == p)
			close_call(s, i, ts, p->answer.cut ? "response body larger than the limit" : NULL);
}

void socket_message(struct socket *s, enum ev_dir dir, uint64_t ts, struct slice text)
{
	const struct llm_api *api = s->carrier->api;
	bool from_client = dir == s->carrier->x->request_dir;
	yyjson_doc *doc = json_read(text);
	struct api_message m;

	s->silent[from_client] = false;
	if (!doc)
		return;
	m = api->message(&s->session, from_client, yyjson_doc_get_root(doc));
	if (m.kind == MESSAGE_REQUEST)
		request(s, ts, text, api);
	else if (m.kind == MESSAGE_BEGIN || m.kind == MESSAGE_EVENT)
		event(s, ts, &m, text.n, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
}

void socket_gap(struct socket *s, enum ev_dir dir, uint64_t ts)
{
	bool from_client = dir == s->carrier->x->request_dir;

	(void)ts;
	s->holed = s->silent[from_client] = true;
	if (from_client)
		s->request_lost = true;
	else
		s->current = NULL;
	/* A request that was lost may be the one that the next events answer. */
	for (size_t i = 0; i < s->n; i++)
		s->open[i]->doubt = from_client ? "request messages lost" : "response messages lost";
}

bool socket_end(struct socket *s, uint64_t ts)
{
	while (s->n)
		close_call(s, 0, s->open[0]->response_last ? s->open[0]->response_last : ts,
		           s->open[0]->call->response_start
		               ? "response cut: the connection or the capture ended"
		               : "no response: the connection or the capture ended");
	return s->n_calls > 0;
}

void socket_free(struct socket *s)
{
	if (!s)
		return;
	while (s->n)
		pending_free(s->open[--s->n]);
	arena_release(&s->session.arena);
	buf_release(&s->session.settings);
	buf_release(&s->session.items);
	free(s);
}
