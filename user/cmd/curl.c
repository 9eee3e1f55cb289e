/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/curl.h"

#include <ctype.h>

#include "base/text.h"

#define MASK "[masked:"

/* ---- words of the shell ---- */

/* Whether a terminal shows the text as it is. */
static bool is_plain(struct slice s)
{
	struct buf escaped = {0};
	struct slice line;
	bool plain = true;

	while (plain && slice_cut(&s, '\n', &line)) {
		buf_clear(&escaped);
		text_escape(&escaped, line);
		plain = slice_eq(buf_slice(&escaped), line);
	}
	buf_release(&escaped);
	return plain;
}

/* In single quotes; `octal`: for printf %b. */
static void add_quoted(struct buf *out, struct slice s, bool octal)
{
	buf_addc(out, '\'');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\'')
			buf_adds(out, "'\\''");
		else if (octal && c == '\\')
			buf_adds(out, "\\\\");
		else if (octal && (c < ' ' || c > '~'))
			buf_addf(out, "\\0%03o", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '\'');
}

static void add_word(struct buf *out, struct slice s)
{
	bool plain = is_plain(s);

	if (!s.n)
		return;
	buf_adds(out, plain ? "" : "\"$(printf %b ");
	add_quoted(out, s, !plain);
	buf_adds(out, plain ? "" : ")\"");
}

static void add_variable(struct buf *out, struct slice name, unsigned number)
{
	buf_adds(out, "\"${SPANTAP_");
	for (size_t i = 0; i < name.n; i++)
		buf_addc(out,
		         isalnum((unsigned char)name.p[i]) ? (char)toupper((unsigned char)name.p[i]) : '_');
	if (number > 1)
		buf_addf(out, "_%u", number);
	buf_adds(out, ":?}\"");
}

/* A text, with variables that are called after `name` in place of its masks. */
static void add_text(struct buf *out, struct slice s, struct slice name)
{
	const char *mask, *end;
	unsigned n = 0;

	while ((mask = slice_find(s, SLICE(MASK)))) {
		struct slice rest = slice_from(s, (size_t)(mask - s.p));

		if (!(end = memchr(rest.p, ']', rest.n)))
			break;
		add_word(out, slice_of(s.p, (size_t)(mask - s.p)));
		add_variable(out, name, ++n);
		s = slice_from(rest, (size_t)(end + 1 - rest.p));
	}
	add_word(out, s);
}

/* ---- the request ---- */

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !(s.p[i] && strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.n > 0;
}

static struct slice str(const struct span *call, enum attr_key key)
{
	const struct attr *a = span_get(call, key);

	return a ? a->str : (struct slice){NULL, 0};
}

/* Of a host as it stands in a Host field. */
static bool is_host(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !(s.p[i] && strchr("-._:%", s.p[i])))
			return false;
	return s.n > 0;
}

/* A path, of a UNIX socket. */
static bool is_socket(struct slice host)
{
	return host.n && host.p[0] == '/';
}

static void add_url(struct buf *out, const struct span *call)
{
	const struct attr *port = span_get(call, ATTR_SERVER_PORT);
	struct slice host = str(call, ATTR_SERVER_ADDRESS), scheme = str(call, ATTR_URL_SCHEME);
	struct slice query = str(call, ATTR_URL_QUERY), path = str(call, ATTR_URL_PATH);
	struct buf url = {0};

	if (is_socket(host)) {
		buf_adds(out, "--unix-socket ");
		add_word(out, host);
		buf_addc(out, ' ');
		host = SLICE("localhost");
	}
	buf_addslice(&url, scheme);
	buf_addf(&url, memchr(host.p, ':', host.n) ? "://[%.*s]" : "://%.*s", (int)host.n, host.p);
	if (port && port->i != (slice_eq(scheme, SLICE("https")) ? 443 : 80))
		buf_addf(&url, ":%lld", (long long)port->i);
	buf_addslice(&url, path);
	if (query.n) {
		buf_addc(&url, '?');
		buf_addslice(&url, query);
	}
	add_text(out, buf_slice(&url), SLICE("url"));
	buf_release(&url);
}

static bool names(struct slice line, const char *name)
{
	struct slice rest = line, field;

	return slice_cut(&rest, ':', &field) && slice_caseeq(field, slice_str(name));
}

static bool has_header(struct slice headers, const char *name)
{
	struct slice line;

	while (slice_cut(&headers, '\n', &line))
		if (names(line, name))
			return true;
	return false;
}

static void add_headers(struct buf *out, struct slice headers)
{
	/* Those that curl would add. */
	static const char *const own[] = {"accept", "user-agent", "content-type", "expect"};
	struct slice rest = headers, line;

	while (slice_cut(&rest, '\n', &line)) {
		struct slice value = line, name;

		if (!slice_cut(&value, ':', &name) || !is_token(name))
			continue;
		buf_adds(out, " \\\n\t-H ");
		/* A field without a value ends with a semicolon. */
		if (slice_trim(value).n) {
			add_text(out, line, name);
		} else {
			add_word(out, name);
			buf_adds(out, "';'");
		}
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!has_header(headers, own[i]))
			buf_addf(out, " \\\n\t-H '%s:'", own[i]);
}

static const char *refusal(const struct span *call, struct slice headers)
{
	struct slice host = str(call, ATTR_SERVER_ADDRESS), path = str(call, ATTR_URL_PATH);

	if (!path.n || !str(call, ATTR_URL_SCHEME).n)
		return "the head of its request was not seen";
	if (!is_token(str(call, ATTR_HTTP_METHOD)) || path.p[0] != '/' || !(is_host(host) || is_socket(host)))
		return "its method, path or host cannot be written";
	if (has_header(headers, "sec-websocket-version"))
		return "it was sent over a WebSocket, as curl sends nothing";
	return NULL;
}

bool curl_write(struct buf *out, const struct span *call, struct slice headers, struct slice body,
                const char **ret_why)
{
	bool plain = is_plain(body);

	*ret_why = refusal(call, headers);
	if (*ret_why)
		return false;
	if (body.n) {
		buf_adds(out, plain ? "printf %s " : "printf %b ");
		add_quoted(out, body, !plain);
		buf_adds(out, " |\n");
	}
	buf_adds(out, "curl -sS -N --globoff --path-as-is -X ");
	add_word(out, str(call, ATTR_HTTP_METHOD));
	buf_addc(out, ' ');
	add_url(out, call);
	add_headers(out, headers);
	buf_adds(out, body.n ? " \\\n\t--data-binary @-\n" : "\n");
	return true;
}
