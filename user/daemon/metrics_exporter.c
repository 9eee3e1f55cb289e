/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <curl/curl.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/metrics_exporter.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "metrics/board.h"
#include "metrics/health.h"
#include "sink/otlp_metrics.h"

#define END_NS 2000000000ull /* after the end, for the last request */

struct metrics_exporter {
	struct export_conf conf;
	uint64_t interval; /* ns */
	struct board *board;
	struct otlp_client *client;
	bool failing, ending;
	uint64_t end_by;
	struct buf notice, body, shown_url;
	struct resource *resource;
	struct otlp_result result;
	struct msg msg;
};

void metrics_exporter_conf(struct buf *out, uint64_t interval_ms, const struct export_conf *c)
{
	buf_add(out, &interval_ms, sizeof(interval_ms));
	export_conf_encode(out, c);
}

static bool go_on(void *ctx)
{
	struct metrics_exporter *x = ctx;

	while (!x->ending && msg_recv(ROLE_SOCKET, &x->msg) != -EAGAIN) {
		/* The end, or probe is gone. */
		x->ending = true;
		x->end_by = clock_boot_ns() + END_NS;
	}
	return !x->ending || clock_boot_ns() < x->end_by;
}

/* Said once, until it works again. `said`: what the endpoint said goes to the operator's terminal. */
static void tell(struct metrics_exporter *x)
{
	bool failed = x->result.outcome != OTLP_TAKEN;
	struct buf reason = {0}, said = {0};

	if (x->result.status)
		buf_addf(&reason, "HTTP %ld%s", x->result.status, x->result.message.n ? ": " : "");
	buf_addslice(&reason, buf_slice(&x->result.message));
	text_line(&said, buf_slice(&reason), 160);
	if (failed && !x->failing)
		log_warn("%s does not take metrics: %s; the next ones are sent in %llu s",
		         buf_str(&x->shown_url), said.n ? buf_str(&said) : "no reason given",
		         (unsigned long long)(x->interval / 1000000000));
	else if (!failed && x->failing)
		log_warn("%s takes metrics again", buf_str(&x->shown_url));
	x->failing = failed;
	buf_release(&reason);
	buf_release(&said);
}

static void send_metrics(struct metrics_exporter *x)
{
	struct slice parts[BOARD_PARTS];
	struct registry *r = NULL;

	if (board_get(x->board, &x->notice, parts) || registry_decode(parts[BOARD_REGISTRY], &r))
		return;
	health_add(r, parts[BOARD_STATUS], parts[BOARD_EXPORTS]);
	buf_clear(&x->body);
	(x->conf.endpoint.encoding == OTLP_JSON ? otlp_metrics_json : otlp_metrics_proto)(
	    &x->body, r, clock_wall_ns(), x->resource);
	registry_free(r);
	otlp_client_post(x->client, buf_slice(&x->body), &x->result);
	if (x->result.outcome != OTLP_STOPPED)
		tell(x);
}

static void run(struct metrics_exporter *x)
{
	uint64_t next = clock_boot_ns() + x->interval;

	while (go_on(x) && !x->ending) {
		struct pollfd fd = {.fd = ROLE_SOCKET, .events = POLLIN};
		uint64_t now = clock_boot_ns(), ms = next > now ? (next - now) / 1000000 + 1 : 0;

		poll(&fd, 1, ms < INT_MAX ? (int)ms : INT_MAX);
		if (clock_boot_ns() < next)
			continue;
		send_metrics(x);
		next = clock_boot_ns() + x->interval;
	}
	send_metrics(x);
}

static void set_up(struct metrics_exporter *x)
{
	struct buf error = {0};
	uint64_t ms;

	if (msg_recv(ROLE_SOCKET, &x->msg) || x->msg.type != MSG_CONF || x->msg.n_fds != 1 ||
	    x->msg.payload.n < sizeof(ms))
		die(EXIT_SPANTAP, "metrics exporter: malformed configuration");
	memcpy(&ms, x->msg.payload.p, sizeof(ms));
	if (export_conf_decode(slice_from(x->msg.payload, sizeof(ms)), &x->conf))
		die(EXIT_SPANTAP, "metrics exporter: malformed configuration");
	x->interval = ms * 1000000;
	umask(077);
	if (sandbox_identity(x->conf.uid, x->conf.gid))
		die(EXIT_SPANTAP, "metrics exporter: cannot give up its rights");
	x->resource = resource_new();
	x->board = board_open(x->msg.fds[0], false);
	if (!x->board)
		die(EXIT_SPANTAP, "metrics exporter: cannot map the board: %s", strerror(errno));
	export_url(&x->shown_url, x->conf.endpoint.url);
	x->client = otlp_client_new(&x->conf.endpoint, go_on, x, &error);
	if (!x->client)
		die(EXIT_SPANTAP, "metrics exporter: %s", buf_str(&error));
}

int metrics_exporter_main(void)
{
	static struct metrics_exporter x;

	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT))
		die(EXIT_SPANTAP, "cannot initialise the metrics exporter");
	hash_init();
	tzset();
	fcntl(ROLE_SOCKET, F_SETFL, 0);
	set_up(&x);
	if (sandbox_enter(SANDBOX_EXPORT))
		die(EXIT_SPANTAP, "metrics exporter: cannot enter its sandbox");
	fcntl(ROLE_SOCKET, F_SETFL, O_NONBLOCK);
	if (msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, NULL, 0))
		return EXIT_SPANTAP;
	run(&x);
	msg_send(ROLE_SOCKET, MSG_DONE, (struct slice){0}, NULL, 0);
	otlp_client_free(x.client);
	resource_free(x.resource);
	board_close(x.board);
	return 0;
}
