/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/http_get.h"

static struct http_get *of(llhttp_t *p)
{
	return p->data;
}

/* What does not fit makes it longer than its place, so that it is equal to nothing. */
static void keep(char *to, size_t size, size_t *len, const char *at, size_t n)
{
	size_t room = *len < size ? size - *len : 0;

	memcpy(to + (*len < size ? *len : size), at, n < room ? n : room);
	*len += n;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	keep(of(p)->path, sizeof(of(p)->path), &of(p)->path_len, at, n);
	return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
	struct http_get *g = of(p);

	if (g->in_value)
		g->name_len = 0;
	g->in_value = false;
	keep(g->name, sizeof(g->name), &g->name_len, at, n);
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	struct http_get *g = of(p);

	if (!g->in_value)
		g->is_accept =
		    g->accept_len == 0 && g->name_len == 6 && strncasecmp(g->name, "accept", 6) == 0;
	g->in_value = true;
	if (g->is_accept)
		keep(g->accept, sizeof(g->accept), &g->accept_len, at, n);
	return 0;
}

static int on_head(llhttp_t *p)
{
	(void)p;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_url = on_url,
                                           .on_header_field = on_field,
                                           .on_header_value = on_value,
                                           .on_headers_complete = on_head};

void http_get_init(struct http_get *g)
{
	*g = (struct http_get){.status = 0};
	llhttp_init(&g->parser, HTTP_REQUEST, &settings);
	g->parser.data = g;
}

static int status_of(const struct http_get *g)
{
	struct slice path = slice_of(g->path, g->path_len);

	if (g->parser.method != HTTP_GET && g->parser.method != HTTP_HEAD)
		return 405;
	if (g->path_len > sizeof(g->path))
		return 404;
	const char *query = memchr(path.p, '?', path.n);
	if (query)
		path.n = (size_t)(query - path.p);
	return slice_eq(path, SLICE(HTTP_GET_PATH)) ? 200 : 404;
}

bool http_get_feed(struct http_get *g, struct slice in)
{
	size_t room = HTTP_GET_HEAD_MAX - g->total;

	if (g->done)
		return true;
	enum llhttp_errno err = llhttp_execute(&g->parser, in.p, in.n < room ? in.n : room);
	g->total += in.n < room ? in.n : room;
	g->done = err != HPE_OK || g->total == HTTP_GET_HEAD_MAX;
	if (err == HPE_PAUSED)
		g->status = status_of(g);
	else if (g->done)
		g->status = err == HPE_OK ? 431 : 400;
	return g->done;
}

bool http_get_is_head(const struct http_get *g)
{
	return g->status != 400 && g->status != 431 && g->parser.method == HTTP_HEAD;
}

enum metrics_format http_get_format(const struct http_get *g)
{
	return metrics_format_accepted(
	    slice_of(g->accept, g->accept_len <= sizeof(g->accept) ? g->accept_len : 0));
}

void http_get_answer(struct buf *out, int status, const char *type, size_t length)
{
	const char *reason = status == 200   ? "OK"
	                     : status == 400 ? "Bad Request"
	                     : status == 404 ? "Not Found"
	                     : status == 405 ? "Method Not Allowed"
	                     : status == 431 ? "Request Header Fields Too Large"
	                                     : "Service Unavailable";

	buf_addf(out,
	         "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
	         status, reason, type, length, status == 405 ? "Allow: GET, HEAD\r\n" : "");
}
