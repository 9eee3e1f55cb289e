/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "span/assembler.h"
#include "span/heads.h"

#define VERSION 1

static void put_number(struct buf *out, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		buf_addc(out, (char)(v >> (8 * i)));
}

static uint64_t get_number(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 8; i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

/* version u8, asked u8, link[16] conversation[8] trace[16] root[8] chat[8] session[16], turns, last_wall u64
 */
void head_encode(struct buf *out, const struct head_record *h)
{
	buf_addc(out, VERSION);
	buf_addc(out, h->asked);
	buf_add(out, h->link, sizeof(h->link));
	buf_add(out, h->conversation, sizeof(h->conversation));
	buf_add(out, h->trace, sizeof(h->trace));
	buf_add(out, h->root, sizeof(h->root));
	buf_add(out, h->chat, sizeof(h->chat));
	buf_add(out, h->session, sizeof(h->session));
	put_number(out, h->turns);
	put_number(out, h->last_wall);
}

static const uint8_t *get_bytes(const uint8_t *p, void *ret, size_t n)
{
	memcpy(ret, p, n);
	return p + n;
}

int head_decode(struct slice in, struct head_record *ret)
{
	const uint8_t *p = (const uint8_t *)in.p;
	struct head_record h = {0};

	if (in.n != HEAD_RECORD_SIZE || p[0] != VERSION || p[1] > 1)
		return -EBADMSG;
	h.asked = p[1];
	p = get_bytes(p + 2, h.link, sizeof(h.link));
	p = get_bytes(p, h.conversation, sizeof(h.conversation));
	p = get_bytes(p, h.trace, sizeof(h.trace));
	p = get_bytes(p, h.root, sizeof(h.root));
	p = get_bytes(p, h.chat, sizeof(h.chat));
	p = get_bytes(p, h.session, sizeof(h.session));
	h.turns = get_number(p);
	h.last_wall = get_number(p + 8);
	*ret = h;
	return 0;
}

void heads_give(struct spans *sp, struct link at, const struct owner *o)
{
	const struct past *past = o->past;
	struct head_record h = {.asked = o->asked, .turns = past->turns};

	if (!sp->ev->head)
		return;
	memcpy(h.link, at.b, sizeof(h.link));
	memcpy(h.conversation, past->id.b, sizeof(h.conversation));
	memcpy(h.trace, past->trace.b, sizeof(h.trace));
	memcpy(h.root, past->root.b, sizeof(h.root));
	memcpy(h.chat, o->chat.b, sizeof(h.chat));
	memcpy(h.session, past->session.b, sizeof(h.session));
	if (sp->conf.clock && past->last)
		h.last_wall = clock_map_wall(sp->conf.clock, past->last);
	sp->ev->head(sp->ctx, &h);
}

void heads_want(struct spans *sp, const struct flight *f)
{
	const struct llm_call *call = f->call;
	struct link names[] = {name_link(&sp->heads, "response", call->previous_response_id),
	                       name_link(&sp->heads, "conversation", call->conversation_id)};
	uint8_t links[HEADS_WANTED_MAX][16];
	size_t n = 0;

	if (!sp->ev->want)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!link_none(names[i]))
			memcpy(links[n++], names[i].b, sizeof(names[i].b));
	for (size_t i = f->chain.n_ids;
	     i > 0 && i + CHAIN_IDS_MAX > f->chain.n_ids && n < HEADS_WANTED_MAX / 2; i--) {
		struct link l = name_link(&sp->heads, "tool_call", f->chain.ids[(i - 1) % CHAIN_IDS_MAX].id);

		memcpy(links[n++], l.b, sizeof(l.b));
	}
	for (size_t i = f->chain.n; i >= f->chain.answered && i > 0 && n < HEADS_WANTED_MAX; i--)
		memcpy(links[n++], f->chain.v[i - 1].b, sizeof(f->chain.v[i - 1].b));
	if (n)
		sp->ev->want(sp->ctx, links, n);
}

/* The conversation may be open already, or have been closed in this run: then it is better known here. */
static bool is_news(const struct past *p)
{
	return p->refs == 1 && !p->serial && !p->last;
}

void spans_head(struct spans *sp, const struct head_record *h)
{
	struct span_id id;
	struct owner o = {.asked = h->asked};
	struct link at;

	memcpy(id.b, h->conversation, sizeof(id.b));
	memcpy(at.b, h->link, sizeof(at.b));
	o.past = past_get(&sp->heads, id);
	if (is_news(o.past) || (!o.past->last && o.past->turns < h->turns)) {
		memcpy(o.past->root.b, h->root, sizeof(o.past->root.b));
		memcpy(o.past->trace.b, h->trace, sizeof(o.past->trace.b));
		memcpy(o.past->session.b, h->session, sizeof(o.past->session.b));
		o.past->turns = h->turns;
	}
	memcpy(o.chat.b, h->chat, sizeof(o.chat.b));
	if (!heads_knows(&sp->heads, at, &o))
		heads_add(&sp->heads, at, &o);
	past_unref(&sp->heads, o.past);
}
