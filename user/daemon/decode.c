/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - the jail that parses traffic: rings (or a recording) in, spans out.
 *
 * Two threads.  The drain thread (drain.c) moves records into the journal and
 * never parses; this one takes them from there through the stages
 * (pipeline.c), and hands finished spans to sink (outbox.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/drain.h"
#include "daemon/kept_heads.h"
#include "daemon/outbox.h"
#include "daemon/pipeline.h"
#include "daemon/recording.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "span/rules.h"

#define BATCH        256  /* records between two looks at the link to sink */
#define TICK_MS      1000 /* longest sleep: keeps time-outs of the stages going */
#define SEND_WAIT_MS 20
#define HEADS_UNSENT_MAX 65536 /* records that wait for sink */
#define STATUS_NS    1000000000ull /* between two */
#define JUDGE_MAX    256  /* verdicts that wait for room in the socket; a further one is dropped: its connection stays */

struct decoder_process {
	struct decode_conf conf;
	int link, wake_fd, record_fd;
	struct journal *journal;
	struct drain *drain;
	struct outbox *outbox;
	struct rules *rules;
	struct buf copy; /* of a span that a rule lowers */
	struct pipeline *pipeline;
	struct recording recording;
	uint64_t known_until; /* ns since the epoch, see on_known() */
	uint64_t end_ts; /* of EV_MARK_END; 0: not seen */
	uint64_t last_ts;
	bool link_broken;
	struct verdict verdicts[JUDGE_MAX];
	size_t n_verdicts;
	uint64_t status_sent; /* when */
	uint64_t began;       /* s since the epoch */
	struct buf status; /* what was sent */
	struct buf heads; /* to be kept, not yet sent: records of span/heads.h */
	uint8_t link_key[32];
	int heads_fd;
};

static void on_span(void *ctx, const struct span *s)
{
	struct decoder_process *d = ctx;
	enum content_level level = rules_level(d->rules, s, d->conf.content);
	struct span lowered;

	if (level == d->conf.content) {
		outbox_add(d->outbox, s);
		return;
	}
	buf_clear(&d->copy);
	span_encode(&d->copy, s);
	if (span_decode(buf_slice(&d->copy), &lowered))
		return; /* ours */
	rules_lower(d->rules, &lowered, level, d->conf.content);
	outbox_add(d->outbox, &lowered);
	span_release(&lowered);
}

static void on_head(void *ctx, const struct head_record *h)
{
	struct decoder_process *d = ctx;

	if (d->heads.n > HEADS_UNSENT_MAX * HEAD_RECORD_SIZE)
		buf_clear(&d->heads); /* sink is stuck: later runs know less of what went on */
	head_encode(&d->heads, h);
}

static const struct span_events span_events = {.span = on_span, .head = on_head};

static void fail(const char *what, int err)
{
	char text[256];

	snprintf(text, sizeof(text), "decode: %s: %s", what, strerror(err));
	msg_send(ROLE_SOCKET, MSG_FAIL, slice_str(text), NULL, 0);
	exit(EXIT_SPANTAP);
}

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Takes what probe passes and maps it; the last thing that needs rights. */
static void set_up(struct decoder_process *d)
{
	static struct msg msg;
	size_t at = 3;

	if (msg_recv(ROLE_SOCKET, &msg) || msg.type != MSG_CONF || msg.payload.n < sizeof(d->conf))
		exit(EXIT_SPANTAP); /* probe is gone */
	memcpy(&d->conf, msg.payload.p, sizeof(d->conf));
	struct buf error = {0};
	d->rules = rules_new(slice_from(msg.payload, sizeof(d->conf)), &error);
	if (!d->rules)
		fail(buf_str(&error), EPROTO);
	if (msg.n_fds != 3 + (d->conf.from_file ? 1u : 3u) + d->conf.recording)
		fail("descriptors", EPROTO);

	struct drain_conf dc = {.control = ROLE_SOCKET, .file = -1, .successor = d->conf.generation > 0};
	memcpy(dc.instance, d->conf.instance, sizeof(dc.instance));
	d->link = msg.fds[0];
	d->heads_fd = msg.fds[2];
	if (d->conf.from_file) {
		dc.file = msg.fds[at++];
	} else {
		dc.data_ring = msg.fds[at++];
		dc.life_ring = msg.fds[at++];
		dc.idle = msg.fds[at++];
	}
	if (d->conf.recording)
		recording_begin(&d->recording, msg.fds[at++], d->conf.generation == 0);
	dc.wake_fd = d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	nonblocking(d->link);
	nonblocking(ROLE_SOCKET);
	d->journal = journal_open(msg.fds[1], dc.successor);
	if (!d->journal || d->wake_fd < 0)
		fail("cannot map the journal", errno);
	d->drain = drain_start(&dc, d->journal);
	if (!d->drain)
		fail("cannot map the rings", errno);
}

#ifdef SPANTAP_TEST_HOOKS
/* The test-only record: payload that holds this word crashes the parser. */
static void crash_on_request(const struct ev_head *rec)
{
	const struct ev_data *data = (const void *)rec;

	if (rec->type == EV_DATA && memmem(data->data, data->len, "SPANTAP-TEST-CRASH", 18))
		abort();
}
#else
static void crash_on_request(const struct ev_head *rec)
{
	(void)rec;
}
#endif

static void record(struct decoder_process *d, const struct ev_head *rec)
{
	recording_add(&d->recording, rec);
	if (d->recording.buf.n == 0) /* it went out */
		journal_recorded(d->journal);
}

static void flush_recording(struct decoder_process *d)
{
	if (d->conf.recording && recording_flush(&d->recording) == 0)
		journal_recorded(d->journal);
}

/* Up to BATCH records through the stages; whether there were any. */
static bool work(struct decoder_process *d)
{
	const struct ev_head *rec;
	bool poison;
	int n = 0;

	while (n < BATCH && (rec = journal_next(d->journal, &poison))) {
		n++;
		if (d->conf.recording && journal_unrecorded(d->journal))
			record(d, rec);
		if (rec->type == EV_MARK && ((const struct ev_mark *)(const void *)rec)->what == EV_MARK_END)
			d->end_ts = rec->ts;
		d->last_ts = rec->ts > d->last_ts ? rec->ts : d->last_ts;
		if (!poison)
			crash_on_request(rec);
		pipeline_record(d->pipeline, rec, poison);
	}
	return n > 0;
}

static void send_heads(struct decoder_process *d)
{
	const size_t most = MSG_MAX / HEAD_RECORD_SIZE * HEAD_RECORD_SIZE;
	size_t sent = 0;

	while (sent < d->heads.n) {
		size_t n = d->heads.n - sent < most ? d->heads.n - sent : most;

		if (msg_send(d->link, MSG_HEADS, slice_of(d->heads.p + sent, n), NULL, 0))
			break;
		sent += n;
	}
	d->heads.n -= sent;
	memmove(d->heads.p, d->heads.p + sent, d->heads.n);
}

static void talk_to_sink(struct decoder_process *d)
{
	if (!d->link_broken && outbox_work(d->outbox))
		d->link_broken = true; /* probe says why sink is gone; spans are kept as long as we live */
	if (!d->link_broken && d->heads.n)
		send_heads(d);
}

static void judge(void *ctx, const struct verdict *v)
{
	struct decoder_process *d = ctx;

	if (d->n_verdicts < JUDGE_MAX)
		d->verdicts[d->n_verdicts++] = *v;
}

static void talk_to_probe(struct decoder_process *d)
{
	size_t sent = 0;

	while (sent < d->n_verdicts &&
	       msg_send(ROLE_SOCKET, MSG_JUDGE, slice_of(&d->verdicts[sent], sizeof(d->verdicts[sent])), NULL, 0) == 0)
		sent++;
	d->n_verdicts -= sent;
	memmove(d->verdicts, d->verdicts + sent, d->n_verdicts * sizeof(d->verdicts[0]));
}

/* Hosts and calls in flight, when they have changed. False: they have, and cannot be sent now. */
static bool send_status(struct decoder_process *d)
{
	struct msg_status head = {.part = STATUS_DECODE};
	struct buf now = {0};
	bool sent = true;

	if (d->link_broken || d->conf.from_file)
		return true;
	pipeline_status(d->pipeline,
			&(struct pipeline_queues){.began = d->began,
						  .journal_used = journal_used(d->journal),
						  .journal_bytes = JOURNAL_BYTES,
						  .outbox_used = outbox_used(d->outbox),
						  .outbox_bytes = OUTBOX_MAX,
						  .shed_spans = outbox_shed(d->outbox)},
			&now);
	if (!slice_eq(buf_slice(&now), buf_slice(&d->status)))
		sent = msg_send2(d->link, MSG_STATUS, slice_of(&head, sizeof(head)), buf_slice(&now)) == 0;
	d->status_sent = clock_boot_ns();
	if (sent) {
		buf_release(&d->status);
		d->status = now;
	} else {
		buf_release(&now);
	}
	return sent;
}

static void wait_for_work(struct decoder_process *d)
{
	bool unsent = !d->link_broken && outbox_unsent(d->outbox);
	struct pollfd fds[] = {{.fd = d->wake_fd, .events = POLLIN},
			       {.fd = d->link_broken ? -1 : d->link, .events = POLLIN | (unsent ? POLLOUT : 0)}};
	uint64_t n;

	drain_reader_sleeps(d->drain, true);
	if (journal_empty(d->journal) && !drain_ended(d->drain) && !drain_orphaned(d->drain))
		poll(fds, 2, unsent ? SEND_WAIT_MS : TICK_MS);
	drain_reader_sleeps(d->drain, false);
	if (read(d->wake_fd, &n, sizeof(n)) < 0)
		return;
}

static void run(struct decoder_process *d)
{
	while (true) {
		bool ended = drain_ended(d->drain) || drain_orphaned(d->drain);
		bool worked = work(d);

		talk_to_sink(d);
		talk_to_probe(d);
		if (clock_boot_ns() - d->status_sent >= STATUS_NS)
			send_status(d);
		if (worked)
			continue;
		if (ended)
			return;
		flush_recording(d);
		if (!d->conf.from_file)
			pipeline_tick(d->pipeline, clock_boot_ns());
		wait_for_work(d);
	}
}

/* False: probe was killed, and what was lost is not known. */
static bool summary(const struct decoder_process *d, struct sink_summary *ret)
{
	const struct sink_summary *counted = drain_summary(d->drain);
	struct sink_summary s = counted ? *counted : (struct sink_summary){0};
	struct pipeline_stats stats = pipeline_stats(d->pipeline);

	if (d->conf.from_file) {
		s.captured_bytes = stats.stream.bytes + stats.stream.lost_bytes;
		s.lost_bytes = stats.stream.lost_bytes;
	}
	s.tls_connections = stats.stream.conns;
	s.unknown_protocol = stats.unknown;
	s.shed_spans = outbox_shed(d->outbox);
	s.pressed_spans = stats.pressed;
	s.sampled_out = stats.sample.dropped;
	s.sampled_calls = stats.sample.dropped_calls;
	s.grpc = stats.llm.grpc;
	s.batches = stats.llm.batches;
	*ret = s;
	return counted || d->conf.from_file;
}

/* Everything goes to sink and is acknowledged, as long as sink and probe live. */
static void flush(struct decoder_process *d)
{
	struct sink_summary s;
	bool known = summary(d, &s);
	int err;

	while (!d->link_broken && (!outbox_empty(d->outbox) || d->heads.n)) {
		struct pollfd fd = {.fd = d->link, .events = POLLIN | (outbox_unsent(d->outbox) ? POLLOUT : 0)};

		poll(&fd, 1, SEND_WAIT_MS);
		talk_to_sink(d);
	}
	while (!send_status(d) && !outbox_work(d->outbox))
		usleep(SEND_WAIT_MS * 1000);
	while (known && !d->link_broken && (err = outbox_end(d->outbox, &s)) != 0) {
		if (err != -EAGAIN)
			d->link_broken = true;
		usleep(SEND_WAIT_MS * 1000);
	}
}

/*
 * What a predecessor of this capture learned from records that are gone through
 * again is learned again: it would find its own calls, and take them for earlier ones.
 */
static void on_known(void *ctx, const struct head_record *h)
{
	struct decoder_process *d = ctx;

	if (h->last_wall < d->known_until)
		pipeline_head(d->pipeline, h);
}

static uint64_t known_until(const struct decoder_process *d)
{
	uint64_t oldest = d->conf.generation ? journal_oldest(d->journal) : 0;

	return oldest ? clock_wall_ns() - (clock_boot_ns() - oldest) : UINT64_MAX;
}

int decode_main(void)
{
	static struct decoder_process d;

	/* What libraries would open at first use is opened before the jail closes. */
	if (sodium_init() < 0)
		die(EXIT_SPANTAP, "cannot initialise libsodium");
	hash_init();
	tzset();
	mallopt(M_ARENA_MAX, 2); /* else malloc counts the processors, in /sys on some versions */
	set_up(&d);
	d.began = clock_wall_ns() / 1000000000;
	d.outbox = outbox_new(d.link, d.conf.generation);
	int err = kept_heads_key(d.heads_fd, d.link_key);
	if (err)
		fail("cannot read what is known of conversations", -err);
	d.pipeline = pipeline_new(d.conf.instance, d.conf.content, d.conf.redact, d.link_key, &span_events, &d);
	d.known_until = known_until(&d);
	kept_heads_read(d.heads_fd, on_known, &d);
	close(d.heads_fd);
	if (d.conf.join_traces)
		pipeline_join_traces(d.pipeline);
	if (!d.conf.from_file)
		pipeline_sample(d.pipeline, &d.conf.sample);
	if (!d.conf.from_file)
		pipeline_judge(d.pipeline, judge, &d, d.conf.llm_only);

	err = sandbox_identity(SANDBOX_UID, SANDBOX_UID);
	if (!err)
		err = sandbox_enter(SANDBOX_DECODE);
	if (err)
		fail("cannot give up its rights", -err);
	if (msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, NULL, 0))
		return EXIT_SPANTAP;
	drain_go(d.drain);

	run(&d);
	pipeline_finish(d.pipeline, d.end_ts ? d.end_ts : d.last_ts);
	flush_recording(&d);
	if (d.recording.err)
		log_warn("the recording is incomplete: %s", strerror(-d.recording.err));
	if (drain_error(d.drain))
		log_warn("the recording is damaged behind the last record shown: %s",
			 drain_error(d.drain) == -EBADMSG ? "it ends within a record, or is no recording"
							  : strerror(-drain_error(d.drain)));
	flush(&d);
	msg_send(ROLE_SOCKET, MSG_DONE, (struct slice){0}, NULL, 0);
	return 0;
}
