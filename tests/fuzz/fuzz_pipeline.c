/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as a recording may hold them, through all stages.
 *
 * Input: bytes of a recording (its magic is passed over), taken as they are;
 * or, when the first byte is no 's', a list of orders that build sound records:
 *
 *   dir/connection (1 byte), kind (1 byte), length (1 byte), then for data
 *   `length` bytes of payload; offsets and sequence numbers are kept right but
 *   for orders that make holes.
 */
#include <stdlib.h>

#include "daemon/pipeline.h"
#include "daemon/recording.h"

#define CONNS    4
#define HELD_MAX (8u << 20) /* more than any input of libFuzzer's size may make a pipeline hold */

struct builder {
	struct pipeline *p;
	struct buf rec;
	uint64_t ts, offset[CONNS][2];
};

static void on_span(void *ctx, const struct span *s)
{
	struct buf text = {0};

	(void)ctx;
	span_print(&text, s, 0);
	buf_release(&text);
}

static struct ev_proc proc(unsigned n)
{
	return (struct ev_proc){.start = n, .tgid = 100 + n, .pid = 100 + n};
}

static struct ev_conn_id conn(unsigned n)
{
	return (struct ev_conn_id){.tls = n, .gen = 1, .proc = proc(n / 2)};
}

static void give(struct builder *b, void *rec, uint32_t type, const void *payload, size_t n)
{
	static const size_t sizes[] = {
	    [EV_FORK] = sizeof(struct ev_fork),   [EV_EXEC] = sizeof(struct ev_exec),
	    [EV_EXIT] = sizeof(struct ev_exit),   [EV_CONN_CLOSE] = sizeof(struct ev_conn),
	    [EV_DATA] = sizeof(struct ev_data),   [EV_TOTALS] = sizeof(struct ev_conn),
	    [EV_CLOCK] = sizeof(struct ev_clock), [EV_MARK] = sizeof(struct ev_mark),
	};
	struct ev_head *head = rec;

	*head = (struct ev_head){type, (uint32_t)(sizes[type] + n), b->ts};
	buf_clear(&b->rec);
	buf_add(&b->rec, rec, sizes[type]);
	buf_add(&b->rec, payload, n);
	pipeline_record(b->p, (const void *)b->rec.p, false);
}

static void data(struct builder *b, unsigned c, unsigned dir, struct slice payload, unsigned flags)
{
	struct ev_data d = {.conn = conn(c), .offset = b->offset[c][dir]};

	d.other = b->offset[c][!dir];
	d.moved = payload.n % 2 ? (uint32_t)d.other : 0;
	d.len = (uint32_t)payload.n;
	d.dir = (uint8_t)dir;
	d.lib = EV_LIB_OPENSSL;
	d.flags = (uint16_t)flags;
	b->offset[c][dir] += payload.n;
	give(b, &d, EV_DATA, payload.p, payload.n);
}

static void life(struct builder *b, unsigned kind, unsigned c, struct slice payload)
{
	struct ev_fork f = {.parent = proc(c / 2), .child = proc(8 + payload.n % 8)};
	struct ev_exec e = {.proc = f.child, .argv_len = (uint32_t)payload.n};
	struct ev_exit x = {.proc = payload.n & 1 ? f.child : f.parent};
	struct ev_conn k = {.conn = conn(c), .produced = {b->offset[c][0], b->offset[c][1]}};
	struct ev_clock t = {.realtime_offset = (int64_t)payload.n << 32};
	struct ev_mark m = {.what = EV_MARK_LIFE_LOST, .a = payload.n};

	switch (kind) {
	case 0:
		give(b, &f, EV_FORK, NULL, 0);
		break;
	case 1:
		give(b, &e, EV_EXEC, payload.p, payload.n);
		break;
	case 2:
		give(b, &x, EV_EXIT, NULL, 0);
		break;
	case 3:
		k.flags = EV_CONN_FREED;
		give(b, &k, EV_CONN_CLOSE, NULL, 0);
		break;
	case 4:
		k.produced[payload.n & 1] += payload.n;
		give(b, &k, EV_TOTALS, NULL, 0);
		break;
	case 5:
		give(b, &t, EV_CLOCK, NULL, 0);
		break;
	default:
		give(b, &m, EV_MARK, NULL, 0);
		break;
	}
}

static bool order(struct builder *b, struct slice *in)
{
	if (in->n < 3)
		return false;

	unsigned who = (uint8_t)in->p[0], kind = (uint8_t)in->p[1], n = (uint8_t)in->p[2];
	unsigned c = who % CONNS, dir = who >> 2 & 1;
	/* Large enough for a head in one order. */
	size_t want = kind & 0x80 ? n * 8 : n, len = want < in->n - 3 ? want : in->n - 3;
	struct slice payload = slice_of(in->p + 3, len);

	*in = slice_from(*in, 3 + len);
	b->ts += (uint64_t)(who >> 3) * 10000000;
	switch (kind & 15) {
	case 8:
		b->offset[c][dir] += 1 + n; /* a hole */
		break;
	case 9:
		data(b, c, dir, payload, EV_DATA_UNREADABLE);
		break;
	case 10:
		b->ts += 1000000000ull << (n & 15);
		pipeline_tick(b->p, b->ts);
		break;
	default:
		if ((kind & 15) < 7)
			life(b, kind & 15, c, payload);
		else if (payload.n)
			data(b, c, dir, payload, kind & 64 ? EV_DATA_LATE : 0);
		break;
	}
	return true;
}

/* Records as they stand in the input; what has no sound size ends it. */
static uint64_t raw(struct pipeline *p, struct slice in)
{
	uint64_t last = 0;

	while (in.n >= sizeof(struct ev_head)) {
		struct ev_head head;

		memcpy(&head, in.p, sizeof(head));
		if (head.size < sizeof(head) || head.size > in.n)
			break;

		struct ev_head *copy = malloc(head.size);
		if (!copy)
			abort();
		memcpy(copy, in.p, head.size);
		pipeline_record(p, copy, head.type == EV_DATA && (head.ts & 255) == 7);
		free(copy);
		last = head.ts;
		size_t padded = (head.size + 7u) & ~7u;
		in = slice_from(in, padded < in.n ? padded : in.n);
	}
	return last;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct span_events events = {.span = on_span};
	static const uint8_t instance[16] = "fuzz";
	struct slice in = slice_of(bytes, size);
	struct builder b = {.ts = 1000000000};
	uint64_t last;

	if (size < 16)
		return 0;
	b.p = pipeline_new(instance, (enum content_level)(bytes[15] & 3), bytes[15] >> 2 & 6, NULL, &events, NULL);
	if (bytes[0] == 's') {
		last = raw(b.p, slice_from(in, 16));
	} else {
		in = slice_from(in, 1);
		while (order(&b, &in))
			;
		last = b.ts;
	}
	if (size < (1u << 20) && pipeline_stats(b.p).llm.body_bytes_held > HELD_MAX + 64 * size)
		abort();
	pipeline_finish(b.p, last);
	if (pipeline_stats(b.p).stream.open || pipeline_stats(b.p).llm.body_bytes_held)
		abort();
	pipeline_free(b.p);
	buf_release(&b.rec);
	return 0;
}
