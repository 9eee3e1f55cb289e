/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - the process that writes: spans in, store and files out.
 *
 * It runs as the user who invoked spantap, opens everything itself, and is
 * confined to file calls afterwards.  An acknowledgement goes to decode only
 * after every exporter has made its spans durable.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/daemon.h"
#include "daemon/kept_heads.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "sink/pods.h"
#include "store/json_text.h"
#include "store/store.h"

#define COMMIT_NS    500000000  /* spans are durable at most this long after they came */
#define RETRY_NS     2000000000 /* after an exporter failed */
#define REST_NS      60000000000 /* between two looks for work that can wait */
#define TELL_NS      60000000000 /* between two words of failures: a disk that is almost full fails now and then */
#define SEEN_MAX     1000000   /* span ids remembered, to drop what comes twice */
#define SPAN_MAX     (256u << 20)
#define EXPORTERS    8
#define PUBLISH_NS   500000000 /* between two notices on the board */
#define ALERTS_NS    1000000000 /* between two looks at the rules of --alert */
#define NOTE_MAX     65536     /* bytes of an exporter's note */

struct exporter {
	const struct sink_ops *ops;
	void *state;
	bool failed;
	bool told;        /* the operator has been, of this failure */
	uint64_t told_at; /* boot ns, of the one before; 0: never */
	bool rest_failed; /* of that, too */
	uint64_t failing_since; /* s since the epoch; 0: it works */
	struct buf error;       /* why it does not */
	int refused;  /* -errno of a span that it did not take since the last commit */
};

struct sink_process {
	struct sink_conf conf;
	int link;
	struct exporter exporters[EXPORTERS];
	size_t n_exporters;
	struct map seen;        /* span id -> the exporters that have it, as bits */
	uint8_t (*pending)[8];  /* ids not yet acknowledged */
	size_t n_pending, cap_pending;
	struct buf span;        /* being received */
	uint64_t span_serial;
	uint64_t received, acknowledged; /* serials */
	uint64_t dirty_since;   /* 0: nothing to commit */
	uint64_t retry_at;      /* 0: no exporter has failed */
	uint64_t rest_at;       /* when to look again for work that can wait */
	uint64_t unreadable;    /* spans that could not be decoded */
	struct buf status[2];   /* by enum status_part: the last JSON object of each */
	bool status_due;        /* to be written */
	bool failing;           /* some exporter is */
	bool watching;          /* probe has said so */
	bool synced;            /* a RESET came: parts before it belong to our predecessor */
	bool ended;
	struct store *store; /* NULL: there is none */
	struct pods *pods;
	int heads_fd;        /* kept_heads.h */
	void *metrics;       /* of sink_metrics; NULL: nobody asks for them */
	bool publish_due, publish_failed;
	uint64_t published, alerts_at; /* when */
	struct sink_summary summary;
	struct msg msg;
};

static _Noreturn void fail(const char *text)
{
	msg_send(ROLE_SOCKET, MSG_FAIL, slice_str(text), NULL, 0);
	exit(EXIT_SPANTAP);
}

void sink_wire_encode(struct buf *out, const struct outputs *o)
{
	struct sink_wire w = {.uid = o->uid,
			      .gid = o->gid,
			      .columns = o->sink.columns,
			      .color = o->sink.color,
			      .otlp_file_content = o->sink.otlp_file_content,
			      .content = o->sink.content,
			      .continuous = o->sink.continuous,
			      .retain_age_ns = o->sink.retain_age_ns,
			      .retain_bytes = o->sink.retain_bytes,
			      .metrics = o->sink.metrics};
	const char *const strings[] = {o->sink.store_dir, o->sink.otlp_file, o->sink.tree_file, o->sink.command,
				       o->record_file, o->sink.alerts};

	memcpy(w.instance, o->sink.instance, sizeof(w.instance));
	buf_add(out, &w, sizeof(w));
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		buf_addc(out, strings[i] ? '+' : '-');
		if (strings[i])
			buf_add(out, strings[i], strlen(strings[i]) + 1);
	}
}

/* The next string of the wire form; a copy that is kept. */
static const char *wire_string(struct slice *in)
{
	if (in->n && *in->p == '-') {
		*in = slice_from(*in, 1);
		return NULL;
	}
	const char *nul = in->n ? memchr(in->p, '\0', in->n) : NULL;
	if (!nul)
		fail("sink: malformed configuration");
	const char *s = xstrdup(in->p + 1);
	*in = slice_from(*in, (size_t)(nul - in->p) + 1);
	return s;
}

static void wire_decode(struct slice in, struct outputs *o)
{
	struct sink_wire w;

	if (in.n < sizeof(w))
		fail("sink: malformed configuration");
	memcpy(&w, in.p, sizeof(w));
	in = slice_from(in, sizeof(w));
	*o = (struct outputs){.uid = w.uid, .gid = w.gid};
	o->sink.store_dir = wire_string(&in);
	o->sink.otlp_file = wire_string(&in);
	o->sink.tree_file = wire_string(&in);
	o->sink.command = wire_string(&in);
	o->record_file = wire_string(&in);
	o->sink.alerts = wire_string(&in);
	o->sink.columns = w.columns;
	o->sink.color = w.color;
	o->sink.continuous = w.continuous;
	o->sink.content = w.content;
	o->sink.otlp_file_content = w.otlp_file_content;
	o->sink.retain_age_ns = w.retain_age_ns;
	o->sink.retain_bytes = w.retain_bytes;
	o->sink.metrics = w.metrics;
	memcpy(o->sink.instance, w.instance, sizeof(w.instance));
}

static void open_exporters(struct sink_process *sp)
{
	for (size_t i = 0; sinks[i]; i++) {
		struct exporter *e = &sp->exporters[sp->n_exporters];
		const char *error = NULL;

		e->ops = sinks[i];
		int err = e->ops->open(&sp->conf, &e->state, &error);
		if (err)
			fail(error ? error : strerror(-err));
		if (e->state)
			sp->n_exporters++;
	}
}

static int open_recording(const char *path)
{
	char text[512];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		snprintf(text, sizeof(text), "cannot create recording '%s': %s", path,
			 errno == EEXIST ? "it exists; choose another name" : strerror(errno));
		fail(text);
	}
	return fd;
}

static uint64_t now_wall(void)
{
	return clock_wall_ns();
}

/* Said once, until it works again; the status says it all the time. */
static void exporter_failed(struct exporter *e, int err)
{
	const char *error = e->ops->error ? e->ops->error(e->state) : NULL;
	uint64_t now = clock_boot_ns();

	if (!e->failed)
		e->told = !e->told_at || now - e->told_at > TELL_NS;
	if (!e->failed && e->told) {
		e->told_at = now;
		log_warn("%s: cannot write: %s; spans are kept and tried again%s", e->ops->name,
			 error ? error : strerror(-err),
			 err == -ENOSPC ? ": make room on its file system" : "");
	}
	if (!e->failed)
		e->failing_since = now_wall() / 1000000000;
	buf_clear(&e->error);
	buf_adds(&e->error, error ? error : strerror(-err));
	e->failed = true;
}

static void exporter_works(struct exporter *e)
{
	if (e->failed && e->told)
		log_warn("%s: writes again", e->ops->name);
	e->failed = false;
}

/* What exporter `i` was given since the last acknowledgement is not durable: it has to have it again. */
static void forget(struct sink_process *sp, size_t i)
{
	for (size_t k = 0; k < sp->n_pending; k++) {
		uintptr_t has = (uintptr_t)map_get(&sp->seen, sp->pending[k], 8);

		map_put(&sp->seen, sp->pending[k], 8, (void *)(has & ~((uintptr_t)1 << i)));
	}
}

static void acknowledge(struct sink_process *sp)
{
	sp->dirty_since = 0;
	sp->n_pending = 0;
	if (sp->received > sp->acknowledged &&
	    msg_send(sp->link, MSG_ACK, slice_of(&sp->received, sizeof(sp->received)), NULL, 0) == 0)
		sp->acknowledged = sp->received;
}

/* Makes everything durable and says so; what failed is asked for again after RETRY_NS. */
static bool commit(struct sink_process *sp)
{
	bool all = true, failing = sp->failing;

	for (size_t i = 0; i < sp->n_exporters; i++) {
		struct exporter *e = &sp->exporters[i];
		int err = e->ops->commit ? e->ops->commit(e->state) : 0;

		if (err || e->refused) {
			exporter_failed(e, err ? err : e->refused);
			forget(sp, i);
			all = false;
		} else {
			exporter_works(e);
		}
		e->refused = 0;
	}
	sp->failing = !all;
	sp->publish_due = true;
	sp->status_due |= sp->failing != failing;
	if (all) {
		acknowledge(sp);
		return true;
	}
	sp->retry_at = clock_boot_ns() + RETRY_NS;
	return false;
}

static void retry(struct sink_process *sp)
{
	sp->retry_at = 0;
	sp->n_pending = 0; /* all of it comes again */
	sp->dirty_since = clock_boot_ns();
	sp->synced = false; /* decode begins anew with a RESET */
	msg_send(sp->link, MSG_HELLO, (struct slice){0}, NULL, 0);
}

static void on_span(struct sink_process *sp, struct slice encoded)
{
	struct span s;

	if (span_decode(encoded, &s)) {
		sp->unreadable++;
		return;
	}
	pods_name(sp->pods, &s, clock_boot_ns());
	uintptr_t has = (uintptr_t)map_get(&sp->seen, s.id, sizeof(s.id));
	for (size_t i = 0; i < sp->n_exporters; i++) {
		struct exporter *e = &sp->exporters[i];
		int err = has >> i & 1 ? 0 : e->ops->span(e->state, &s);

		if (err < 0)
			e->refused = err;
		else
			has |= (uintptr_t)1 << i;
	}
	if (sp->seen.n < SEEN_MAX || map_get(&sp->seen, s.id, sizeof(s.id)))
		map_put(&sp->seen, s.id, sizeof(s.id), (void *)has);
	xgrow(&sp->pending, &sp->cap_pending, sp->n_pending + 1, sizeof(*sp->pending));
	memcpy(sp->pending[sp->n_pending++], s.id, sizeof(s.id));
	span_release(&s);
}

/* One part of a span; parts of one span come in order, a RESET voids what is half there. */
static void on_part(struct sink_process *sp, struct slice payload)
{
	struct msg_span head;

	if (payload.n < sizeof(head))
		exit(EXIT_SPANTAP);
	memcpy(&head, payload.p, sizeof(head));
	payload = slice_from(payload, sizeof(head));
	if (head.offset == 0) {
		buf_clear(&sp->span);
		sp->span_serial = head.serial;
	}
	if (head.serial != sp->span_serial || head.offset != sp->span.n || head.total > SPAN_MAX ||
	    head.total - sp->span.n < payload.n)
		exit(EXIT_SPANTAP);
	buf_addslice(&sp->span, payload);
	if (sp->span.n < head.total)
		return;
	on_span(sp, buf_slice(&sp->span));
	sp->received = head.serial;
	if (!sp->dirty_since)
		sp->dirty_since = clock_boot_ns();
}

/* --- the status --- */

/* Keeps a part. What the jail sends is checked: the file must stay one that others can read. */
static void on_status(struct sink_process *sp, enum status_part part)
{
	struct slice payload = sp->msg.payload;
	struct msg_status head;

	if (payload.n < sizeof(head))
		return;
	memcpy(&head, payload.p, sizeof(head));
	payload = slice_from(payload, sizeof(head));
	yyjson_doc *doc = yyjson_read(payload.p, payload.n, 0);
	if (head.part == part && yyjson_is_obj(yyjson_doc_get_root(doc))) {
		buf_clear(&sp->status[part]);
		buf_addslice(&sp->status[part], payload);
		sp->status_due = true;
	}
	yyjson_doc_free(doc);
}

static bool write_at(const char *path, int flags, const struct buf *text)
{
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	bool whole = fd >= 0 && pwrite(fd, text->p, text->n, 0) == (ssize_t)text->n && ftruncate(fd, (off_t)text->n) == 0;

	if (fd >= 0)
		close(fd);
	return whole;
}

/* Which exporters cannot write, since when (s since the epoch), and why. */
static void add_failing(struct sink_process *sp, struct buf *text)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *failing = yyjson_mut_obj(d);

	for (size_t i = 0; i < sp->n_exporters; i++) {
		struct exporter *e = &sp->exporters[i];

		if (!e->failed)
			continue;
		yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, failing, e->ops->name);
		yyjson_mut_obj_add_uint(d, o, "since", e->failing_since);
		yyjson_mut_obj_add_val(d, o, "error", json_text(d, buf_slice(&e->error)));
	}
	char *json = yyjson_mut_val_write(failing, 0, NULL);
	buf_addf(text, ",\"failing\":%s", json ? json : "null");
	free(json);
	yyjson_mut_doc_free(d);
}

static void compose_status(struct sink_process *sp, struct buf *text)
{
	static const char *const names[] = {[STATUS_PROBE] = "probe", [STATUS_DECODE] = "decode"};

	buf_addf(text, "{\"written\":%llu", (unsigned long long)(now_wall() / 1000000000));
	add_failing(sp, text);
	for (size_t i = 0; i < 2; i++) {
		buf_addf(text, ",\"%s\":", names[i]);
		buf_addslice(text, sp->status[i].n ? buf_slice(&sp->status[i]) : SLICE("null"));
	}
	buf_adds(text, "}\n");
}

/*
 * Readers see the old file or the new one. It says nothing that has to survive the host: no fsync(2).
 * On a full disk there is no room for a new one; then the old one is written over, which takes none.
 */
static void write_status(struct sink_process *sp)
{
	struct buf path = {0}, temporary = {0}, text = {0};

	sp->status_due = false;
	sp->publish_due = true;
	if (!sp->conf.store_dir || !sp->status[STATUS_PROBE].n) /* without probe's part it would say that nothing is followed */
		return;
	buf_addf(&path, "%s/" STORE_STATUS, sp->conf.store_dir);
	buf_addf(&temporary, "%s.new", buf_str(&path));
	compose_status(sp, &text);
	if (!write_at(buf_str(&temporary), O_CREAT | O_TRUNC, &text) || rename(buf_str(&temporary), buf_str(&path))) {
		unlink(buf_str(&temporary));
		write_at(buf_str(&path), 0, &text);
	}
	buf_release(&path);
	buf_release(&temporary);
	buf_release(&text);
}

/* --- the board --- */

/* A note that was written in this capture, by an exporter of it. */
static void add_note(struct sink_process *sp, const char *name, struct buf *out)
{
	struct buf path = {0}, text = {0};

	buf_addf(&path, "%s/%s", sp->conf.store_dir, name);
	int fd = open(buf_str(&path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	buf_reserve(&text, NOTE_MAX);
	ssize_t n = fd >= 0 ? read(fd, text.p, NOTE_MAX) : -1;
	if (fd >= 0)
		close(fd);
	yyjson_doc *doc = n > 0 ? yyjson_read(text.p, (size_t)n, 0) : NULL;
	uint64_t written = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "written"));
	if (written >= sink_metrics_start(sp->metrics) / 1000000000) {
		buf_adds(out, out->n > 1 ? "," : "");
		buf_add(out, text.p, (size_t)n);
	}
	yyjson_doc_free(doc);
	buf_release(&path);
	buf_release(&text);
}

static void add_notes(struct sink_process *sp, struct buf *out)
{
	DIR *d = sp->conf.store_dir ? opendir(sp->conf.store_dir) : NULL;
	const struct dirent *e;

	buf_addc(out, '[');
	while (d && (e = readdir(d)))
		if (slice_starts(slice_str(e->d_name), SLICE("otlp-")) && slice_ends(slice_str(e->d_name), SLICE(".json")))
			add_note(sp, e->d_name, out);
	if (d)
		closedir(d);
	buf_addc(out, ']');
}

static void say_alert(const char *line)
{
	log_warn("%s", line);
}

/* Their values too are to be seen, also when nothing comes. */
static void look_at_alerts(struct sink_process *sp, uint64_t now)
{
	if (!sp->metrics || !sp->conf.alerts || now - sp->alerts_at < ALERTS_NS)
		return;
	sp->alerts_at = now;
	sink_metrics_tick(sp->metrics, now, say_alert);
	sp->publish_due = true;
}

static void publish(struct sink_process *sp, uint64_t now)
{
	struct buf status = {0}, exports = {0};

	if (!sp->metrics || !sp->publish_due || now - sp->published < PUBLISH_NS)
		return;
	sp->publish_due = false;
	sp->published = now;
	compose_status(sp, &status);
	add_notes(sp, &exports);
	int err = sink_metrics_publish(sp->metrics, buf_slice(&status), buf_slice(&exports));
	if (err && !sp->publish_failed)
		log_warn("metrics are too large to be shown (%s): what is shown is old", strerror(-err));
	sp->publish_failed = err != 0;
	buf_release(&status);
	buf_release(&exports);
}

static void on_message(struct sink_process *sp)
{
	switch (sp->msg.type) {
	case MSG_STATUS:
		on_status(sp, STATUS_DECODE);
		break;
	case MSG_RESET:
		buf_clear(&sp->span);
		sp->received = sp->acknowledged = 0;
		sp->synced = true;
		break;
	case MSG_SPAN:
		if (sp->synced)
			on_part(sp, sp->msg.payload);
		break;
	case MSG_HEADS:
		if (!sp->retry_at && kept_heads_add(sp->heads_fd, sp->store, sp->msg.payload) == -EBADMSG)
			exit(EXIT_SPANTAP);
		if (!sp->dirty_since)
			sp->dirty_since = clock_boot_ns();
		break;
	case MSG_END:
		if (sp->msg.payload.n == sizeof(sp->summary))
			memcpy(&sp->summary, sp->msg.payload.p, sizeof(sp->summary));
		sp->ended = true;
		break;
	default:
		exit(EXIT_SPANTAP);
	}
}

static void on_retain(struct sink_process *sp)
{
	struct msg_retain limits;

	if (sp->msg.payload.n != sizeof(limits))
		return;
	memcpy(&limits, sp->msg.payload.p, sizeof(limits));
	sp->conf.retain_age_ns = limits.age_ns;
	sp->conf.retain_bytes = limits.bytes;
	for (size_t i = 0; i < sp->n_exporters; i++)
		if (sp->exporters[i].ops == &sink_store)
			sink_store_retain(sp->exporters[i].state, &sp->conf);
	if (!sp->dirty_since)
		sp->dirty_since = clock_boot_ns();
	sp->rest_at = 0;
}

/* probe watches: its first status says so. */
static void on_watching(struct sink_process *sp)
{
	if (sp->watching)
		return;
	sp->watching = true;
	for (size_t i = 0; i < sp->n_exporters; i++)
		if (sp->exporters[i].ops == &sink_store)
			sink_store_watch(sp->exporters[i].state);
	if (!sp->dirty_since)
		sp->dirty_since = clock_boot_ns();
}

/* What was done to the host; an event of a batch that fails is lost with it (store.h). */
static void on_audit(struct sink_process *sp)
{
	static const char *const kinds[AUDIT_KINDS] = {[AUDIT_ATTACH] = "attach", [AUDIT_DETACH] = "detach"};
	struct slice json = sp->msg.payload;
	struct msg_audit head;

	if (json.n < sizeof(head) || !sp->store)
		return;
	memcpy(&head, json.p, sizeof(head));
	json = slice_from(json, sizeof(head));
	if (head.what >= AUDIT_KINDS || sp->retry_at || store_audit(sp->store, head.wall_ns, kinds[head.what], json))
		return;
	if (!sp->dirty_since)
		sp->dirty_since = clock_boot_ns();
}

/* probe says what the status is, what to keep and what it does to the host, and by closing its end that it is gone. */
static bool hear_probe(struct sink_process *sp)
{
	int err;

	while ((err = msg_recv(ROLE_SOCKET, &sp->msg)) == 0)
		if (sp->msg.type == MSG_STATUS) {
			on_status(sp, STATUS_PROBE);
			on_watching(sp);
		} else if (sp->msg.type == MSG_RETAIN) {
			on_retain(sp);
		} else if (sp->msg.type == MSG_AUDIT) {
			on_audit(sp);
		}
	return err == -EAGAIN;
}

/* A step of what can wait: texts that are too old, files that can become smaller. */
static void rest(struct sink_process *sp, uint64_t now)
{
	bool more = false;

	if (now < sp->rest_at)
		return;
	for (size_t i = 0; i < sp->n_exporters; i++) {
		struct exporter *e = &sp->exporters[i];
		int r = e->ops->rest ? e->ops->rest(e->state) : 0;

		if (r < 0 && !e->rest_failed)
			log_warn("%s: cannot keep to its limits: %s", e->ops->name,
				 e->ops->error ? e->ops->error(e->state) : strerror(-r));
		e->rest_failed = r < 0;
		more |= r > 0;
	}
	sp->rest_at = more ? now : now + REST_NS;
}

/* ms until there is something to do without being told. */
static int patience(const struct sink_process *sp, uint64_t now)
{
	if (sp->dirty_since)
		return COMMIT_NS / 1000000 / 4;
	if (sp->metrics && sp->publish_due)
		return PUBLISH_NS / 1000000;
	if (sp->conf.alerts)
		return ALERTS_NS / 1000000;
	return sp->rest_at > now ? (int)((sp->rest_at - now) / 1000000 + 1) : 0;
}

static void run(struct sink_process *sp)
{
	bool orphaned = false;

	while (!sp->ended) {
		struct pollfd fds[] = {{.fd = sp->link, .events = POLLIN},
				       {.fd = orphaned ? -1 : ROLE_SOCKET, .events = POLLIN}};
		int err;

		poll(fds, 2, patience(sp, clock_boot_ns()));
		err = msg_recv(sp->link, &sp->msg);
		if (err == 0)
			on_message(sp);
		else if (err != -EAGAIN)
			return; /* decode and probe are gone: keep what came */
		uint64_t now = clock_boot_ns();
		if (sp->retry_at && now > sp->retry_at)
			retry(sp);
		else if (sp->dirty_since && !sp->retry_at && (err == -EAGAIN || now - sp->dirty_since > COMMIT_NS))
			commit(sp);
		if (!sp->dirty_since)
			rest(sp, now);
		if (!orphaned && fds[1].revents && !hear_probe(sp))
			orphaned = true; /* decode ends by itself; its end of the link closes then */
		if (sp->status_due)
			write_status(sp);
		look_at_alerts(sp, now);
		publish(sp, now);
	}
}

int sink_main(void)
{
	static struct sink_process sp;
	struct outputs out;
	int record_fd = -1;

	if (sodium_init() < 0)
		die(EXIT_SPANTAP, "cannot initialise libsodium");
	fcntl(ROLE_SOCKET, F_SETFL, 0); /* a sink that crashed may have left its end so */
	if (msg_recv(ROLE_SOCKET, &sp.msg) || sp.msg.type != MSG_CONF || !sp.msg.n_fds)
		return EXIT_SPANTAP;
	sp.link = sp.msg.fds[0];
	wire_decode(sp.msg.payload, &out);
	sp.conf = out.sink;
	if (sp.msg.n_fds != 1 + (size_t)sp.conf.metrics)
		return EXIT_SPANTAP;
	sp.conf.board_fd = sp.conf.metrics ? sp.msg.fds[1] : -1;
	umask(077);

	int err = sandbox_identity(out.uid, out.gid);
	if (err)
		fail("sink: cannot give up its rights");
	sp.pods = pods_new(PODS_DIR);
	open_exporters(&sp);
	for (size_t i = 0; i < sp.n_exporters; i++) {
		if (sp.exporters[i].ops == &sink_store)
			sp.store = sink_store_of(sp.exporters[i].state);
		if (sp.exporters[i].ops == &sink_metrics)
			sp.metrics = sp.exporters[i].state;
	}
	sp.heads_fd = kept_heads_create(sp.store);
	if (sp.heads_fd < 0)
		fail("sink: cannot hand on what is known of conversations");
	if (out.record_file)
		record_fd = open_recording(out.record_file);
	if (sandbox_enter(SANDBOX_SINK))
		fail("sink: cannot enter its sandbox");
	fcntl(sp.link, F_SETFL, O_NONBLOCK);
	fcntl(ROLE_SOCKET, F_SETFL, O_NONBLOCK);
	if (msg_send(sp.link, MSG_HELLO, (struct slice){0}, NULL, 0) ||
	    msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, (int[]){sp.heads_fd, record_fd}, 1 + (record_fd >= 0)))
		return EXIT_SPANTAP;
	if (record_fd >= 0)
		close(record_fd);

	run(&sp);
	bool all = commit(&sp);
	sp.published = sp.alerts_at = 0;
	look_at_alerts(&sp, clock_boot_ns());
	publish(&sp, clock_boot_ns());
	if (!all)
		log_warn("%zu spans could not be written and are lost", sp.n_pending);
	for (size_t i = 0; i < sp.n_exporters; i++) {
		struct exporter *e = &sp.exporters[i];

		err = e->ops->finish ? e->ops->finish(e->state, sp.ended ? &sp.summary : NULL) : 0;
		if (err)
			exporter_failed(e, err);
		e->ops->close(e->state);
	}
	pods_free(sp.pods);
	if (sp.unreadable)
		log_warn("%llu spans could not be decoded and are lost", (unsigned long long)sp.unreadable);
	msg_send(ROLE_SOCKET, MSG_DONE, (struct slice){0}, NULL, 0);
	return 0;
}
