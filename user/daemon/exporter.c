/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <curl/curl.h>
#include <sodium.h>
#include <yyjson.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/exporter.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "sink/otlp_json.h"
#include "sink/otlp_proto.h"
#include "span/lower.h"
#include "store/feed.h"

#define LOOK_MS    500                    /* between two looks for new spans */
#define FIRST_WAIT 1000000000ull          /* ns after a first failure; doubled with each further one */
#define END_NS     2000000000ull          /* after the end, for what is still to be sent */
#define STATE_NS   1000000000ull          /* between two notes of a cursor that has not moved */

struct exporter {
	struct export_conf conf;
	struct store *store;
	struct otlp_client *client;
	struct content content; /* of what leaves the host */
	struct resource *resource;
	struct otlp_json *json;
	struct otlp_proto *proto;
	uint64_t cursor; /* the number of the last span that is done with */
	struct export_figures figures;
	struct store_fed *v; /* read, from `at` on not yet done with */
	size_t n, at;
	size_t limit;        /* spans of a request, at present */
	uint64_t wait, retry_at;
	bool failing, ending, refused_told, strip; /* strip: the next span goes without content */
	uint64_t end_by, noted_at;
	struct buf body, state_path, error, shown_url;
	struct otlp_result result;
	struct msg msg;
};

/* --- the note of how far it got --- */

static void add_state(struct exporter *x, struct buf *out)
{
	const struct export_figures *f = &x->figures;
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d);
	uint64_t newest = x->cursor;
	size_t n = 0;

	store_feed_newest(x->store, &newest);
	yyjson_mut_doc_set_root(d, o);
	yyjson_mut_obj_add_strn(d, o, "url", x->shown_url.p, x->shown_url.n);
	yyjson_mut_obj_add_uint(d, o, "cursor", x->cursor);
	yyjson_mut_obj_add_uint(d, o, "waiting", newest > x->cursor ? newest - x->cursor : 0);
	yyjson_mut_obj_add_uint(d, o, "exported", f->exported);
	yyjson_mut_obj_add_uint(d, o, "rejected", f->rejected);
	yyjson_mut_obj_add_uint(d, o, "refused", f->refused);
	yyjson_mut_obj_add_uint(d, o, "without_content", f->stripped);
	yyjson_mut_obj_add_uint(d, o, "erased_before_export", f->erased);
	yyjson_mut_obj_add_uint(d, o, "requests", f->requests);
	yyjson_mut_obj_add_uint(d, o, "failures", f->failures);
	yyjson_mut_obj_add_uint(d, o, "bytes", f->bytes);
	yyjson_mut_obj_add_int(d, o, "written", (int64_t)time(NULL));
	if (x->failing && x->error.n)
		yyjson_mut_obj_add_strn(d, o, "error", x->error.p, x->error.n);
	else
		yyjson_mut_obj_add_null(d, o, "error");
	char *text = yyjson_mut_write(d, 0, &n);
	buf_add(out, text ? text : "", n);
	free(text);
	yyjson_mut_doc_free(d);
}

/* Readers see the old note or the new one, also after a crash of the host. */
static void note(struct exporter *x)
{
	struct buf text = {0}, temporary = {0};

	x->noted_at = clock_boot_ns();
	add_state(x, &text);
	buf_addf(&temporary, "%s.new", buf_str(&x->state_path));
	int fd = open(buf_str(&temporary), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool whole = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	if (!whole || rename(buf_str(&temporary), buf_str(&x->state_path)))
		log_warn("cannot note what was exported in '%s': %s; after the next start it is sent again",
			 buf_str(&x->state_path), strerror(errno));
	buf_release(&text);
	buf_release(&temporary);
}

static void read_figures(struct exporter *x, yyjson_val *o)
{
	struct export_figures *f = &x->figures;

	x->cursor = yyjson_get_uint(yyjson_obj_get(o, "cursor"));
	f->exported = yyjson_get_uint(yyjson_obj_get(o, "exported"));
	f->rejected = yyjson_get_uint(yyjson_obj_get(o, "rejected"));
	f->refused = yyjson_get_uint(yyjson_obj_get(o, "refused"));
	f->stripped = yyjson_get_uint(yyjson_obj_get(o, "without_content"));
	f->erased = yyjson_get_uint(yyjson_obj_get(o, "erased_before_export"));
	f->requests = yyjson_get_uint(yyjson_obj_get(o, "requests"));
	f->failures = yyjson_get_uint(yyjson_obj_get(o, "failures"));
	f->bytes = yyjson_get_uint(yyjson_obj_get(o, "bytes"));
}

/* Where an earlier run got to; a new endpoint begins with what is captured from now on. */
static void begin(struct exporter *x)
{
	uint64_t newest = 0;
	yyjson_doc *doc = yyjson_read_file(buf_str(&x->state_path), 0, NULL, NULL);
	yyjson_val *o = yyjson_doc_get_root(doc);

	store_feed_newest(x->store, &newest);
	if (yyjson_is_uint(yyjson_obj_get(o, "cursor")))
		read_figures(x, o);
	else
		x->cursor = newest;
	yyjson_doc_free(doc);
	if (x->cursor > newest)
		x->cursor = newest; /* another store lies here now */
	note(x);
}

/* --- requests --- */

static bool go_on(void *ctx)
{
	struct exporter *x = ctx;

	while (!x->ending && msg_recv(ROLE_SOCKET, &x->msg) != -EAGAIN) {
		/* The end, or probe is gone. */
		x->ending = true;
		x->end_by = clock_boot_ns() + END_NS;
	}
	return !x->ending || clock_boot_ns() < x->end_by;
}

static bool may_show(const struct exporter *x, const struct store_fed *s)
{
	return !x->strip && s->content != CONTENT_NONE;
}

static void add_span(struct exporter *x, struct store_fed *s)
{
	enum otlp_profile profile = x->conf.endpoint.profile;

	if (s->content > x->content.level) {
		span_lower(&s->span, &x->content, s->content);
		s->content = x->content.level;
	}
	if (x->strip)
		span_set_bool(&s->span, ATTR_CONTENT_DROPPED, true);
	if (x->json)
		otlp_json_add(x->json, &s->span, may_show(x, s), profile);
	else
		otlp_proto_add(x->proto, &s->span, may_show(x, s), profile);
}

static size_t make_body(struct exporter *x)
{
	size_t n = x->n - x->at < x->limit ? x->n - x->at : x->limit;

	buf_clear(&x->body);
	for (size_t i = 0; i < n; i++)
		add_span(x, &x->v[x->at + i]);
	if (x->json)
		otlp_json_write(x->json, &x->body);
	else
		otlp_proto_write(x->proto, &x->body);
	return n;
}

/* Takes `n` spans off the queue; what retention erased between them is counted. */
static void done_with(struct exporter *x, size_t n)
{
	uint64_t last = x->v[x->at + n - 1].seq;

	x->figures.erased += last - x->cursor - n;
	x->cursor = last;
	x->at += n;
	x->strip = false;
}

static void keep_error(struct exporter *x)
{
	buf_clear(&x->error);
	if (x->result.status)
		buf_addf(&x->error, "HTTP %ld%s", x->result.status, x->result.message.n ? ": " : "");
	buf_addslice(&x->error, buf_slice(&x->result.message));
}

/* `said`: what the endpoint said goes to the operator's terminal. */
static void tell(struct exporter *x, const char *what)
{
	struct buf said = {0};

	keep_error(x);
	text_line(&said, buf_slice(&x->error), 160);
	log_warn("%s %s: %s", buf_str(&x->shown_url), what, said.n ? buf_str(&said) : "no reason given");
	buf_release(&said);
}

static void on_taken(struct exporter *x, size_t n)
{
	uint64_t rejected = x->result.rejected < n ? x->result.rejected : n;

	if (x->failing)
		log_warn("%s takes spans again", buf_str(&x->shown_url));
	if (rejected && !x->refused_told)
		tell(x, "rejected some spans; they are counted and not sent again");
	x->refused_told |= rejected > 0;
	x->failing = false;
	x->wait = 0;
	x->figures.exported += n - rejected;
	x->figures.rejected += rejected;
	x->figures.stripped += x->strip;
	done_with(x, n);
	x->limit = x->limit * 2 < EXPORT_SPANS_MAX ? x->limit * 2 : EXPORT_SPANS_MAX;
}

/* Halves the request until one span is left, which then goes without its content, or not at all. */
static void on_refused(struct exporter *x, size_t n, bool too_large)
{
	if (n > 1) {
		x->limit = n / 2;
		return;
	}
	if (too_large && may_show(x, &x->v[x->at])) {
		x->strip = true;
		return;
	}
	if (!x->refused_told)
		tell(x, "refuses spans; they are counted, skipped, and stay in the store");
	x->refused_told = true;
	x->figures.refused++;
	done_with(x, 1);
}

static void on_failure(struct exporter *x)
{
	uint64_t wait = x->wait ? x->wait * 2 : FIRST_WAIT;

	if (!x->failing)
		tell(x, "does not take spans now; they wait in the store");
	else
		keep_error(x);
	x->failing = true;
	x->figures.failures++;
	x->wait = wait < EXPORT_WAIT_MAX ? wait : EXPORT_WAIT_MAX;
	/* Many hosts lose a backend at the same time: they shall not all come back at once. */
	wait = x->wait - x->wait / 4 + randombytes_uniform((uint32_t)(x->wait / 2000000)) * 1000000ull;
	if (x->result.retry_after > wait)
		wait = x->result.retry_after;
	x->retry_at = clock_boot_ns() + wait;
}

static void send_batch(struct exporter *x)
{
	size_t n = make_body(x);

	x->figures.requests++;
	otlp_client_post(x->client, buf_slice(&x->body), &x->result);
	x->figures.bytes = x->figures.bytes + x->result.sent;
	switch (x->result.outcome) {
	case OTLP_TAKEN:
		on_taken(x, n);
		break;
	case OTLP_TOO_LARGE:
	case OTLP_REFUSED:
		on_refused(x, n, x->result.outcome == OTLP_TOO_LARGE);
		break;
	case OTLP_LATER:
		on_failure(x);
		break;
	case OTLP_STOPPED:
		return;
	}
	note(x);
}

/* --- the loop --- */

static bool fill(struct exporter *x)
{
	if (x->at < x->n)
		return true;
	store_fed_free(x->v, x->n);
	x->v = NULL;
	x->n = x->at = 0;
	int r = store_feed(x->store, x->cursor, EXPORT_SPANS_MAX, EXPORT_BYTES_MAX, &x->v, &x->n);
	if (r) {
		log_warn("cannot export: %s", store_error(x->store));
		sleep(1);
	}
	return x->n > 0;
}

static void wait_for(struct exporter *x, uint64_t ns)
{
	struct pollfd fd = {.fd = x->ending ? -1 : ROLE_SOCKET, .events = POLLIN};
	uint64_t ms = ns / 1000000 + 1;

	poll(&fd, 1, ms < INT_MAX ? (int)ms : INT_MAX);
}

static void run(struct exporter *x)
{
	while (go_on(x)) {
		uint64_t now = clock_boot_ns();

		if (x->retry_at > now && !x->ending) {
			wait_for(x, x->retry_at - now < STATE_NS ? x->retry_at - now : STATE_NS);
			continue;
		}
		if (fill(x)) {
			send_batch(x);
			if (x->ending && x->failing)
				return;
			continue;
		}
		if (x->ending)
			return;
		wait_for(x, LOOK_MS * 1000000ull);
	}
}

static void set_up(struct exporter *x)
{
	struct buf error = {0};

	fcntl(ROLE_SOCKET, F_SETFL, 0); /* one that crashed may have left its end so */
	if (msg_recv(ROLE_SOCKET, &x->msg) || x->msg.type != MSG_CONF || export_conf_decode(x->msg.payload, &x->conf))
		die(EXIT_SPANTAP, "exporter: malformed configuration");
	umask(077);
	if (sandbox_identity(x->conf.uid, x->conf.gid))
		die(EXIT_SPANTAP, "exporter: cannot give up its rights");
	export_url(&x->shown_url, x->conf.endpoint.url);
	export_state_path(&x->state_path, x->conf.store_dir, x->conf.endpoint.url);
	if (store_open(x->conf.store_dir, STORE_READ, &x->store, &error))
		die(EXIT_SPANTAP, "exporter: %s", buf_str(&error));
	x->client = otlp_client_new(&x->conf.endpoint, go_on, x, &error);
	if (!x->client)
		die(EXIT_SPANTAP, "exporter: %s", buf_str(&error));
	x->resource = resource_new();
	if (x->conf.endpoint.encoding == OTLP_JSON)
		x->json = otlp_json_new(x->resource);
	else
		x->proto = otlp_proto_new(x->resource);
	content_init(&x->content, x->conf.endpoint.content, 0);
	x->limit = EXPORT_SPANS_MAX;
}

/* What the next start has to send. */
static void tell_waiting(struct exporter *x)
{
	uint64_t newest = x->cursor;

	store_feed_newest(x->store, &newest);
	if (newest > x->cursor)
		log_warn("%s: %llu spans wait in the store, the next start goes on behind span %llu", buf_str(&x->shown_url),
			 (unsigned long long)(newest - x->cursor), (unsigned long long)x->cursor);
}

int exporter_main(void)
{
	static struct exporter x;

	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT))
		die(EXIT_SPANTAP, "cannot initialise the exporter");
	hash_init();
	tzset();
	set_up(&x);
	if (sandbox_enter(SANDBOX_EXPORT))
		die(EXIT_SPANTAP, "exporter: cannot enter its sandbox");
	fcntl(ROLE_SOCKET, F_SETFL, O_NONBLOCK);
	begin(&x);
	if (msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, NULL, 0))
		return EXIT_SPANTAP;
	run(&x);
	note(&x);
	tell_waiting(&x);
	msg_send(ROLE_SOCKET, MSG_DONE, (struct slice){0}, NULL, 0);
	store_fed_free(x.v, x.n);
	otlp_client_free(x.client);
	otlp_json_free(x.json);
	otlp_proto_free(x.proto);
	content_release(&x.content);
	resource_free(x.resource);
	store_close(x.store);
	return 0;
}
