/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/reorder.h"

/* At the same time: processes before calls, whichever ring was read first; calls as they came. */
static unsigned rank(const struct reorder_item *item)
{
	return item->what < HAPPENS_BEGIN ? (unsigned)item->what : HAPPENS_BEGIN;
}

static bool before(const struct reorder_item *a, const struct reorder_item *b)
{
	if (a->ts != b->ts)
		return a->ts < b->ts;
	return rank(a) != rank(b) ? rank(a) < rank(b) : a->seq < b->seq;
}

static void swap(struct reorder_item *a, struct reorder_item *b)
{
	struct reorder_item t = *a;

	*a = *b;
	*b = t;
}

static void see(struct reorder *r, uint64_t ts)
{
	if (ts > r->newest)
		r->newest = ts;
	if (r->newest > REORDER_NS && r->newest - REORDER_NS > r->horizon)
		r->horizon = r->newest - REORDER_NS;
}

static void push(struct reorder *r, struct reorder_item item)
{
	item.seq = r->seq++;
	xgrow(&r->heap, &r->cap, r->n + 1, sizeof(*r->heap));
	r->heap[r->n] = item;
	for (size_t i = r->n++; i > 0 && before(&r->heap[i], &r->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&r->heap[i], &r->heap[(i - 1) / 2]);
	see(r, item.ts);
}

void reorder_record(struct reorder *r, enum happening what, const struct ev_head *record, size_t size)
{
	struct ev_head *copy = xmalloc(size);

	memcpy(copy, record, size);
	copy->size = (uint32_t)size;
	r->bytes += size;
	push(r, (struct reorder_item){.ts = record->ts, .what = what, .record = copy});
}

uint64_t reorder_call(struct reorder *r, enum happening what, uint64_t ts, struct llm_call *call)
{
	ts = ts ? ts : r->newest;
	push(r, (struct reorder_item){.ts = ts, .what = what, .call = call});
	return ts;
}

void reorder_tick(struct reorder *r, uint64_t now)
{
	if (r->seq == r->seq_at_tick)
		see(r, now);
	r->seq_at_tick = r->seq;
}

bool reorder_take(struct reorder *r, bool all, struct reorder_item *ret)
{
	if (r->n == 0)
		return false;
	if (!all && r->heap[0].ts > r->horizon && r->n <= REORDER_MAX && r->bytes <= REORDER_BYTES_MAX)
		return false;

	*ret = r->heap[0];
	r->heap[0] = r->heap[--r->n];
	for (size_t i = 0;;) {
		size_t least = i, left = 2 * i + 1, right = left + 1;

		if (left < r->n && before(&r->heap[left], &r->heap[least]))
			least = left;
		if (right < r->n && before(&r->heap[right], &r->heap[least]))
			least = right;
		if (least == i)
			break;
		swap(&r->heap[i], &r->heap[least]);
		i = least;
	}
	if (ret->record)
		r->bytes -= ret->record->size;
	return true;
}

void reorder_release(struct reorder *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->heap[i].record);
		if (r->heap[i].what == HAPPENS_END)
			llm_call_free(r->heap[i].call);
	}
	free(r->heap);
	*r = (struct reorder){0};
}
