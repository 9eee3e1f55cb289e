/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <curl/curl.h>
#include <yyjson.h>
#include <zlib.h>

#include "base/alloc.h"
#include "sink/otlp_http.h"
#include "sink/otlp_proto.h"

#define ANSWER_MAX  65536 /* bytes of an answer that are read; what is behind says nothing to us */
#define MESSAGE_MAX 400
#define RETRY_MAX_S 3600 /* an endpoint that asks for more is asked again all the same */

struct otlp_client {
	struct otlp_endpoint conf;
	CURL *curl;
	struct curl_slist *headers;
	bool (*go_on)(void *ctx);
	void *ctx;
	struct buf answer, packed;
	char error[CURL_ERROR_SIZE];
};

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
	struct otlp_client *c = ctx;
	size_t room = ANSWER_MAX - c->answer.n, bytes = size * n;

	buf_add(&c->answer, data, bytes < room ? bytes : room);
	return bytes;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
	struct otlp_client *c = ctx;

	(void)a, (void)b, (void)d, (void)e;
	return !c->go_on(c->ctx);
}

static bool set_options(struct otlp_client *c)
{
	const struct otlp_endpoint *e = &c->conf;
	bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(c->curl, option, value) == CURLE_OK
	SET(CURLOPT_URL, e->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_USERAGENT, "spantap/" SPANTAP_VERSION);
	SET(CURLOPT_TIMEOUT_MS, (long)e->timeout_ms);
	SET(CURLOPT_WRITEFUNCTION, on_answer);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, c);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_ERRORBUFFER, c->error);
	if (e->ca)
		SET(CURLOPT_CAINFO, e->ca);
	if (e->certificate)
		SET(CURLOPT_SSLCERT, e->certificate);
	if (e->key)
		SET(CURLOPT_SSLKEY, e->key);
#undef SET
	return ok;
}

struct otlp_client *otlp_client_new(const struct otlp_endpoint *e, bool (*go_on)(void *ctx), void *ctx, struct buf *ret_error)
{
	struct otlp_client *c = xcalloc(1, sizeof(*c));

	c->conf = *e;
	c->go_on = go_on;
	c->ctx = ctx;
	c->curl = curl_easy_init();
	c->headers = curl_slist_append(c->headers, e->encoding == OTLP_JSON ? "Content-Type: application/json"
									    : "Content-Type: application/x-protobuf");
	c->headers = curl_slist_append(c->headers, "Expect:");
	if (e->gzip)
		c->headers = curl_slist_append(c->headers, "Content-Encoding: gzip");
	for (size_t i = 0; i < e->n_headers; i++)
		c->headers = curl_slist_append(c->headers, e->headers[i]);
	if (c->curl && set_options(c))
		return c;
	buf_addf(ret_error, "the HTTP library refuses '%s'", e->url);
	otlp_client_free(c);
	return NULL;
}

void otlp_client_free(struct otlp_client *c)
{
	if (!c)
		return;
	curl_slist_free_all(c->headers);
	curl_easy_cleanup(c->curl);
	buf_release(&c->answer);
	buf_release(&c->packed);
	free(c);
}

/* RFC 1952. False: it did not work, so the body goes as it is. */
static bool pack(struct otlp_client *c, struct slice body)
{
	z_stream z = {0};

	buf_clear(&c->packed);
	if (body.n > UINT32_MAX || deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	buf_reserve(&c->packed, deflateBound(&z, body.n));
	z.next_in = (Bytef *)(uintptr_t)body.p;
	z.avail_in = (uInt)body.n;
	z.next_out = (Bytef *)c->packed.p;
	z.avail_out = (uInt)c->packed.cap;
	bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
	c->packed.n = z.total_out;
	deflateEnd(&z);
	return done;
}

static void read_json_answer(struct otlp_client *c, struct otlp_result *ret)
{
	yyjson_doc *doc = yyjson_read(c->answer.p ? c->answer.p : "", c->answer.n, 0);
	yyjson_val *partial = yyjson_obj_get(yyjson_doc_get_root(doc), "partialSuccess");
	yyjson_val *n = yyjson_obj_get(partial, "rejectedSpans"), *text = yyjson_obj_get(partial, "errorMessage");

	if (yyjson_is_str(n))
		slice_u64(slice_of(yyjson_get_str(n), yyjson_get_len(n)), &ret->rejected);
	else
		ret->rejected = yyjson_get_uint(n);
	if (yyjson_is_str(text))
		buf_add(&ret->message, yyjson_get_str(text), yyjson_get_len(text));
	yyjson_doc_free(doc);
}

/* The answer has the encoding of the request; one that cannot be read says nothing. */
static void read_answer(struct otlp_client *c, struct otlp_result *ret)
{
	ret->outcome = OTLP_TAKEN;
	if (c->conf.encoding == OTLP_JSON)
		read_json_answer(c, ret);
	else
		otlp_proto_response(buf_slice(&c->answer), &ret->rejected, &ret->message);
	if (ret->message.n > MESSAGE_MAX)
		ret->message.n = MESSAGE_MAX;
}

static enum otlp_outcome outcome_of(long status)
{
	switch (status) {
	case 413:
		return OTLP_TOO_LARGE;
	case 401:
	case 403:
	case 404:
	case 407:
	case 408:
	case 429:
		return OTLP_LATER;
	default:
		return status >= 400 && status < 500 ? OTLP_REFUSED : OTLP_LATER;
	}
}

static void read_failure(struct otlp_client *c, struct otlp_result *ret)
{
	curl_off_t after = 0;

	ret->outcome = outcome_of(ret->status);
	if (curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
		ret->retry_after = (uint64_t)(after < RETRY_MAX_S ? after : RETRY_MAX_S) * 1000000000;
	buf_add(&ret->message, c->answer.p, c->answer.n < MESSAGE_MAX ? c->answer.n : MESSAGE_MAX);
}

void otlp_client_post(struct otlp_client *c, struct slice body, struct otlp_result *ret)
{
	struct slice wire = body;

	buf_clear(&ret->message);
	*ret = (struct otlp_result){.message = ret->message};
	buf_clear(&c->answer);
	if (c->conf.gzip) {
		if (!pack(c, body)) {
			ret->outcome = OTLP_TOO_LARGE;
			buf_adds(&ret->message, "cannot be compressed");
			return;
		}
		wire = buf_slice(&c->packed);
	}
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, wire.p);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)wire.n);
	c->error[0] = '\0';
	CURLcode code = curl_easy_perform(c->curl);
	ret->sent = wire.n;
	if (code == CURLE_OK)
		curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &ret->status);
	if (code == CURLE_ABORTED_BY_CALLBACK) {
		ret->outcome = OTLP_STOPPED;
	} else if (code != CURLE_OK) {
		ret->outcome = OTLP_LATER;
		buf_adds(&ret->message, c->error[0] ? c->error : curl_easy_strerror(code));
	} else if (ret->status >= 200 && ret->status < 300) {
		read_answer(c, ret);
	} else {
		read_failure(c, ret);
	}
}
