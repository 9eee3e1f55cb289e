/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_peers.h - an HTTP/2 client and server made of nghttp2's sessions, talking in memory.
 *
 * An encoder that is not ours: what it puts on the wire is recorded in the
 * order in which it was said, and is what a capture of the client would see.
 */
#ifndef SPANTAP_TESTS_HTTP2_PEERS_H
#define SPANTAP_TESTS_HTTP2_PEERS_H

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/proto.h"

#define PEERS_HEADERS_MAX 64

/* What is to be said. Names in lower case. */
struct peers_call {
	struct slice method, path, authority;
	struct http_headers request_headers;
	struct slice request_body;
	unsigned status;
	struct http_headers response_headers;
	struct slice response_body;
	bool interim, trailers,
	    reset; /* 103 first; trailers behind the response; the client gives up in the middle */

	int32_t stream;             /* which it became */
	size_t requested, answered; /* bytes of the bodies said */
	bool done;
};

struct peers_record {
	enum ev_dir dir;
	size_t offset, n;
};

struct peers {
	nghttp2_session *client, *server;
	struct peers_call *calls;
	size_t n_calls, next, open, at_once;
	size_t piece;       /* largest DATA */
	unsigned padding;   /* largest */
	struct buf wire[2]; /* by enum ev_dir of the client: write, read */
	struct peers_record *records;
	size_t n_records, cap_records;
};

static uint64_t peers_rng = 88172645463325252u;

static inline unsigned peers_random(unsigned n)
{
	peers_rng ^= peers_rng << 13;
	peers_rng ^= peers_rng >> 7;
	peers_rng ^= peers_rng << 17;
	return (unsigned)(peers_rng >> 11) % n;
}

static inline struct peers_call *peers_call_of(struct peers *p, int32_t stream)
{
	for (size_t i = 0; i < p->next; i++) {
		if (p->calls[i].stream == stream)
			return &p->calls[i];
	}
	abort();
}

static inline nghttp2_nv peers_nv(struct slice name, struct slice value)
{
	return (nghttp2_nv){(uint8_t *)name.p, (uint8_t *)value.p, name.n, value.n, NGHTTP2_NV_FLAG_NONE};
}

static inline size_t peers_nvs(nghttp2_nv *nv, size_t n, const struct http_headers *h)
{
	for (size_t i = 0; i < h->n && n < PEERS_HEADERS_MAX; i++)
		nv[n++] = peers_nv(h->v[i].name, h->v[i].value);
	return n;
}

static inline ssize_t peers_read(struct peers *p, struct slice body, size_t *at, uint8_t *out, size_t room,
                                 uint32_t *flags)
{
	size_t n = body.n - *at;

	n = n < room ? n : room;
	if (n > p->piece)
		n = 1 + peers_random((unsigned)p->piece);
	if (n)
		memcpy(out, body.p + *at, n);
	*at += n;
	if (*at == body.n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static inline ssize_t peers_read_request(nghttp2_session *s, int32_t stream, uint8_t *out, size_t room,
                                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct peers *p = user;
	struct peers_call *c = peers_call_of(p, stream);

	(void)s, (void)source;
	return peers_read(p, c->request_body, &c->requested, out, room, flags);
}

static inline ssize_t peers_read_response(nghttp2_session *s, int32_t stream, uint8_t *out, size_t room,
                                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct peers *p = user;
	struct peers_call *c = peers_call_of(p, stream);
	nghttp2_nv trailer = peers_nv(SLICE("checksum"), SLICE("none"));
	ssize_t n = peers_read(p, c->response_body, &c->answered, out, room, flags);

	(void)source;
	if (c->reset && c->answered * 2 >= c->response_body.n)
		nghttp2_submit_rst_stream(p->client, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
	if (*flags & NGHTTP2_DATA_FLAG_EOF && c->trailers) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(s, stream, &trailer, 1);
	}
	return n;
}

/* The server answers when the request is whole. */
static inline int peers_on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct peers *p = user;
	nghttp2_nv nv[PEERS_HEADERS_MAX], interim = peers_nv(SLICE(":status"), SLICE("103"));
	nghttp2_data_provider body = {.read_callback = peers_read_response};
	struct peers_call *c;
	char status[8];

	if (s != p->server || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	c = peers_call_of(p, f->hd.stream_id);
	snprintf(status, sizeof(status), "%u", c->status);
	nv[0] = peers_nv(SLICE(":status"), slice_str(status));
	if (c->interim)
		nghttp2_submit_headers(s, NGHTTP2_FLAG_NONE, f->hd.stream_id, NULL, &interim, 1, NULL);
	nghttp2_submit_response(s, f->hd.stream_id, nv, peers_nvs(nv, 1, &c->response_headers), &body);
	return 0;
}

static inline int peers_on_close(nghttp2_session *s, int32_t stream, uint32_t code, void *user)
{
	struct peers *p = user;

	(void)code;
	if (s == p->client) {
		peers_call_of(p, stream)->done = true;
		p->open--;
	}
	return 0;
}

static inline ssize_t peers_pad(nghttp2_session *s, const nghttp2_frame *f, size_t max, void *user)
{
	struct peers *p = user;
	size_t n = f->hd.length + (p->padding ? peers_random(p->padding) : 0);

	(void)s;
	return (ssize_t)(n < max ? n : max);
}

static inline void peers_ask(struct peers *p)
{
	struct peers_call *c = &p->calls[p->next++];
	nghttp2_nv nv[PEERS_HEADERS_MAX];
	nghttp2_data_provider body = {.read_callback = peers_read_request};

	nv[0] = peers_nv(SLICE(":method"), c->method);
	nv[1] = peers_nv(SLICE(":path"), c->path);
	nv[2] = peers_nv(SLICE(":scheme"), SLICE("https"));
	nv[3] = peers_nv(SLICE(":authority"), c->authority);
	c->stream = nghttp2_submit_request(p->client, NULL, nv, peers_nvs(nv, 4, &c->request_headers),
	                                   c->request_body.n ? &body : NULL, NULL);
	if (c->stream < 0)
		abort();
	p->open++;
}

/* What one side has to say goes over the wire. False when it was nothing. */
static inline bool peers_say(struct peers *p, enum ev_dir dir)
{
	nghttp2_session *from = dir == EV_DIR_WRITE ? p->client : p->server;
	nghttp2_session *to = dir == EV_DIR_WRITE ? p->server : p->client;
	const uint8_t *bytes;
	ssize_t n = nghttp2_session_mem_send(from, &bytes);

	if (n <= 0)
		return false;
	xgrow(&p->records, &p->cap_records, p->n_records + 1, sizeof(*p->records));
	p->records[p->n_records++] = (struct peers_record){dir, p->wire[dir].n, (size_t)n};
	buf_add(&p->wire[dir], bytes, (size_t)n);
	if (nghttp2_session_mem_recv(to, bytes, (size_t)n) != n)
		abort();
	return true;
}

static inline void peers_run(struct peers *p, struct peers_call *calls, size_t n_calls)
{
	nghttp2_session_callbacks *cb;
	nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
	                                     {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 512u << peers_random(8)},
	                                     {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 20}};

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, peers_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, peers_on_close);
	nghttp2_session_callbacks_set_select_padding_callback(cb, peers_pad);
	nghttp2_session_client_new(&p->client, cb, p);
	nghttp2_session_server_new(&p->server, cb, p);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(p->client, NGHTTP2_FLAG_NONE, settings, 3);
	nghttp2_submit_settings(p->server, NGHTTP2_FLAG_NONE, settings, 3);
	p->calls = calls;
	p->n_calls = n_calls;
	for (bool said = true; said || p->next < p->n_calls;) {
		enum ev_dir first = (enum ev_dir)peers_random(2);

		if (p->next < p->n_calls && p->open < p->at_once)
			peers_ask(p);
		said = peers_say(p, first);
		said |= peers_say(p, (enum ev_dir) !first);
	}
}

static inline void peers_release(struct peers *p)
{
	nghttp2_session_del(p->client);
	nghttp2_session_del(p->server);
	buf_release(&p->wire[0]);
	buf_release(&p->wire[1]);
	free(p->records);
}

#endif
