/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/conf.h"
#include "cmd/otlp_options.h"
#include "daemon/metrics_exporter.h"

#define TIMEOUT_MS 10000 /* the default of the specification */
#define TRACES     "/v1/traces"
#define METRICS_PATH "/v1/metrics"
#define HEADERS_BYTES_MAX (32 << 10) /* of one endpoint: they travel in one message */

static const struct otlp_endpoint unset = {.encoding = OTLP_PROTOBUF, .profile = OTLP_COMMON, .gzip = true,
					   .timeout_ms = TIMEOUT_MS};

static struct otlp_endpoint *before(struct outputs *o)
{
	if (!o->endpoint_before.timeout_ms)
		o->endpoint_before = unset;
	return &o->endpoint_before;
}

static bool is_url(const char *s)
{
	return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

static const char *kept(struct outputs *o, struct buf *text)
{
	const char *s = arena_dup(&o->texts, buf_slice(text)).p;

	buf_release(text);
	return s;
}

/* With the path of the signal, unless it ends in it. */
static const char *whole_url(struct outputs *o, const char *url, const char *path)
{
	struct buf b = {0};

	buf_adds(&b, url);
	while (b.n && b.p[b.n - 1] == '/')
		b.n--;
	if (!slice_ends(buf_slice(&b), slice_str(path)))
		buf_adds(&b, path);
	return kept(o, &b);
}

static int add_endpoint(const struct cmd *cmd, struct outputs *o, const char *url)
{
	if (o->n_endpoints == EXPORT_ENDPOINTS_MAX)
		return cmd_usage_error(cmd, "more than %d endpoints", EXPORT_ENDPOINTS_MAX);
	if (!is_url(url))
		return cmd_usage_error(cmd, "'%s' is no http:// or https:// URL", url);
	o->endpoints[o->n_endpoints] = *before(o);
	o->endpoints[o->n_endpoints++].url = url;
	return 0;
}

/* RFC 9110: a name is a token; a value has no control characters. */
static bool is_header(struct slice name, struct slice value)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", name.p[i]))
			return false;
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t')
			return false;
	return name.n > 0;
}

static int add_header(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, struct slice name, struct slice value)
{
	struct buf b = {0};
	size_t bytes = name.n + value.n;

	for (size_t i = 0; i < e->n_headers; i++)
		bytes += strlen(e->headers[i]);
	if (!is_header(name, value))
		return cmd_usage_error(cmd, "'%.*s' is no header: give NAME=VALUE", (int)name.n, name.p);
	if (e->n_headers == OTLP_HEADERS_MAX || bytes > HEADERS_BYTES_MAX)
		return cmd_usage_error(cmd, "more than %d headers, or 32 KiB of them", OTLP_HEADERS_MAX);
	buf_addf(&b, "%.*s: %.*s", (int)name.n, name.p, (int)value.n, value.p);
	e->headers[e->n_headers++] = kept(o, &b);
	return 0;
}

static int set_header(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *s)
{
	const char *sep = strchr(s, '=');

	return add_header(cmd, o, e, slice_of(s, sep ? (size_t)(sep - s) : 0), slice_str(sep ? sep + 1 : ""));
}

static int set_protocol(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *s)
{
	(void)o;
	if (strcmp(s, "http/protobuf") == 0)
		e->encoding = OTLP_PROTOBUF;
	else if (strcmp(s, "http/json") == 0)
		e->encoding = OTLP_JSON;
	else
		return cmd_usage_error(cmd, "'%s' is no protocol of ours: http/protobuf or http/json%s", s,
				       strcmp(s, "grpc") == 0 ? "; a Collector takes both and speaks gRPC" : "");
	return 0;
}

static int set_compression(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *s)
{
	(void)o;
	e->gzip = strcmp(s, "gzip") == 0;
	if (!e->gzip && strcmp(s, "none") != 0)
		return cmd_usage_error(cmd, "'%s' is no compression of ours: gzip or none", s);
	return 0;
}

static int set_profile(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *s)
{
	int profile = otlp_profile_parse(slice_str(s));

	(void)o;
	if (profile < 0)
		return cmd_usage_error(
		    cmd, "'%s' is no profile: plain, common, langfuse, phoenix, langsmith, signoz or tempo", s);
	e->profile = (enum otlp_profile)profile;
	return 0;
}

static int set_timeout(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *s)
{
	uint64_t ms;

	(void)o;
	if (!slice_u64(slice_str(s), &ms) || ms == 0 || ms > INT_MAX)
		return cmd_usage_error(cmd, "'%s' is no number of milliseconds", s);
	e->timeout_ms = (unsigned)ms;
	return 0;
}

static int set_file(const struct cmd *cmd, const char **ret, const char *path)
{
	if (access(path, R_OK))
		return cmd_usage_error(cmd, "cannot read '%s'", path);
	*ret = path;
	return 0;
}

struct headers_file {
	const struct cmd *cmd;
	struct outputs *o;
	struct otlp_endpoint *e;
	const char *path;
	int code;
};

/* A value of the file is not shown: it may be a key. */
static void on_header(void *ctx, unsigned line, struct slice name, struct slice value)
{
	struct headers_file *f = ctx;

	if (!is_header(name, value) || !value.p)
		f->code = cmd_usage_error(f->cmd, "'%s' line %u is no header: write NAME = VALUE", f->path, line);
	else if (f->code == 0)
		f->code = add_header(f->cmd, f->o, f->e, name, value);
}

static void on_header_error(void *ctx, unsigned line, const char *what)
{
	struct headers_file *f = ctx;

	f->code = cmd_usage_error(f->cmd, "'%s' line %u: %s", f->path, line, what);
}

static int read_headers(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *path)
{
	static const struct conf_events events = {on_header, on_header_error};
	struct headers_file f = {cmd, o, e, path, 0};
	struct buf text = {0}, error = {0};
	bool open = false;

	if (conf_read(path, cmd_user(), &text, &open, &error))
		f.code = cmd_usage_error(cmd, "%s", buf_str(&error));
	else if (open)
		f.code = cmd_usage_error(cmd, "'%s' holds keys and everybody may read it: chmod o-r", path);
	else
		conf_parse(buf_slice(&text), &events, &f);
	buf_release(&text);
	buf_release(&error);
	return f.code;
}

bool otlp_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code)
{
	struct otlp_endpoint *e = o->n_endpoints ? &o->endpoints[o->n_endpoints - 1] : before(o);

	switch (opt) {
	case OTLP_OPTION_URL:
		*ret_code = add_endpoint(cmd, o, whole_url(o, optarg, TRACES));
		break;
	case OTLP_OPTION_HEADER:
		*ret_code = set_header(cmd, o, e, optarg);
		break;
	case OTLP_OPTION_PROTOCOL:
		*ret_code = set_protocol(cmd, o, e, optarg);
		break;
	case OTLP_OPTION_PROFILE:
		*ret_code = set_profile(cmd, o, e, optarg);
		break;
	case OTLP_OPTION_COMPRESSION:
		*ret_code = set_compression(cmd, o, e, optarg);
		break;
	case OTLP_OPTION_CA:
		*ret_code = set_file(cmd, &e->ca, optarg);
		break;
	case OTLP_OPTION_CERT:
		*ret_code = set_file(cmd, &e->certificate, optarg);
		break;
	case OTLP_OPTION_KEY:
		*ret_code = set_file(cmd, &e->key, optarg);
		break;
	case OTLP_OPTION_TIMEOUT:
		*ret_code = set_timeout(cmd, o, e, optarg);
		break;
	case OTLP_OPTION_HEADERS_FILE:
		*ret_code = read_headers(cmd, o, e, optarg);
		break;
	case OTLP_OPTION_METRICS:
		o->metrics_endpoint.url = optarg;
		break;
	default:
		return false;
	}
	return *ret_code == 0;
}

/* OTEL_EXPORTER_OTLP_`signal`_`name`, else OTEL_EXPORTER_OTLP_`name`; NULL: neither says anything. */
static const char *variable(const char *signal, const char *name, bool *ret_own)
{
	char full[64];
	const char *v;

	snprintf(full, sizeof(full), "OTEL_EXPORTER_OTLP_%s_%s", signal, name);
	v = getenv(full);
	*ret_own = v && *v;
	if (*ret_own)
		return v;
	snprintf(full, sizeof(full), "OTEL_EXPORTER_OTLP_%s", name);
	v = getenv(full);
	return v && *v ? v : NULL;
}

/* W3C Baggage without properties: k=v,k=v, values percent-encoded. */
static int add_headers(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *list)
{
	struct slice rest = slice_str(list), item;
	int code = 0;

	while (code == 0 && slice_cut(&rest, ',', &item)) {
		struct slice name, value = item;
		struct buf plain = {0};

		if (slice_trim(item).n == 0)
			continue;
		slice_cut(&value, '=', &name);
		value = slice_trim(value);
		for (size_t i = 0; i < value.n; i++) {
			char hex[3] = {0};

			if (value.p[i] == '%' && i + 2 < value.n) {
				memcpy(hex, value.p + i + 1, 2);
				char *end;
				long c = strtol(hex, &end, 16);
				if (end == hex + 2) {
					buf_addc(&plain, (char)c);
					i += 2;
					continue;
				}
			}
			buf_addc(&plain, value.p[i]);
		}
		code = add_header(cmd, o, e, slice_trim(name), buf_slice(&plain));
		buf_release(&plain);
	}
	return code;
}

static int from_variables(const struct cmd *cmd, const char *signal, struct outputs *o, struct otlp_endpoint *e)
{
	static const struct {
		const char *name;
		int (*set)(const struct cmd *cmd, struct outputs *o, struct otlp_endpoint *e, const char *s);
	} settings[] = {{"HEADERS", add_headers},
			{"PROTOCOL", set_protocol},
			{"COMPRESSION", set_compression},
			{"TIMEOUT", set_timeout}};
	const struct {
		const char *name;
		const char **to;
	} files[] = {{"CERTIFICATE", &e->ca}, {"CLIENT_CERTIFICATE", &e->certificate}, {"CLIENT_KEY", &e->key}};
	bool own;
	int code = 0;

	for (size_t i = 0; code == 0 && i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *v = variable(signal, settings[i].name, &own);

		if (v)
			code = settings[i].set(cmd, o, e, v);
	}
	for (size_t i = 0; code == 0 && i < sizeof(files) / sizeof(files[0]); i++) {
		const char *v = variable(signal, files[i].name, &own);

		if (v && !*files[i].to)
			code = set_file(cmd, files[i].to, v);
	}
	return code;
}

/*
 * The one endpoint of metrics.  A general endpoint gets them only when OTEL_METRICS_EXPORTER says so: many take
 * traces alone.
 */
static int metrics_finish(const struct cmd *cmd, struct outputs *o)
{
	const char *interval = getenv("OTEL_METRIC_EXPORT_INTERVAL"), *exporter = getenv("OTEL_METRICS_EXPORTER");
	struct otlp_endpoint *e = &o->metrics_endpoint;
	const char *given = e->url, *url;
	bool own;

	o->metrics_interval_ms = METRICS_INTERVAL_MS;
	url = given ? given : variable("METRICS", "ENDPOINT", &own);
	if (!url || (!given && !own && (!exporter || strcmp(exporter, "otlp") != 0)))
		return 0;
	if (!is_url(url))
		return cmd_usage_error(cmd, "'%s' is no http:// or https:// URL", url);
	*e = unset;
	e->url = given || !own ? whole_url(o, url, METRICS_PATH) : url;
	o->sink.metrics = true;
	if (interval && *interval &&
	    (!slice_u64(slice_str(interval), &o->metrics_interval_ms) || !o->metrics_interval_ms || o->metrics_interval_ms > INT_MAX))
		return cmd_usage_error(cmd, "OTEL_METRIC_EXPORT_INTERVAL '%s' is no number of milliseconds", interval);
	return from_variables(cmd, "METRICS", o, e);
}

int otlp_finish(const struct cmd *cmd, struct outputs *o)
{
	bool traces;
	const char *url = variable("TRACES", "ENDPOINT", &traces), *headers;
	int code = metrics_finish(cmd, o);

	if (code)
		return code;
	if (!o->n_endpoints) {
		if (!url)
			return 0;
		code = add_endpoint(cmd, o, traces ? url : whole_url(o, url, TRACES));
		return code ? code : from_variables(cmd, "TRACES", o, &o->endpoints[0]);
	}
	headers = variable("TRACES", "HEADERS", &traces);
	for (size_t i = 0; headers && code == 0 && i < o->n_endpoints; i++)
		if (!o->endpoints[i].n_headers)
			code = add_headers(cmd, o, &o->endpoints[i], headers);
	return code;
}
