/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorded.h - an exchange of a file of recorded traffic, as the bytes of
 * HTTP/1.1 that may have carried it.
 *
 * What the recording lost is made up: framing by length or in chunks, content
 * codings.  `../shared/corpus/README.md` describes the files.
 */
#ifndef SPANTAP_TESTS_RECORDED_H
#define SPANTAP_TESTS_RECORDED_H

#include <sodium.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "encoders.h"
#include "proto/decode.h"

static inline struct slice str_of(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static inline void add_bytes(void *ctx, struct slice bytes)
{
	buf_addslice(ctx, bytes);
}

static inline struct slice header_of(yyjson_val *v, const char *name)
{
	size_t i, n;
	yyjson_val *key, *value;

	yyjson_obj_foreach(v, i, n, key, value) if (slice_caseeq(str_of(key), slice_str(name))) return str_of(
	    yyjson_is_arr(value) ? yyjson_arr_get_first(value) : value);
	yyjson_arr_foreach(v, i, n,
	                   value) if (slice_caseeq(str_of(yyjson_arr_get(value, 0)),
	                                           slice_str(name))) return str_of(yyjson_arr_get(value, 1));
	return (struct slice){0};
}

/* False when the body is encoded in a way that decode.h does not know. */
static inline bool body_of(struct buf *out, yyjson_val *message, bool preserved)
{
	struct slice encoding = header_of(yyjson_obj_get(message, "headers"), "content-encoding");
	struct slice b64 = str_of(yyjson_obj_get(message, "body_b64"));
	unsigned char *raw = xmalloc(b64.n + 1);
	size_t n = 0;

	if (b64.n &&
	    sodium_base642bin(raw, b64.n, b64.p, b64.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		abort();

	/* A header may remain on a body that was decoded already. */
	bool gzip = n > 1 && raw[0] == 0x1f && raw[1] == 0x8b;
	bool brotli = slice_caseeq(encoding, SLICE("br")) && preserved;
	struct decoder *d = decoder_new(gzip || brotli ? encoding : (struct slice){0}, add_bytes, out);
	if (d)
		decoder_feed(d, slice_of(raw, n));
	decoder_free(d);
	free(raw);
	return d != NULL;
}

/* The target as a request line has it; a placeholder host has no authority to cut off. */
static inline struct slice target_of(struct slice url, struct slice *ret_host)
{
	const char *scheme = slice_find(url, SLICE("://"));
	struct slice rest = scheme ? slice_from(url, (size_t)(scheme - url.p) + 3) : url;
	const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	struct slice target;

	*ret_host = slice_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);
	rest = slash ? slice_from(rest, ret_host->n) : SLICE("/");
	slice_cut(&rest, '#', &target); /* Mistral's client names its streams so; not sent */
	return target;
}

/* What the writing below decides itself, and what would change what the connection is. */
static inline bool is_framing(struct slice name)
{
	static const char *const names[] = {"content-length", "transfer-encoding", "content-encoding",
	                                    "connection",     "upgrade",           "host",
	                                    "expect"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (slice_caseeq(name, slice_str(names[i])))
			return true;
	return !name.n || name.p[0] == ':';
}

static inline void add_header(struct buf *out, struct slice name, struct slice value)
{
	if (is_framing(name) || !value.p)
		return;
	buf_addf(out, "%.*s: ", (int)name.n, name.p);
	for (size_t i = 0; i < value.n; i++)
		buf_addc(out, value.p[i] == '\r' || value.p[i] == '\n' ? ' ' : value.p[i]);
	buf_adds(out, "\r\n");
}

static inline void add_headers(struct buf *out, yyjson_val *v)
{
	size_t i, n, k, m;
	yyjson_val *key, *value, *one;

	yyjson_obj_foreach(v, i, n, key, value)
	{
		add_header(out, str_of(key), str_of(value));
		yyjson_arr_foreach(value, k, m, one) add_header(out, str_of(key), str_of(one));
	}
	yyjson_arr_foreach(v, i, n, value)
	    add_header(out, str_of(yyjson_arr_get(value, 0)), str_of(yyjson_arr_get(value, 1)));
}

struct transport {
	bool chunked;
	enum encoder request, response;
	size_t step; /* longest piece of a random cut; 0: at once */
};

static inline void add_body(struct buf *out, struct buf *body, bool chunked, enum encoder how)
{
	struct slice s;

	if (how && body->n) {
		encode_body(body, how);
		buf_addf(out, "content-encoding: %s\r\n", encoders[how].name);
	}
	s = buf_slice(body);
	if (!chunked) {
		buf_addf(out, "content-length: %zu\r\n\r\n", s.n);
		buf_addslice(out, s);
		return;
	}
	buf_adds(out, "transfer-encoding: chunked\r\n\r\n");
	while (s.n) {
		size_t n = 1 + (size_t)rand() % 700;

		n = n < s.n ? n : s.n;
		buf_addf(out, "%zx\r\n%.*s", n, 0, "");
		buf_add(out, s.p, n);
		buf_adds(out, "\r\n");
		s = slice_from(s, n);
	}
	buf_adds(out, "0\r\n\r\n");
}

/* One exchange as bytes. False when a body cannot be decoded, or this is no exchange to be written so. */
static inline bool write_exchange(struct buf *rq, struct buf *rs, yyjson_val *item, const struct transport *t)
{
	yyjson_val *request = yyjson_obj_get(item, "request"), *response = yyjson_obj_get(item, "response");
	struct slice method = str_of(yyjson_obj_get(request, "method")), host, target;
	int status = yyjson_get_int(yyjson_obj_get(response, "status"));
	bool bodyless = status < 200 || status == 204 || status == 304 || slice_eq(method, SLICE("HEAD"));
	struct buf body = {0}, answer = {0};
	bool preserved =
	    yyjson_is_true(yyjson_obj_get(yyjson_obj_get(item, "capture"), "encoding_preserved"));
	bool ok = body_of(&body, request, false) && body_of(&answer, response, preserved);

	target = target_of(str_of(yyjson_obj_get(request, "url")), &host);
	buf_addf(rq, "%.*s %.*s HTTP/1.1\r\nhost: %.*s\r\n", (int)method.n, method.p, (int)target.n, target.p,
	         (int)host.n, host.p);
	add_headers(rq, yyjson_obj_get(request, "headers"));
	add_body(rq, &body, t->chunked, t->request);
	buf_addf(rs, "HTTP/1.1 %d x\r\n", status);
	add_headers(rs, yyjson_obj_get(response, "headers"));
	if (bodyless)
		buf_adds(rs, "\r\n");
	else
		add_body(rs, &answer, t->chunked, t->response);
	buf_release(&body);
	buf_release(&answer);
	return ok && status >= 200;
}

#endif
