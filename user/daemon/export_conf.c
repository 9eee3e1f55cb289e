/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"
#include "daemon/exporter.h"

/* Numbers first, then each text as '+' text NUL, or '-' when it is absent. */
struct wire {
	uid_t uid;
	gid_t gid;
	enum otlp_encoding encoding;
	enum otlp_profile profile;
	enum content_level content;
	bool gzip;
	unsigned timeout_ms;
	size_t n_headers;
};

static void put(struct buf *out, const char *s)
{
	buf_addc(out, s ? '+' : '-');
	if (s)
		buf_add(out, s, strlen(s) + 1);
}

static bool get(struct slice *in, const char **ret)
{
	const char *nul;

	*ret = NULL;
	if (in->n && *in->p == '-') {
		*in = slice_from(*in, 1);
		return true;
	}
	nul = in->n && *in->p == '+' ? memchr(in->p, '\0', in->n) : NULL;
	if (!nul)
		return false;
	*ret = xstrdup(in->p + 1);
	*in = slice_from(*in, (size_t)(nul - in->p) + 1);
	return true;
}

void export_conf_encode(struct buf *out, const struct export_conf *c)
{
	const struct otlp_endpoint *e = &c->endpoint;
	struct wire w;

	memset(&w, 0, sizeof(w)); /* padding, too: equal configurations are equal bytes */
	w.uid = c->uid;
	w.gid = c->gid;
	w.encoding = e->encoding;
	w.profile = e->profile;
	w.content = e->content;
	w.gzip = e->gzip;
	w.timeout_ms = e->timeout_ms;
	w.n_headers = e->n_headers;
	buf_add(out, &w, sizeof(w));
	put(out, c->store_dir);
	put(out, e->url);
	put(out, e->ca);
	put(out, e->certificate);
	put(out, e->key);
	for (size_t i = 0; i < e->n_headers; i++)
		put(out, e->headers[i]);
}

int export_conf_decode(struct slice in, struct export_conf *ret)
{
	struct otlp_endpoint *e = &ret->endpoint;
	struct wire w;
	bool ok;

	if (in.n < sizeof(w))
		return -EBADMSG;
	memcpy(&w, in.p, sizeof(w));
	in = slice_from(in, sizeof(w));
	*ret = (struct export_conf){.uid = w.uid,
				    .gid = w.gid,
				    .endpoint = {.encoding = w.encoding,
						 .profile = w.profile,
						 .content = w.content,
						 .gzip = w.gzip,
						 .timeout_ms = w.timeout_ms}};
	ok = get(&in, &ret->store_dir) && get(&in, &e->url) && get(&in, &e->ca) && get(&in, &e->certificate) &&
	     get(&in, &e->key) && w.n_headers <= OTLP_HEADERS_MAX;
	while (ok && e->n_headers < w.n_headers)
		ok = get(&in, &e->headers[e->n_headers++]);
	return ok && ret->store_dir && e->url ? 0 : -EBADMSG;
}

void export_url(struct buf *out, const char *url)
{
	const char *host = strstr(url, "://"), *end, *at;

	host = host ? host + 3 : url;
	end = host + strcspn(host, "/?#");
	at = memrchr(host, '@', (size_t)(end - host));
	buf_add(out, url, (size_t)(host - url));
	buf_add(out, at ? at + 1 : host, strcspn(at ? at + 1 : host, "?#"));
}

void export_state_path(struct buf *out, const char *dir, const char *url)
{
	struct hash h = hash_bytes(slice_str(url));

	buf_addf(out, "%s/otlp-", dir);
	text_hex(out, h.b, 8);
	buf_adds(out, ".json");
}
