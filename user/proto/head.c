/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <llhttp.h>

#include "proto/head.h"

enum phase {
	PREFIX,  /* method and blank, or HTTP/1.x NNN */
	TARGET,  /* up to the next blank */
	VERSION, /* HTTP/1.x */
	EOL,     /* CR LF or LF */
	REASON,  /* anything printable up to LF */
	FIELDS,
};

#define METHOD_WORD(num, name, string) SLICE(#string " "),
static const struct slice methods[] = {HTTP_METHOD_MAP(METHOD_WORD)};
#undef METHOD_WORD

static const char version[] = "HTTP/1.";

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* -1: no status line, 0: may become one, 1: is one (12 bytes: HTTP/1.x NNN). */
static int status_prefix(struct slice s)
{
	static const char form[] = "HTTP/1.d ddd";

	for (size_t i = 0; i < s.n && form[i]; i++) {
		if (form[i] == 'd' ? !digit(s.p[i]) : s.p[i] != form[i])
			return -1;
	}
	return s.n >= sizeof(form) - 1;
}

static int method_prefix(struct slice s)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		size_t n = s.n < methods[i].n ? s.n : methods[i].n;

		if (s.p[0] == methods[i].p[0] && memcmp(s.p, methods[i].p, n) == 0)
			return n == methods[i].n;
	}
	return -1;
}

unsigned head_prefix(struct slice s, unsigned kinds, bool *ret_sure)
{
	int request = kinds & HEAD_REQUEST ? method_prefix(s) : -1;
	int response = kinds & HEAD_RESPONSE ? status_prefix(s) : -1;

	*ret_sure = request == 1 || response == 1;
	return (request >= 0 ? HEAD_REQUEST : 0) | (response >= 0 ? HEAD_RESPONSE : 0);
}

void head_begin(struct head *h, unsigned kinds, uint64_t ts, uint64_t offset)
{
	buf_clear(&h->bytes);
	h->kinds = kinds;
	h->phase = PREFIX;
	h->at = 0;
	h->line = h->resume = 0;
	h->ts = ts;
	h->offset = offset;
}

void head_release(struct head *h)
{
	buf_release(&h->bytes);
	h->resume = 0;
}

static bool refuse(struct head *h, size_t resume)
{
	h->resume = (uint32_t)resume;
	return false;
}

static bool prefix_step(struct head *h)
{
	bool sure;

	h->kinds = (uint8_t)head_prefix(buf_slice(&h->bytes), h->kinds, &sure);
	if (!h->kinds)
		return refuse(h, 1);
	if (sure)
		h->phase = h->kinds == HEAD_REQUEST ? TARGET : REASON;
	return true;
}

/* One more byte of the start line, already at the end of h->bytes. */
static bool start_line_step(struct head *h, char c)
{
	switch ((enum phase)h->phase) {
	case PREFIX:
		return prefix_step(h);
	case TARGET:
		if (c == ' ' && h->at)
			h->phase = VERSION, h->at = 0;
		else if ((unsigned char)c <= ' ' || c == 0x7f)
			return refuse(h, 1);
		else
			h->at = 1;
		return true;
	case VERSION:
		if (h->at < sizeof(version) - 1 ? c != version[h->at] : !digit(c))
			return refuse(h, 1);
		if (++h->at == sizeof(version))
			h->phase = EOL, h->at = 0;
		return true;
	case EOL:
		if (c == '\r' && !h->at)
			h->at = 1;
		else if (c == '\n')
			h->phase = FIELDS;
		else
			return refuse(h, 1);
		return true;
	case REASON:
		/* Behind the code comes a blank or the end; candidates inside the reason are not tried: that
		 * would be quadratic. */
		if (c == '\n')
			h->phase = FIELDS;
		else if (((unsigned char)c < ' ' && c != '\t' && c != '\r') ||
		         (!h->at && c != ' ' && c != '\r'))
			return refuse(h, h->bytes.n - 1);
		h->at = 1;
		return true;
	case FIELDS:
		break;
	}
	return true;
}

static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || digit(c) ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool plausible_field(struct slice line)
{
	size_t i = 0;

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return true;
	while (i < line.n && is_token(line.p[i]))
		i++;
	return i && i < line.n && (line.p[i] == ':' || line.p[i] == ' ') &&
	       memchr(line.p + i, ':', line.n - i);
}

/* A whole line lies at the end of h->bytes. */
static enum head_result field_line(struct head *h)
{
	struct slice line = slice_from(buf_slice(&h->bytes), h->line);

	if (slice_eq(line, SLICE("\n")) || slice_eq(line, SLICE("\r\n")))
		return HEAD_COMPLETE;
	if (!plausible_field(line)) {
		refuse(h, h->line);
		return HEAD_REFUSED;
	}
	h->line = (uint32_t)h->bytes.n;
	return HEAD_MORE;
}

static enum head_result take_fields(struct head *h, struct slice *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n, room = PROTO_HEAD_MAX - h->bytes.n;

	if (n > room)
		n = room, lf = NULL;
	buf_add(&h->bytes, in->p, n);
	*in = slice_from(*in, n);
	if (lf)
		return field_line(h);
	if (h->bytes.n < PROTO_HEAD_MAX)
		return HEAD_MORE;
	refuse(h, h->bytes.n);
	return HEAD_REFUSED;
}

enum head_result head_take(struct head *h, struct slice *in)
{
	enum head_result r = HEAD_MORE;

	while (in->n && r == HEAD_MORE) {
		char c = *in->p;

		if (h->phase == FIELDS) {
			r = take_fields(h, in);
			continue;
		}
		buf_addc(&h->bytes, c);
		*in = slice_from(*in, 1);
		if (!start_line_step(h, c))
			return HEAD_REFUSED;
		if (h->bytes.n >= PROTO_HEAD_MAX) {
			refuse(h, h->bytes.n);
			return HEAD_REFUSED;
		}
		if (h->phase == FIELDS)
			h->line = (uint32_t)h->bytes.n;
	}
	return r;
}

/* Letters with which a start line can begin. */
static bool can_begin(char c)
{
	return c >= 'A' && c <= 'U';
}

/* Where in `s` the first head may begin; s.n when nowhere. */
static size_t search(struct slice s, unsigned kinds)
{
	bool sure;

	for (size_t i = 0; i < s.n; i++) {
		if (kinds == HEAD_RESPONSE) {
			const char *p = memchr(s.p + i, 'H', s.n - i);

			if (!p)
				return s.n;
			i = (size_t)(p - s.p);
		}
		if (can_begin(s.p[i]) && head_prefix(slice_from(s, i), kinds, &sure))
			return i;
	}
	return s.n;
}

/*
 * Tries what lies behind the refused beginning.  No complete head can be in
 * there: a head is refused within its start line, or at the last line.
 */
static void search_refused(struct head *h, unsigned kinds, uint64_t ts)
{
	while (h->bytes.n && h->resume) {
		struct buf old = h->bytes;
		uint64_t offset = h->offset;
		struct slice rest = slice_from(buf_slice(&old), h->resume);
		size_t skip = search(rest, kinds);

		offset += h->resume + skip;
		rest = slice_from(rest, skip);
		h->bytes = (struct buf){0};
		head_begin(h, kinds, ts, offset);
		if (head_take(h, &rest) == HEAD_MORE)
			h->resume = 0;
		buf_release(&old);
	}
}

enum head_result head_find(struct head *h, unsigned kinds, uint64_t ts, uint64_t offset, struct slice *in)
{
	search_refused(h, kinds, ts);
	while (in->n) {
		const char *before = in->p;
		enum head_result r;

		if (!h->bytes.n) {
			size_t skip = search(*in, kinds);

			*in = slice_from(*in, skip);
			if (!in->n)
				break;
			head_begin(h, kinds, ts, offset + skip);
		}
		r = head_take(h, in);
		if (r == HEAD_COMPLETE)
			return r;
		if (r == HEAD_REFUSED)
			search_refused(h, kinds, ts);
		offset += (uint64_t)(in->p - before);
	}
	return HEAD_MORE;
}

static int on_field(llhttp_t *l, const char *at, size_t n)
{
	struct head_parsed *p = l->data;

	if (p->n == PROTO_HEADERS_MAX) {
		p->too_many = true;
		return 0;
	}
	if (!p->last_extends) {
		p->v[p->n].name = slice_of(at, 0);
		p->v[p->n].value = slice_of(NULL, 0);
		p->last_extends = true;
	}
	p->v[p->n].name.n = (size_t)(at + n - p->v[p->n].name.p);
	return 0;
}

static int on_value(llhttp_t *l, const char *at, size_t n)
{
	struct head_parsed *p = l->data;

	if (p->too_many)
		return 0;
	if (!p->v[p->n].value.p)
		p->v[p->n].value = slice_of(at, 0);
	p->v[p->n].value.n = (size_t)(at + n - p->v[p->n].value.p);
	return 0;
}

static int on_value_complete(llhttp_t *l)
{
	struct head_parsed *p = l->data;

	if (p->too_many)
		return 0;
	if (!p->v[p->n].value.p)
		p->v[p->n].value = slice_of(p->v[p->n].name.p + p->v[p->n].name.n, 0);
	p->v[p->n].value = slice_trim(p->v[p->n].value);
	p->n++;
	p->last_extends = false;
	return 0;
}

/* Here the flags are valid and no body byte has been asked for. */
static int on_headers_complete(llhttp_t *l)
{
	struct head_parsed *p = l->data;

	p->chunked = l->flags & F_CHUNKED;
	p->has_length = l->flags & F_CONTENT_LENGTH;
	p->length = l->content_length;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
};

static const char *refusal(llhttp_errno_t e)
{
	switch (e) {
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH:
		return "invalid Content-Length";
	case HPE_INVALID_TRANSFER_ENCODING:
		return "invalid Transfer-Encoding";
	case HPE_INVALID_HEADER_TOKEN:
		return "invalid header field";
	case HPE_INVALID_URL:
		return "invalid request target";
	default:
		return "invalid message head";
	}
}

/* The form of the start line has been checked while it was collected. */
static void parse_start_line(struct slice s, struct head_parsed *p)
{
	slice_cut(&s, ' ', &p->method);
	if (p->kind == HEAD_REQUEST) {
		slice_cut(&s, ' ', &p->target);
		p->minor = (uint8_t)(s.p[sizeof(version) - 1] - '0');
		return;
	}
	p->minor = (uint8_t)(p->method.p[sizeof(version) - 1] - '0');
	p->method = slice_of(NULL, 0);
	p->status = (uint16_t)((s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + s.p[2] - '0');
}

/* What real peers send and RFC 9112 lets a recipient accept: bare LF, odd bytes in values, a length beside
 * chunked. */
static void set_lenient(llhttp_t *l)
{
	llhttp_set_lenient_headers(l, 1);
	llhttp_set_lenient_chunked_length(l, 1);
	llhttp_set_lenient_transfer_encoding(l, 1);
	llhttp_set_lenient_optional_cr_before_lf(l, 1);
}

/*
 * RFC 9112 2.2: a line may end in a bare LF.  llhttp takes that but behind a
 * request line, the form of which is known here: it is given CR LF instead.
 */
static llhttp_errno_t execute_request(llhttp_t *l, struct slice s)
{
	const char *lf = memchr(s.p, '\n', s.n);
	size_t n = (size_t)(lf - s.p) - (lf[-1] == '\r');
	llhttp_errno_t e = llhttp_execute(l, s.p, n);

	if (e == HPE_OK)
		e = llhttp_execute(l, "\r\n", 2);
	return e == HPE_OK ? llhttp_execute(l, lf + 1, s.n - (size_t)(lf + 1 - s.p)) : e;
}

/* Whether a transfer coding other than chunked is named. */
static bool is_coded(const struct head_parsed *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct slice list = p->v[i].value, one;

		if (!slice_caseeq(p->v[i].name, SLICE("transfer-encoding")))
			continue;
		while (slice_cut(&list, ',', &one)) {
			one = slice_trim(one);
			if (one.n && !slice_caseeq(one, SLICE("chunked")) &&
			    !slice_caseeq(one, SLICE("identity")))
				return true;
		}
	}
	return false;
}

int head_parse(const struct head *h, struct head_parsed *ret)
{
	struct slice s = buf_slice(&h->bytes);
	llhttp_errno_t e;
	llhttp_t l;

	memset(ret, 0, offsetof(struct head_parsed, v));
	ret->n = 0;
	ret->why = NULL;
	ret->kind = h->kinds;
	llhttp_init(&l, ret->kind == HEAD_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	l.data = ret;
	set_lenient(&l);
	e = ret->kind == HEAD_REQUEST ? execute_request(&l, s) : llhttp_execute(&l, s.p, s.n);
	if (e != HPE_PAUSED) {
		ret->why = refusal(e);
		return -EBADMSG;
	}
	parse_start_line(s, ret);
	ret->coded = is_coded(ret);
	if (ret->chunked || ret->coded)
		ret->has_length = false; /* RFC 9112 6.3: Transfer-Encoding overrides a length */
	return 0;
}

static struct slice moved(struct slice s, const char *from, const char *to)
{
	return s.p ? slice_of(to + (s.p - from), s.n) : s;
}

/* RFC 9112 5.2: a folded line is replaced by blanks. */
static void unfold(struct slice s)
{
	for (char *p = (char *)s.p; p < s.p + s.n; p++) {
		if (*p == '\r' || *p == '\n')
			*p = ' ';
	}
}

void head_keep(const struct head *h, struct arena *arena, struct head_parsed *p, struct http_headers *ret)
{
	const char *from = h->bytes.p, *to = arena_dup(arena, buf_slice(&h->bytes)).p;

	p->method = moved(p->method, from, to);
	p->target = moved(p->target, from, to);
	ret->n = p->n;
	ret->v = arena_alloc(arena, (p->n ? p->n : 1) * sizeof(*ret->v));
	for (size_t i = 0; i < p->n; i++) {
		ret->v[i].name = moved(p->v[i].name, from, to);
		ret->v[i].value = moved(p->v[i].value, from, to);
		unfold(ret->v[i].value);
	}
}

bool head_keep_trailers(const struct head *h, struct arena *arena, struct http_headers *ret)
{
	struct slice rest = buf_slice(&h->bytes), line, name;
	bool all = true;

	while (slice_cut(&rest, '\n', &line)) {
		struct http_header *f;

		line = slice_trim(line);
		if (!line.n)
			continue;
		if (ret->n == PROTO_HEADERS_MAX || !plausible_field(line)) {
			all = false;
			continue;
		}
		slice_cut(&line, ':', &name);
		f = arena_push(arena, &ret->v, &ret->n, sizeof(*f));
		*f = (struct http_header){arena_dup(arena, slice_trim(name)),
		                          arena_dup(arena, slice_trim(line))};
	}
	return all;
}
