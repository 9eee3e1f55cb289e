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
#include "daemon/webhook.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "metrics/alert.h"
#include "metrics/board.h"
#include "metrics/metrics.h"
#include "sink/otlp_http.h"
#include "store/json_text.h"

#define LOOK_MS 1000
#define END_NS  3000000000ull /* after the end, for what is still to be told */

/* What is known of a rule. */
struct known {
	char rule[ALERT_TEXT_MAX + 1];
	double fired;
	bool on;
};

struct webhook {
	struct export_conf conf;
	struct board *board;
	uint64_t serial;
	struct otlp_client *client;
	struct known known[ALERT_RULES_MAX];
	size_t n_known;
	struct buf waiting[WEBHOOK_WAITING]; /* bodies, oldest first */
	size_t n_waiting;
	unsigned tries; /* of the oldest */
	uint64_t next_at, end_by;
	bool ending;
	char host[HOST_NAME_MAX + 1];
	struct buf notice, shown_url;
	struct otlp_result result;
	struct msg msg;
};

static bool go_on(void *ctx)
{
	struct webhook *w = ctx;

	while (!w->ending && msg_recv(ROLE_SOCKET, &w->msg) != -EAGAIN) {
		/* The end, or probe is gone. */
		w->ending = true;
		w->end_by = clock_boot_ns() + END_NS;
	}
	return !w->ending || clock_boot_ns() < w->end_by;
}

/* --- what is to be told --- */

static void drop_oldest(struct webhook *w)
{
	buf_release(&w->waiting[0]);
	w->n_waiting--;
	memmove(w->waiting, w->waiting + 1, w->n_waiting * sizeof(w->waiting[0]));
	w->waiting[w->n_waiting] = (struct buf){0};
	w->tries = 0;
	w->next_at = 0;
}

static void compose(struct webhook *w, const char *rule, bool firing, const struct series *value,
                    struct buf *out)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d);
	time_t now = time(NULL);
	char at[32] = "";
	struct tm tm;
	size_t n = 0;

	if (gmtime_r(&now, &tm))
		strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	yyjson_mut_doc_set_root(d, o);
	yyjson_mut_obj_add_str(d, o, "source", "spantap");
	yyjson_mut_obj_add_str(d, o, "version", SPANTAP_VERSION);
	yyjson_mut_obj_add_val(d, o, "host", json_text(d, slice_str(w->host)));
	yyjson_mut_obj_add_val(d, o, "rule", json_text(d, slice_str(rule)));
	yyjson_mut_obj_add_str(d, o, "state", firing ? "firing" : "resolved");
	if (value && series_known(value))
		yyjson_mut_obj_add_real(d, o, "value", value->value);
	else
		yyjson_mut_obj_add_null(d, o, "value");
	yyjson_mut_obj_add_strcpy(d, o, "at", at);
	char *text = yyjson_mut_write(d, 0, &n);
	buf_add(out, text ? text : "", n);
	free(text);
	yyjson_mut_doc_free(d);
}

static void add(struct webhook *w, const char *rule, bool firing, const struct series *value)
{
	if (w->n_waiting == WEBHOOK_WAITING) {
		log_warn("webhook %s: too many alerts wait: the oldest is given up", buf_str(&w->shown_url));
		drop_oldest(w);
	}
	compose(w, rule, firing, value, &w->waiting[w->n_waiting++]);
}

static struct known *know(struct webhook *w, struct slice rule)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (slice_eq(slice_str(w->known[i].rule), rule))
			return &w->known[i];
	if (w->n_known == ALERT_RULES_MAX || rule.n > ALERT_TEXT_MAX)
		return NULL;
	struct known *k = &w->known[w->n_known++];
	memcpy(k->rule, rule.p, rule.n);
	return k;
}

static const struct series *series_of(const struct registry *r, enum metric m, struct slice rule)
{
	const struct family *f = registry_family(r, m);

	for (size_t i = 0; i < f->n; i++)
		if (slice_eq(f->v[i]->labels[0], rule))
			return f->v[i];
	return NULL;
}

/* A rule that held and ceased to between two looks is told of all the same: how often it began is counted. */
static void compare(struct webhook *w, const struct registry *r)
{
	const struct family *f = registry_family(r, METRIC_ALERT);

	for (size_t i = 0; i < f->n; i++) {
		struct slice rule = f->v[i]->labels[0];
		const struct series *fired = series_of(r, METRIC_ALERT_FIRED, rule),
		                    *value = series_of(r, METRIC_ALERT_VALUE, rule);
		struct known *k = know(w, rule);
		bool on = f->v[i]->value > 0;

		if (!k || !fired)
			continue;
		bool again = fired->value > k->fired;
		if (k->on && (again || !on))
			add(w, k->rule, false, on ? NULL : value);
		if (again)
			add(w, k->rule, true, on ? value : NULL);
		if (again && !on)
			add(w, k->rule, false, value);
		k->on = on;
		k->fired = fired->value;
	}
}

static void look(struct webhook *w)
{
	struct slice parts[BOARD_PARTS];
	struct registry *r = NULL;
	uint64_t serial = board_serial(w->board);

	if (serial == w->serial || board_get(w->board, &w->notice, parts) ||
	    registry_decode(parts[BOARD_REGISTRY], &r))
		return;
	w->serial = serial;
	compare(w, r);
	registry_free(r);
}

/* --- telling it --- */

static void give_up(struct webhook *w)
{
	struct buf reason = {0}, said = {0};

	if (w->result.status)
		buf_addf(&reason, "HTTP %ld%s", w->result.status, w->result.message.n ? ": " : "");
	buf_addslice(&reason, buf_slice(&w->result.message));
	text_line(&said, buf_slice(&reason), 160);
	log_warn("webhook %s was not told of an alert: %s", buf_str(&w->shown_url),
	         said.n ? buf_str(&said) : "no reason given");
	buf_release(&reason);
	buf_release(&said);
	drop_oldest(w);
}

static void tell(struct webhook *w)
{
	uint64_t now = clock_boot_ns();

	if (!w->n_waiting || (now < w->next_at && !w->ending))
		return;
	otlp_client_post(w->client, buf_slice(&w->waiting[0]), &w->result);
	if (w->result.outcome == OTLP_TAKEN)
		drop_oldest(w);
	else if (++w->tries == WEBHOOK_TRIES || w->result.outcome == OTLP_STOPPED || w->ending)
		give_up(w);
	else
		w->next_at = clock_boot_ns() + (1000000000ull << (w->tries - 1));
}

static void run(struct webhook *w)
{
	while (go_on(w)) {
		struct pollfd fd = {.fd = w->ending ? -1 : ROLE_SOCKET, .events = POLLIN};
		bool more;

		look(w);
		tell(w);
		more = w->n_waiting && (w->ending || clock_boot_ns() >= w->next_at);
		if (w->ending && !w->n_waiting)
			return;
		if (!more)
			poll(&fd, 1, LOOK_MS);
	}
	if (w->n_waiting)
		log_warn("webhook %s: %zu alerts were not told", buf_str(&w->shown_url), w->n_waiting);
}

/* Its path may be a secret, as those of chat services are. */
static void show_url(struct webhook *w)
{
	struct buf whole = {0};

	export_url(&whole, w->conf.endpoint.url);
	const char *host = strstr(buf_str(&whole), "://") + 3;
	buf_add(&w->shown_url, whole.p, (size_t)(host - whole.p) + strcspn(host, "/"));
	buf_release(&whole);
}

static void set_up(struct webhook *w)
{
	struct buf error = {0};

	if (msg_recv(ROLE_SOCKET, &w->msg) || w->msg.type != MSG_CONF || w->msg.n_fds != 1 ||
	    export_conf_decode(w->msg.payload, &w->conf))
		die(EXIT_SPANTAP, "webhook: malformed configuration");
	umask(077);
	if (sandbox_identity(w->conf.uid, w->conf.gid))
		die(EXIT_SPANTAP, "webhook: cannot give up its rights");
	if (gethostname(w->host, sizeof(w->host) - 1))
		w->host[0] = '\0';
	show_url(w);
	w->board = board_open(w->msg.fds[0], false);
	if (!w->board)
		die(EXIT_SPANTAP, "webhook: cannot map the board: %s", strerror(errno));
	w->client = otlp_client_new(&w->conf.endpoint, go_on, w, &error);
	if (!w->client)
		die(EXIT_SPANTAP, "webhook: %s", buf_str(&error));
}

int webhook_main(void)
{
	static struct webhook w;

	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT))
		die(EXIT_SPANTAP, "cannot initialise the webhook");
	hash_init();
	tzset();
	fcntl(ROLE_SOCKET, F_SETFL, 0);
	set_up(&w);
	if (sandbox_enter(SANDBOX_EXPORT))
		die(EXIT_SPANTAP, "webhook: cannot enter its sandbox");
	fcntl(ROLE_SOCKET, F_SETFL, O_NONBLOCK);
	if (msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, NULL, 0))
		return EXIT_SPANTAP;
	run(&w);
	msg_send(ROLE_SOCKET, MSG_DONE, (struct slice){0}, NULL, 0);
	otlp_client_free(w.client);
	board_close(w.board);
	return 0;
}
