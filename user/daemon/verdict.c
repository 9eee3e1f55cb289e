/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/verdict.h"
#include "llm/apis.h"

struct verdict_host {
	char *name; /* lower case, without port */
	bool listed; /* of an LLM provider */
	uint64_t exchanges, llm, ignored[2];
	struct verdict_conn *conns;
};

struct verdicts {
	void (*judge)(void *ctx, const struct verdict *v);
	void *ctx;
	bool llm_only;
	struct map hosts;
	uint64_t ignored[2]; /* of connections whose host is not known */
};

struct verdicts *verdicts_new(void (*judge)(void *ctx, const struct verdict *v), void *ctx, bool llm_only)
{
	struct verdicts *vs = xcalloc(1, sizeof(*vs));

	vs->judge = judge;
	vs->ctx = ctx;
	vs->llm_only = llm_only;
	return vs;
}

void verdicts_free(struct verdicts *vs)
{
	struct map_entry *e;

	if (!vs)
		return;
	map_foreach(&vs->hosts, e) {
		struct verdict_host *h = e->value;

		free(h->name);
		free(h);
	}
	map_release(&vs->hosts);
	free(vs);
}

static struct slice without_port(struct slice host)
{
	if (!host.n)
		return host;

	const char *end = memchr(host.p, *host.p == '[' ? ']' : ':', host.n);
	if (!end)
		return host;
	return slice_of(host.p, (size_t)(end - host.p) + (*end == ']'));
}

static struct verdict_host *find_host(struct verdicts *vs, struct slice name)
{
	char lower[EV_NAME_MAX];

	name = without_port(name);
	if (!name.n || name.n > sizeof(lower))
		return NULL;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return NULL; /* no host name */
		lower[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 32) : name.p[i];
	}
	struct verdict_host *h = map_get(&vs->hosts, lower, name.n);
	if (h || vs->hosts.n >= VERDICT_HOSTS_MAX)
		return h;
	h = xcalloc(1, sizeof(*h));
	h->name = xmalloc(name.n + 1);
	memcpy(h->name, lower, name.n);
	h->name[name.n] = '\0';
	h->listed = api_provider(slice_of(lower, name.n), NULL) != NULL;
	map_put(&vs->hosts, lower, name.n, h);
	return h;
}

static void leave_host(struct verdict_conn *c)
{
	if (!c->host)
		return;
	if (c->next)
		c->next->prev = c->prev;
	*(c->prev ? &c->prev->next : &c->host->conns) = c->next;
	c->host = NULL;
	c->prev = c->next = NULL;
}

static void join_host(struct verdict_conn *c, struct verdict_host *h)
{
	if (h == c->host || !h)
		return;
	leave_host(c);
	c->host = h;
	c->next = h->conns;
	if (h->conns)
		h->conns->prev = c;
	h->conns = c;
}

static void judge(struct verdicts *vs, struct verdict_conn *c, uint32_t flags, bool whatever_passed)
{
	const struct ev_conn_id *id = &c->info->id;
	struct verdict v = {.tls = id->tls, .tgid = id->proc.tgid, .gen = id->gen, .flags = flags};

	for (int dir = 0; dir < 2; dir++)
		v.produced[dir] = whatever_passed ? VERDICT_ANY_BYTES : c->produced[dir];
	c->ignore = flags & EV_CONN_IGNORED;
	vs->judge(vs->ctx, &v);
}

void verdict_open(struct verdicts *vs, struct verdict_conn *c, const struct conn_info *info)
{
	(void)vs;
	*c = (struct verdict_conn){.info = info};
}

void verdict_close(struct verdicts *vs, struct verdict_conn *c)
{
	(void)vs;
	leave_host(c);
}

void verdict_name(struct verdicts *vs, struct verdict_conn *c, struct slice name)
{
	if (!c->host)
		join_host(c, find_host(vs, name));
}

void verdict_totals(struct verdicts *vs, struct verdict_conn *c, const struct ev_conn *rec)
{
	for (int dir = 0; dir < 2; dir++) {
		uint64_t more = rec->ignored[dir] - c->ignored[dir];

		if (rec->ignored[dir] <= c->ignored[dir])
			continue;
		c->ignored[dir] = rec->ignored[dir];
		*(c->host ? &c->host->ignored[dir] : &vs->ignored[dir]) += more;
	}
}

void verdict_begin(struct verdicts *vs, struct verdict_conn *c, const struct exchange *x)
{
	c->open++;
	c->http2 = slice_eq(x->protocol, SLICE("h2"));
	c->server = x->request_dir == EV_DIR_READ;
	join_host(c, find_host(vs, http_header_get(&x->request_headers, SLICE("host"))));
}

void verdict_end(struct verdicts *vs, struct verdict_conn *c, const struct exchange *x)
{
	(void)vs;
	c->open -= c->open > 0;
	if (c->host)
		c->host->exchanges++;
	if (x->damage == DAMAGE_NONE && !x->upgraded)
		c->exchanges++;
	c->due = true;
}

void verdict_llm(struct verdicts *vs, struct verdict_conn *c)
{
	c->llm = true;
	if (!c->host || c->host->llm++ || !vs->judge || !vs->llm_only)
		return;
	for (struct verdict_conn *other = c->host->conns; other; other = other->next)
		if (other->ignore && !other->http2 && !other->none)
			judge(vs, other, EV_CONN_IGNORED | EV_CONN_ANY | (other->server ? EV_CONN_SERVER : 0), true);
}

void verdict_none(struct verdicts *vs, struct verdict_conn *c)
{
	bool stdio = c->info->lib == EV_LIB_STDIO;

	if (c->none || !vs->judge || (!stdio && (c->info->late || !vs->llm_only)))
		return;
	c->none = true;
	judge(vs, c, EV_CONN_IGNORED | EV_CONN_FINAL, true);
}

void verdict_work(struct verdicts *vs, struct verdict_conn *c)
{
	const struct verdict_host *h = c->host;

	if (!c->due || !vs->judge || !vs->llm_only)
		return;
	c->due = false;
	if (!h || c->open || c->llm || h->llm || h->listed || c->info->late || c->none)
		return;
	if (c->http2 && h->exchanges >= VERDICT_HOST_EXCHANGES)
		judge(vs, c, EV_CONN_IGNORED | EV_CONN_FINAL, false);
	else if (!c->http2 && c->exchanges >= VERDICT_EXCHANGES)
		judge(vs, c, EV_CONN_IGNORED | (c->server ? EV_CONN_SERVER : 0), false);
}

static void add_host(yyjson_mut_doc *doc, yyjson_mut_val *hosts, const char *name, uint64_t requests, uint64_t llm,
		     const uint64_t ignored[2])
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, hosts);

	if (name)
		yyjson_mut_obj_add_strcpy(doc, o, "host", name);
	else
		yyjson_mut_obj_add_null(doc, o, "host");
	yyjson_mut_obj_add_uint(doc, o, "requests", requests);
	yyjson_mut_obj_add_uint(doc, o, "llm", llm);
	yyjson_mut_obj_add_uint(doc, o, "ignored_written", ignored[EV_DIR_WRITE]);
	yyjson_mut_obj_add_uint(doc, o, "ignored_read", ignored[EV_DIR_READ]);
}

void verdicts_json(const struct verdicts *vs, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
	yyjson_mut_val *hosts = yyjson_mut_obj_add_arr(doc, root, "hosts");
	struct map_entry *e;
	uint64_t more = 0;

	if (vs->ignored[0] | vs->ignored[1])
		add_host(doc, hosts, NULL, 0, 0, vs->ignored);
	map_foreach(&vs->hosts, e) {
		const struct verdict_host *h = e->value;

		if (yyjson_mut_arr_size(hosts) < VERDICT_SHOWN_MAX)
			add_host(doc, hosts, h->name, h->exchanges, h->llm, h->ignored);
		else
			more++;
	}
	yyjson_mut_obj_add_uint(doc, root, "more", more);
}
