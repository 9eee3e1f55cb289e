/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "proto/print.h"

/* What has been collected of the two bodies; exchange.user. */
struct printed {
	struct body {
		struct buf shown;
		uint64_t n;
	} request, response;
};

static const char *const damage_names[] = {
    "request-head", "request-body", "response-head", "response-body", "cut",
    "syntax",       "encoding",     "late",          "fields",
};

static void begin_line(struct buf *out, const struct exchange *x)
{
	if (x->request_offset & EXCHANGE_NO_REQUEST)
		buf_addf(out, "none+%" PRIu64 " ", x->request_offset & ~EXCHANGE_NO_REQUEST);
	else
		buf_addf(out, "%" PRIu64 " ", x->request_offset);
}

static void print_fields(struct buf *out, const struct exchange *x, const char *what,
                         const struct http_headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		begin_line(out, x);
		buf_addf(out, "%s ", what);
		text_escape(out, h->v[i].name);
		buf_adds(out, ": ");
		text_escape(out, h->v[i].value);
		buf_addc(out, '\n');
	}
}

static void add_body(struct body *b, struct slice s)
{
	size_t room = PROTO_PRINT_BODY_MAX - b->shown.n;

	b->n += s.n;
	buf_add(&b->shown, s.p, s.n < room ? s.n : room);
}

static void flush_body(struct buf *out, const struct exchange *x, const char *what, struct body *b)
{
	if (b->n) {
		begin_line(out, x);
		buf_addf(out, "%s %" PRIu64 " bytes \"", what, b->n);
		text_escape(out, buf_slice(&b->shown));
		buf_addf(out, "\"%s\n", b->n > b->shown.n ? "…" : "");
	}
	buf_release(&b->shown);
	b->n = 0;
}

static void flush(struct buf *out, const struct exchange *x)
{
	struct printed *p = x->user;

	flush_body(out, x, "request-body", &p->request);
	flush_body(out, x, "response-body", &p->response);
}

static void print_request(void *ctx, struct exchange *x)
{
	struct buf *out = ctx;

	x->user = xcalloc(1, sizeof(struct printed));
	begin_line(out, x);
	buf_adds(out, "request ");
	if (x->method.p) {
		text_escape(out, x->method);
		buf_addc(out, ' ');
		text_escape(out, x->target);
		buf_addf(out, " %.*s dir=%s start=%" PRIu64 "\n", (int)x->protocol.n, x->protocol.p,
		         x->request_dir == EV_DIR_WRITE ? "write" : "read", x->request_start);
		print_fields(out, x, "header", &x->request_headers);
	} else {
		buf_adds(out, "unseen\n");
	}
}

static void print_request_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)ts;
	add_body(&((struct printed *)x->user)->request, s);
}

static void print_request_end(void *ctx, struct exchange *x)
{
	struct buf *out = ctx;

	flush_body(out, x, "request-body", &((struct printed *)x->user)->request);
	print_fields(out, x, "trailer", &x->request_trailers);
	begin_line(out, x);
	buf_addf(out, "request-end ts=%" PRIu64 "\n", x->request_end);
}

static void print_response(void *ctx, struct exchange *x)
{
	struct buf *out = ctx;

	begin_line(out, x);
	buf_addf(out, "response %u start=%" PRIu64 " head=%" PRIu64 "\n", x->status, x->response_start,
	         x->response_head);
	print_fields(out, x, "header", &x->response_headers);
}

static void print_response_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)ts;
	add_body(&((struct printed *)x->user)->response, s);
}

static void print_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	struct buf *out = ctx;

	flush(out, x);
	begin_line(out, x);
	buf_addf(out, "gap %s ", dir == EV_DIR_WRITE ? "write" : "read");
	if (n)
		buf_addf(out, "%" PRIu64, n);
	else
		buf_adds(out, "unknown");
	buf_addf(out, " ts=%" PRIu64 "\n", ts);
}

static void print_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s,
                          bool text)
{
	struct buf *out = ctx;
	bool whole = s.n <= PROTO_PRINT_BODY_MAX;

	begin_line(out, x);
	buf_addf(out, "message %s %s %zu bytes \"", dir == EV_DIR_WRITE ? "write" : "read",
	         text ? "text" : "binary", s.n);
	text_escape(out, slice_of(s.p, whole ? s.n : PROTO_PRINT_BODY_MAX));
	buf_adds(out, whole ? "\"" : "\"…");
	if (!whole)
		buf_addf(out, " crc32=%08lx", crc32_z(0, (const unsigned char *)s.p, s.n));
	buf_addf(out, " ts=%" PRIu64 "\n", ts);
}

static void print_damage(struct buf *out, unsigned damage)
{
	const char *sep = "";

	for (size_t i = 0; i < sizeof(damage_names) / sizeof(*damage_names); i++) {
		if (damage & 1u << i) {
			buf_addf(out, "%s%s", sep, damage_names[i]);
			sep = ",";
		}
	}
	if (!damage)
		buf_adds(out, "none");
}

static void print_end(void *ctx, struct exchange *x)
{
	struct buf *out = ctx;
	struct printed *p = x->user;

	flush(out, x);
	print_fields(out, x, "trailer", &x->response_trailers);
	begin_line(out, x);
	buf_adds(out, "end damage=");
	print_damage(out, x->damage);
	buf_addf(out, " lost=%" PRIu64 " cause=%d bytes=%" PRIu64 "/%" PRIu64, x->lost_bytes, (int)x->cause,
	         x->request_body_bytes, x->response_body_bytes);
	if (x->response_end)
		buf_addf(out, " ts=%" PRIu64, x->response_end);
	if (x->upgraded)
		buf_adds(out, " upgraded");
	if (x->why)
		buf_addf(out, " (%s)", x->why);
	buf_addc(out, '\n');
	free(p);
	x->user = NULL;
}

const struct proto_events proto_print_events = {
    .request = print_request,
    .request_body = print_request_body,
    .request_end = print_request_end,
    .response = print_response,
    .response_body = print_response_body,
    .body_gap = print_gap,
    .message = print_message,
    .end = print_end,
};
