/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "llm/request.h"

void request_memory_init(struct request_memory *m)
{
	hash_key_init(&m->key);
}

void request_memory_release(struct request_memory *m)
{
	for (size_t i = 0; i < REQUEST_STATES; i++)
		hash_free(m->states[i].state);
}

void request_head(struct llm_call *call, const struct exchange *x, struct slice target)
{
	const struct http_headers *h = &x->request_headers;
	bool tls = x->conn && x->conn->lib != EV_LIB_UNKNOWN && x->conn->lib != EV_LIB_SOCKET;

	call->method = arena_dup(&call->arena, x->method);
	call->target = arena_dup(&call->arena, target);
	call->scheme =
	    tls || slice_eq(http_header_get(h, SLICE(":scheme")), SLICE("https")) ? "https" : "http";
	call->request_headers.v = arena_alloc(&call->arena, (h->n + 1) * sizeof(*h->v));
	call->request_headers.n = h->n;
	for (size_t i = 0; i < h->n; i++)
		call->request_headers.v[i] =
		    (struct http_header){.name = arena_dup(&call->arena, h->v[i].name),
		                         .value = arena_dup(&call->arena, h->v[i].value)};
}

/* Of all up to the end of each piece. */
static struct keyed_hash *prefix_hashes(const struct request_memory *m, const struct pieces *p,
                                        struct slice body)
{
	struct keyed_hash *v = xcalloc(p->n, sizeof(*v)), before = {{0}};
	size_t at = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct piece *piece = &p->v[i];
		const struct slice parts[] = {slice_of(&before, sizeof(before)),
		                              slice_of(body.p + at, piece->from - at),
		                              slice_of(&piece->hash, sizeof(piece->hash))};

		before = v[i] = hash_keyed(&m->key, parts, 3);
		at = piece->to;
	}
	return v;
}

static struct request_state *place(struct request_memory *m, const struct keyed_hash *h)
{
	size_t i;

	memcpy(&i, h, sizeof(i));
	return &m->states[i % REQUEST_STATES];
}

static const struct hash_state *known(struct request_memory *m, const struct keyed_hash *at)
{
	const struct request_state *s = place(m, at);

	return s->state && memcmp(&s->at, at, sizeof(*at)) == 0 ? s->state : NULL;
}

static void remember(struct request_memory *m, const struct keyed_hash *at, const struct hash_state *state)
{
	struct request_state *s = place(m, at);

	hash_free(s->state);
	*s = (struct request_state){*at, hash_dup(state)};
}

/* The next request may leave out or rewrite the last messages: 0, 1, 2, 4, 8 … before the end of the list. */
static bool is_kept(const struct pieces *p, size_t i, size_t last)
{
	size_t before = last - i;

	return i <= last && p->v[i].list == p->v[last].list && before <= 16 && (before & (before - 1)) == 0;
}

/* The last piece of the list that takes most of the body: it grows from request to request. */
static size_t growing_end(const struct pieces *p)
{
	size_t best = 0, end = 0, bytes = 0;

	for (size_t i = 0; i < p->n; i++) {
		bytes = i && p->v[i].list == p->v[i - 1].list ? bytes : 0;
		bytes += p->v[i].to - p->v[i].from;
		if (bytes >= best) {
			best = bytes;
			end = i;
		}
	}
	return end;
}

static struct hash digest(struct request_memory *m, const struct pieces *p, struct slice body)
{
	if (p->n == 0 || body.n < REQUEST_STATE_MIN)
		return hash_bytes(body);

	struct keyed_hash *prefix = prefix_hashes(m, p, body);
	size_t last = growing_end(p), i = last + 1;
	const struct hash_state *begun = NULL;

	while (i > 0 && !(begun = known(m, &prefix[i - 1])))
		i--;
	struct hash_state *state = begun ? hash_dup(begun) : hash_begin();
	size_t at = i ? p->v[i - 1].to : 0;

	for (; i <= last; i++) {
		if (!is_kept(p, i, last))
			continue;
		hash_more(state, slice_of(body.p + at, p->v[i].to - at));
		at = p->v[i].to;
		remember(m, &prefix[i], state);
	}
	free(prefix);
	hash_more(state, slice_from(body, at));
	return hash_end(state);
}

void request_pieces(struct request_memory *m, struct llm_call *call, struct slice body)
{
	call->pieces = pieces_find(&call->arena, body);
	pieces_hash(&call->pieces, body, &m->key);
}

void request_body(struct request_memory *m, struct llm_call *call, struct buf *body, bool json)
{
	struct buf hex = {0};

	call->body = *body;
	*body = (struct buf){0};
	call->body_is_json = json && call->body.n;
	if (!call->body_is_json)
		call->pieces = (struct pieces){NULL, 0};
	else if (!call->pieces.n)
		request_pieces(m, call, buf_slice(&call->body));
	struct hash h = digest(m, &call->pieces, buf_slice(&call->body));
	text_hex(&hex, h.b, sizeof(h.b));
	call->request_sha256 = arena_dup(&call->arena, buf_slice(&hex));
	buf_release(&hex);
}
