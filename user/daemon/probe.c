/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - the privileged process of a capture.
 *
 * It owns every BPF map and link, starts the other processes and CMD, attaches
 * to what the followed processes map, and restarts a process of ours that
 * crashed.  It never reads payload.  When it dies, the kernel closes its links
 * and the traced processes have their original instructions back; decode and
 * sink see end of file, write what they have, and end.
 *
 * After CMD has started, nothing that fails in here may touch it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/audit_queue.h"
#include "daemon/child.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/metrics_exporter.h"
#include "daemon/metrics_server.h"
#include "daemon/reload.h"
#include "daemon/reporters.h"
#include "daemon/service.h"
#include "daemon/webhook.h"
#include "jail/message.h"
#include "jail/spawn.h"
#include "llm/names.h"
#include "metrics/board.h"
#include "probe/discover.h"
#include "probe/hold.h"
#include "probe/places.h"
#include "probe/procfs.h"
#include "probe/status.h"
#include "sink/summary.h"

#define SWEEP_MS        200   /* after a process ended: report and forget its connections */
#define LIVE_SWEEP_NS 5000000000ull /* between two looks at live connections */
#define SERVICE_NS  10000000000ull /* between two words to the service manager */
#define TICK_MS       1000  /* what is done from time to time is looked at so often */
#define DRAIN_NS        2000000000ull /* after CMD ended, for what the rings still hold */
#define STOP_NS         60000000000ull /* the same of a recording that is ended: a service manager waits 90 s */
#define FLUSH_NS        300000000000ull /* after CMD ended, for decode and sink to write what they hold; a signal ends it */
#define CRASHES_MAX     5     /* of decode in CRASH_WINDOW_NS; more: wait that long */
#define CRASH_WINDOW_NS 60000000000ull
#define CRASHES_AT_END  64    /* of decode after CMD ended, one try after the other; more: give up */
#define SINK_CRASHES    3     /* within CRASH_WINDOW_NS; more: wait that long, or at the end give up */
#define USAGE_NS        5000000000ull  /* between two looks at what our processes use */
#define JUDGES_MAX      10000 /* verdicts in JUDGE_WINDOW_NS; further ones are dropped, their connections stay */
#define JUDGE_WINDOW_NS 1000000000ull
#define HEAR_MAX        1024 /* messages of a role in one go: it cannot keep us from all else */
#define LINK_BUFFER     (4 << 20)
#define LEFT_MAX        (1 << 20) /* bytes that a crashed decode left unread: above what its socket holds */

struct probe {
	struct outputs out; /* as it is now */
	struct loader *loader; /* NULL when replaying */
	struct attacher *attacher;
	struct discover *discover;
	struct hold *hold; /* NULL: programs do not wait */
	struct status *status;
	struct buf selection, status_json;
	uint64_t status_at; /* when it was composed last */
	struct budget budget;
	uint64_t budget_at; /* when it was looked at last */
	bool pressure_untold;
	bool status_unsent;
	uint64_t verdicts, verdicts_refused;
	struct audit_queue audit;
	struct child decode, sink;
	struct reporters *reporters;
	struct service *service; /* NULL: nobody to tell */
	uint64_t service_told;
	bool retain_unsent; /* sink does not know yet how long to keep */
	int board[2]; /* the writer's descriptor, the readers'; -1: nobody asks for metrics */
	struct status_role usage[STATUS_ROLES_MAX];
	size_t n_usage;
	uint64_t usage_at, began; /* boot ns; s since the epoch */
	int link[2]; /* decode's end, sink's end */
	int journal_fd, heads_fd, recording_fd, file;
	struct journal *journal;
	int signals;
	sigset_t mask; /* as we were started */
	void (*on_sigpipe)(int);

	pid_t cmd;
	int cmd_status;
	bool cmd_ended, stopped, ending, end_sent, impatient;
	bool unfinished; /* decode or sink had not written all when the time was over */
	bool reloads, reload_due; /* SIGHUP asks for it, and did */
	uint64_t flush_ns;
	bool sweep_due;
	uint64_t sweep_at;
	uint64_t touched; /* bytes lost or ignored at the last sweep */
	uint64_t life_lost; /* told to decode */
	uint64_t not_told;  /* records of processes found that decode did not take */
	uint64_t judged_since;
	unsigned judged;
	bool llm_only;
	unsigned crashes;
	uint64_t crash_window, decode_again_at; /* 0: now */
	uint64_t sink_window, sink_again_at;    /* the same of sink */
	bool sink_ran;
	struct msg msg;
};

/* --- the roles --- */

/* Takes back what the crashed decode had not read, so that its successor reads its configuration first. */
static void take_left(struct probe *p, struct buf *left)
{
	struct pollfd fd = {.fd = p->decode.sock[1], .events = POLLIN};

	while (left->n < LEFT_MAX && poll(&fd, 1, 0) > 0 && msg_recv(fd.fd, &p->msg) == 0) {
		const struct msg *m = &p->msg;

		for (size_t i = 0; i < m->n_fds; i++)
			close(m->fds[i]);
		if (m->type == MSG_CONF)
			continue; /* its own, unread */
		buf_add(left, &m->type, sizeof(m->type));
		buf_add(left, &m->payload.n, sizeof(m->payload.n));
		buf_addslice(left, m->payload);
	}
}

/* Puts it back; it had room before. */
static void send_left(struct probe *p, struct slice left)
{
	enum msg_type type;
	size_t n;

	while (left.n) {
		memcpy(&type, left.p, sizeof(type));
		memcpy(&n, left.p + sizeof(type), sizeof(n));
		left = slice_from(left, sizeof(type) + sizeof(n));
		if (msg_send(p->decode.sock[0], type, slice_of(left.p, n), NULL, 0))
			break;
		left = slice_from(left, n);
	}
}

static int start_decode(struct probe *p)
{
	struct decode_conf conf = {.content = p->out.sink.content,
				   .redact = p->out.redact,
				   .from_file = p->file >= 0,
				   .recording = p->recording_fd >= 0,
				   .join_traces = p->out.join_traces,
				   .sample = p->out.sample,
				   .llm_only = p->llm_only,
				   .generation = p->crashes};
	int fds[MSG_FDS_MAX] = {p->link[0], p->journal_fd, p->heads_fd};
	struct buf wire = {0};
	size_t n = 3;

	memcpy(conf.instance, p->out.sink.instance, sizeof(conf.instance));
	if (conf.from_file) {
		fds[n++] = p->file;
	} else {
		fds[n++] = loader_data_ring_fd(p->loader);
		fds[n++] = loader_life_ring_fd(p->loader);
		fds[n++] = loader_idle_fd(p->loader);
	}
	if (conf.recording)
		fds[n++] = p->recording_fd;
	buf_add(&wire, &conf, sizeof(conf));
	buf_addslice(&wire, buf_slice(&p->out.rules));
	p->decode.pid = spawn_role("decode", p->decode.sock[1]);
	int err = p->decode.pid < 0 ? (int)p->decode.pid : 0;
	if (!err)
		err = msg_send(p->decode.sock[0], MSG_CONF, buf_slice(&wire), fds, n);
	buf_release(&wire);
	return err;
}

static int start_sink(struct probe *p)
{
	struct outputs out = p->out;
	struct buf wire = {0};
	int err;

	if (p->sink_ran)
		out.record_file = NULL; /* decode has it open */
	p->sink.pid = spawn_role("sink", p->sink.sock[1]);
	if (p->sink.pid < 0)
		return (int)p->sink.pid;
	sink_wire_encode(&wire, &out);
	err = msg_send(p->sink.sock[0], MSG_CONF, buf_slice(&wire), (int[]){p->link[1], p->board[0]}, 1 + out.sink.metrics);
	buf_release(&wire);
	return err;
}

static struct export_conf export_conf(const struct probe *p, const struct otlp_endpoint *e,
                                      const char *store_dir)
{
	return (struct export_conf){
	    .endpoint = *e, .store_dir = store_dir, .uid = p->out.uid, .gid = p->out.gid};
}

/* Those that read the board: as they were asked for at the start, because sink has the other end of it since. How many. */
static size_t board_reporters(const struct probe *p, struct reporter_conf *v)
{
	const struct outputs *o = &p->out;
	size_t n = 0;

	if (o->webhook) {
		const struct otlp_endpoint e = {
		    .url = o->webhook, .encoding = OTLP_JSON, .timeout_ms = WEBHOOK_TIMEOUT_MS};
		const struct export_conf conf = export_conf(p, &e, "");

		v[n] = (struct reporter_conf){.name = "the webhook", .role = "webhook", .fd = p->board[1]};
		export_conf_encode(&v[n++].wire, &conf);
	}
	if (o->metrics_endpoint.url) {
		const struct export_conf conf = export_conf(p, &o->metrics_endpoint, "");

		v[n] = (struct reporter_conf){
		    .name = "the metrics exporter", .role = "metrics-export", .fd = p->board[1]};
		metrics_exporter_conf(&v[n++].wire, o->metrics_interval_ms, &conf);
	}
	if (o->metrics.len) {
		v[n] = (struct reporter_conf){
		    .name = "the metrics server", .role = "metrics", .fd = p->board[1]};
		metrics_server_conf(&v[n++].wire, &o->metrics, o->uid, o->gid);
	}
	return n;
}

/* How many end or are to start. */
static size_t set_reporters(struct probe *p, const struct outputs *o)
{
	struct reporter_conf v[REPORTERS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < o->n_endpoints; i++) {
		const struct export_conf conf = export_conf(p, &o->endpoints[i], p->out.sink.store_dir);

		v[n] = (struct reporter_conf){.name = "an exporter", .role = "export", .fd = -1};
		export_conf_encode(&v[n++].wire, &conf);
	}
	n += board_reporters(p, v + n);
	return reporters_set(p->reporters, v, n);
}

/* What sink opened for decode: the heads of conversations, and the recording if there is one. */
static void take_files(struct probe *p)
{
	if (p->heads_fd >= 0)
		close(p->heads_fd);
	p->heads_fd = p->msg.n_fds ? p->msg.fds[0] : -1;
	if (p->msg.n_fds > 1)
		p->recording_fd = p->msg.fds[1];
}

static int create_board(struct probe *p)
{
	if (!p->out.sink.metrics)
		return 0;
	p->board[0] = board_create();
	p->board[1] = p->board[0] < 0 ? p->board[0] : board_reader(p->board[0]);
	return p->board[1] < 0 ? p->board[1] : 0;
}

static bool start_roles(struct probe *p)
{
	int size = LINK_BUFFER, err;

	p->journal_fd = journal_create();
	p->journal = p->journal_fd < 0 ? NULL : journal_open(p->journal_fd, false);
	if (!p->journal) {
		log_warn("cannot create the journal: %s", strerror(errno));
		return false;
	}
	err = create_board(p);
	if (!err)
		err = role_socket(p->link);
	if (!err)
		err = role_socket(p->decode.sock);
	if (!err)
		err = role_socket(p->sink.sock);
	for (int i = 0; !err && i < 2; i++)
		if (setsockopt(p->link[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
			setsockopt(p->link[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (!err)
		err = start_sink(p);
	if (err) {
		log_warn("cannot start sink: %s", strerror(-err));
		return false;
	}
	if (!child_wait_ready(&p->sink, &p->msg))
		return false;
	p->sink_ran = true;
	take_files(p);
	p->reporters = reporters_new();
	set_reporters(p, &p->out);
	if (!reporters_start(p->reporters))
		return false; /* before anything is captured */
	err = start_decode(p);
	if (err) {
		log_warn("cannot start decode: %s", strerror(-err));
		return false;
	}
	if (!child_wait_ready(&p->decode, &p->msg))
		return false;
	fcntl(p->decode.sock[0], F_SETFL, O_NONBLOCK);
	fcntl(p->sink.sock[0], F_SETFL, O_NONBLOCK);
	return true;
}

/* --- restarting what crashed --- */

static void on_decode_death(struct probe *p, int status)
{
	uint64_t now = clock_boot_ns();

	p->decode.pid = 0;
	if (p->decode.done)
		return;
	p->crashes++;
	if (now - p->crash_window > CRASH_WINDOW_NS || !p->crash_window) {
		p->crash_window = now;
		p->decode.restarts = 0;
	}
	p->decode.restarts++;
	bool blamed = journal_blame(p->journal);
	log_warn("decode crashed (%s %d)%s", WIFSIGNALED(status) ? "signal" : "status",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		 blamed ? "; the record that it was parsing is left out and marked" : "");
	p->decode_again_at = 0;
	if (p->ending && p->decode.restarts > CRASHES_AT_END) {
		log_warn("decode crashed %u times at the end: what it still held is lost", p->decode.restarts);
		p->decode.done = true;
		close(p->link[0]); /* sink sees the end, and keeps what came */
		p->link[0] = -1;
	} else if (!p->ending && p->decode.restarts > CRASHES_MAX) {
		p->decode_again_at = now + CRASH_WINDOW_NS;
		log_warn("decode crashed %u times within a minute: next try in %llu s; until then the kernel only counts",
			 p->decode.restarts, CRASH_WINDOW_NS / 1000000000ull);
	}
}

static void restart_decode(struct probe *p)
{
	if (p->decode.pid || p->decode.done || clock_boot_ns() < p->decode_again_at)
		return;

	struct buf left = {0};
	take_left(p, &left);
	fcntl(p->decode.sock[0], F_SETFL, 0);
	if (start_decode(p) || !child_wait_ready(&p->decode, &p->msg))
		p->decode_again_at = clock_boot_ns() + CRASH_WINDOW_NS;
	fcntl(p->decode.sock[0], F_SETFL, O_NONBLOCK);
	p->pressure_untold = p->budget.step > 0;
	send_left(p, buf_slice(&left)); /* not before: it may fill the socket that nobody reads yet */
	buf_release(&left);
}

/* decode keeps what sink has not acknowledged; when that grows too much, it sheds content. */
static void on_sink_death(struct probe *p)
{
	uint64_t now = clock_boot_ns();

	p->sink.pid = 0;
	if (p->sink.done)
		return;
	if (now - p->sink_window > CRASH_WINDOW_NS || !p->sink_window) {
		p->sink_window = now;
		p->sink.restarts = 0;
	}
	bool too_often = ++p->sink.restarts > SINK_CRASHES;
	p->sink.done = too_often && p->ending;
	p->sink_again_at = too_often ? now + CRASH_WINDOW_NS : 0;
	if (p->sink.done)
		log_warn("sink crashed again: spans that are not yet stored are lost");
	else if (p->sink_again_at)
		log_warn("sink crashed %u times within a minute: next try in %llu s; spans are kept in memory until then",
			 p->sink.restarts, CRASH_WINDOW_NS / 1000000000ull);
	else
		log_warn("sink crashed: starting it again; unacknowledged spans are sent again, the tree shows only these");
}

/* What it had not read is sent again. */
static void take_unread(struct probe *p)
{
	struct pollfd fd = {.fd = p->sink.sock[1], .events = POLLIN};

	while (poll(&fd, 1, 0) > 0 && msg_recv(fd.fd, &p->msg) == 0) {
		for (size_t i = 0; i < p->msg.n_fds; i++)
			close(p->msg.fds[i]);
		if (p->msg.type == MSG_AUDIT)
			audit_unread(&p->audit, p->msg.payload);
	}
	p->status_unsent = p->retain_unsent = true;
}

static void restart_sink(struct probe *p)
{
	if (p->sink.pid || p->sink.done || (!p->ending && clock_boot_ns() < p->sink_again_at))
		return;
	take_unread(p);
	fcntl(p->sink.sock[0], F_SETFL, 0);
	if (start_sink(p) == 0 && child_wait_ready(&p->sink, &p->msg)) {
		take_files(p);
	} else {
		if (p->sink.pid > 0 && kill(p->sink.pid, SIGKILL) == 0) /* CAP_KILL */
			waitpid(p->sink.pid, NULL, 0);
		p->sink.pid = 0;
		p->sink.done = p->ending;
		p->sink_again_at = clock_boot_ns() + CRASH_WINDOW_NS;
	}
	fcntl(p->sink.sock[0], F_SETFL, O_NONBLOCK);
}

static void reap(struct probe *p)
{
	int status;

	if (p->cmd > 0 && !p->cmd_ended && waitpid(p->cmd, &status, WNOHANG) == p->cmd) {
		p->cmd_ended = true;
		p->cmd_status = status;
	}
	if (p->decode.pid > 0 && waitpid(p->decode.pid, &status, WNOHANG) == p->decode.pid)
		on_decode_death(p, status);
	if (p->sink.pid > 0 && waitpid(p->sink.pid, &status, WNOHANG) == p->sink.pid)
		on_sink_death(p);
	if (hold_reap(p->hold))
		log_warn("the gate has ended: programs are not held any more until they have their probes");
}

/* decode asks, the kernel side compares: all that a hostile decode can do is to make us deaf. */
static void on_judge(struct probe *p)
{
	const uint32_t allowed = EV_CONN_IGNORED | EV_CONN_FINAL | EV_CONN_SERVER | EV_CONN_ANY;
	uint64_t now = clock_boot_ns();
	struct verdict v = {0};

	if (now - p->judged_since > JUDGE_WINDOW_NS) {
		p->judged_since = now;
		p->judged = 0;
	}
	bool whole = p->msg.payload.n == sizeof(v);
	if (whole)
		memcpy(&v, p->msg.payload.p, sizeof(v));
	if (!p->loader || !whole || v.flags & ~(uint64_t)allowed || p->judged++ >= JUDGES_MAX) {
		p->verdicts_refused++;
		return;
	}
	p->verdicts++;
	loader_judge(p->loader, &v);
}

static void hear(struct probe *p, struct child *c)
{
	struct pollfd fd = {.fd = c->sock[0], .events = POLLIN};

	for (int n = 0; n < HEAR_MAX && poll(&fd, 1, 0) > 0 && msg_recv(c->sock[0], &p->msg) == 0; n++) {
		for (size_t i = 0; i < p->msg.n_fds; i++)
			close(p->msg.fds[i]);
		if (p->msg.type == MSG_DONE)
			c->done = true;
		else if (p->msg.type == MSG_JUDGE && c == &p->decode)
			on_judge(p);
	}
}

/* --- CMD --- */

static void drop_to(const struct capture *cap)
{
	if (!cap->user)
		return;
	if (initgroups(cap->user, cap->cmd_gid) || setresgid(cap->cmd_gid, cap->cmd_gid, cap->cmd_gid) ||
	    setresuid(cap->cmd_uid, cap->cmd_uid, cap->cmd_uid))
		die(EXIT_SPANTAP, "cannot become user %s: %s", cap->user, strerror(errno));
	if (cap->cmd_home) {
		setenv("HOME", cap->cmd_home, 1);
		setenv("USER", cap->user, 1);
		setenv("LOGNAME", cap->user, 1);
	}
}

/* In the child: waits for the word to go, then becomes CMD, or writes errno to `report`. */
static _Noreturn void become_cmd(struct probe *p, const struct capture *cap, int go, int report)
{
	char c;

	if (p->hold) {
		int err = -hold_enter(p->hold);

		if (write(report, &err, sizeof(err)) < 0)
			_exit(EXIT_SPANTAP);
	}
	if (read(go, &c, 1) != 1)
		_exit(EXIT_SPANTAP); /* probe failed or died: CMD is not started */
	drop_to(cap);
	signal(SIGPIPE, p->on_sigpipe);
	sigprocmask(SIG_SETMASK, &p->mask, NULL);
	execvp(cap->argv[0], cap->argv);

	int err = errno;
	if (write(report, &err, sizeof(err)) < 0)
		_exit(EXIT_SPANTAP);
	_exit(err == ENOENT ? EXIT_CMD_NOTFOUND : EXIT_CMD_NOEXEC);
}

/* CMD is in a mount namespace of its own, or says why it is not: then it goes on without. */
static void mark_mounts(struct probe *p, int report)
{
	int err = 0;

	if (!p->hold)
		return;
	if (read(report, &err, sizeof(err)) == sizeof(err) && !err && hold_mark(p->hold, p->cmd))
		return;
	log_info("programs are not held until they have their probes: %s", err ? strerror(err) : "no mount can be marked");
	hold_free(p->hold);
	p->hold = NULL;
}

/* Whether CMD could be executed: 0 or an errno. Its own program waits for its probes, too. */
static int wait_executed(struct probe *p, int report)
{
	struct pollfd fds[] = {{.fd = report, .events = POLLIN}, {.events = POLLIN}};
	int err = 0;

	for (;;) {
		fds[1].fd = hold_fd(p->hold);
		poll(fds, 2, -1);
		if (fds[1].fd >= 0 && fds[1].revents) {
			hold_work(p->hold);
			hold_reap(p->hold);
		}
		if (fds[0].revents && (read(report, &err, sizeof(err)) >= 0 || errno != EINTR))
			return err;
	}
}

/* 0, or the exit code that says why CMD did not start. */
static int start_cmd(struct probe *p, const struct capture *cap)
{
	int go[2], report[2], err;

	if (pipe2(go, O_CLOEXEC) || pipe2(report, O_CLOEXEC)) {
		log_warn("cannot create a pipe: %s", strerror(errno));
		return EXIT_SPANTAP;
	}
	loader_arm(p->loader);
	p->cmd = fork();
	if (p->cmd == 0) {
		close(go[1]);
		become_cmd(p, cap, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	if (p->cmd > 0)
		p->discover =
		    discover_start(&(struct discover_conf){.attacher = p->attacher, .loader = p->loader, .cmd = p->cmd});
	if (!p->discover) {
		log_warn("cannot %s: %s", p->cmd > 0 ? "watch CMD's mappings" : "fork", strerror(errno));
		close(go[1]);
		close(report[0]);
		return EXIT_SPANTAP;
	}
	mark_mounts(p, report[0]);
	if (write(go[1], "", 1) != 1)
		log_warn("cannot start CMD: %s", strerror(errno));
	close(go[1]);
	err = wait_executed(p, report[0]);
	close(report[0]);
	if (!err)
		return 0;
	log_warn("cannot execute '%s': %s", cap->argv[0], strerror(err));
	return err == ENOENT ? EXIT_CMD_NOTFOUND : EXIT_CMD_NOEXEC;
}

/*
 * Signals sent to us by a process are CMD's; those that the terminal sends have
 * reached it already.  When CMD has ended they mean us: wait no longer.
 * Without CMD they end the recording; a second one means: wait no longer.  With
 * a configuration file SIGHUP asks to read it again.
 */
static void on_signals(struct probe *p)
{
	struct signalfd_siginfo info;

	while (read(p->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		if (p->ending)
			p->impatient |= info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM;
		else if (p->reloads && info.ssi_signo == SIGHUP)
			p->reload_due = true;
		else if (p->cmd <= 0)
			p->stopped |= info.ssi_signo != SIGCONT;
		else if (info.ssi_code <= 0 && !p->cmd_ended)
			kill(p->cmd, (int)info.ssi_signo);
	}
}

/* --- what only the kernel side knows --- */

#define TAKE_MS 1000 /* decode's drain thread takes what we send at once, or is gone */

/* A record of a process that ran already; there may be thousands, more than the socket holds. */
static int send_found(void *ctx, const struct ev_head *rec)
{
	struct probe *p = ctx;
	struct pollfd fd = {.fd = p->decode.sock[0], .events = POLLOUT};
	int err;

	while ((err = msg_send(fd.fd, MSG_RECORD, slice_of(rec, rec->size), NULL, 0)) == -EAGAIN && poll(&fd, 1, TAKE_MS) > 0)
		;
	return err;
}

static int send_totals(void *ctx, const struct ev_conn *rec)
{
	struct probe *p = ctx;

	return msg_send(p->decode.sock[0], MSG_RECORD, slice_of(rec, sizeof(*rec)), NULL, 0);
}

static void report_life_lost(struct probe *p)
{
	uint64_t lost = loader_count(p->loader, EV_COUNT_LIFE_LOST) + loader_count(p->loader, EV_COUNT_PROC_UNTRACKED);

	if (p->discover)
		p->not_told = discover_stats(p->discover)->not_told;
	lost += p->not_told;
	struct ev_mark mark = {.head = {.type = EV_MARK, .size = sizeof(mark), .ts = clock_boot_ns()},
			       .what = EV_MARK_LIFE_LOST,
			       .a = lost};

	if (lost != p->life_lost &&
	    msg_send(p->decode.sock[0], MSG_RECORD, slice_of(&mark, sizeof(mark)), NULL, 0) == 0)
		p->life_lost = lost;
}

/* Live connections too when anything was lost or ignored since the last time: a hole at the tail has no other witness. */
static void sweep(struct probe *p)
{
	const struct loader *l = p->loader;
	uint64_t touched = loader_count(l, EV_COUNT_DATA_LOST) + loader_count(l, EV_COUNT_DATA_TOO_LONG) +
			   loader_count(l, EV_COUNT_DATA_UNREADABLE) + loader_count(l, EV_COUNT_IGNORED);
	int err = loader_sweep(p->loader, touched == p->touched ? SWEEP_OVER : SWEEP_TOUCHED, send_totals, p);

	p->sweep_at = clock_boot_ns() + (err ? SWEEP_MS * 1000000ull : LIVE_SWEEP_NS);
	p->sweep_due = err;
	if (!err)
		p->touched = touched;
	report_life_lost(p);
}

static struct sink_summary count_up(const struct probe *p)
{
	const struct loader *l = p->loader;

	if (!l)
		return (struct sink_summary){.decode_crashes = p->crashes};
	return (struct sink_summary){
	    .captured_bytes = loader_count(l, EV_COUNT_DATA_BYTES),
	    .lost_bytes = loader_count(l, EV_COUNT_DATA_LOST),
	    .too_long_bytes = loader_count(l, EV_COUNT_DATA_TOO_LONG),
	    .unreadable_bytes = loader_count(l, EV_COUNT_DATA_UNREADABLE),
	    .life_lost = loader_count(l, EV_COUNT_LIFE_LOST) + p->not_told,
	    .conn_untracked = loader_count(l, EV_COUNT_CONN_UNTRACKED),
	    .proc_untracked = loader_count(l, EV_COUNT_PROC_UNTRACKED),
	    .call_untracked = loader_count(l, EV_COUNT_CALL_UNTRACKED),
	    .call_unreturned = loader_count(l, EV_COUNT_CALL_UNRETURNED),
	    .plain_untracked = loader_count(l, EV_COUNT_PLAIN_UNTRACKED),
	    .plain_early = loader_count(l, EV_COUNT_PLAIN_EARLY),
	    .decode_crashes = p->crashes,
	    .no_tls = attacher_stats(p->attacher)->libraries == 0,
	};
}

/* --- the status --- */

static void alarm_raised(void *ctx, const char *text)
{
	(void)ctx;
	log_warn("%s", text);
}

/* Processes of one role are one: exporters. Their sum began when the youngest did. */
static void look_at_role(void *ctx, const char *name, pid_t pid)
{
	struct procfs_usage u;
	struct probe *p = ctx;
	size_t i = 0;

	if (pid <= 0 || procfs_usage(pid, &u) || !u.resident) /* it is ending */
		return;
	while (i < p->n_usage && strcmp(p->usage[i].name, name) != 0)
		i++;
	if (i == STATUS_ROLES_MAX)
		return;
	if (i == p->n_usage) {
		p->usage[p->n_usage++] = (struct status_role){name, u};
		return;
	}
	struct procfs_usage *sum = &p->usage[i].usage;
	sum->cpu += u.cpu;
	sum->resident += u.resident;
	sum->start = u.start > sum->start ? u.start : sum->start;
}

/* What our own processes use. Not often: each look is a change of the status, which sink then writes. */
static void look_at_roles(struct probe *p, uint64_t now)
{
	if (p->usage_at && now - p->usage_at < USAGE_NS)
		return;
	p->usage_at = now;
	p->n_usage = 0;
	look_at_role(p, "probe", getpid());
	look_at_role(p, "decode", p->decode.pid);
	look_at_role(p, "sink", p->sink.pid);
	if (p->reporters)
		reporters_each(p->reporters, look_at_role, p);
}

/* What is done to the host is kept in the store. */
static void on_change(void *ctx, const struct file *f, const char *why_off)
{
	struct probe *p = ctx;
	struct buf json = {0};

	status_library(&json, f, why_off);
	audit_add(&p->audit, why_off ? AUDIT_DETACH : AUDIT_ATTACH, buf_slice(&json));
	buf_release(&json);
}

/* To sink, which keeps it in the store; at most once a second, and only when it has changed. */
static void report_status(struct probe *p)
{
	struct status_sources src = {.loader = p->loader,
				     .attacher = p->attacher,
				     .discover = p->discover,
				     .hold = p->hold,
				     .selection = buf_str(&p->selection),
				     .not_told = p->not_told,
				     .decode_crashes = p->crashes,
				     .verdicts = p->verdicts,
				     .verdicts_refused = p->verdicts_refused,
				     .began = p->began,
				     .roles = p->usage};
	struct msg_status head = {.part = STATUS_PROBE};
	uint64_t now = clock_boot_ns();

	if (!p->discover || now - p->status_at < TICK_MS * 1000000ull)
		return;
	p->status_at = now;
	if (p->out.sink.metrics)
		look_at_roles(p, now);
	src.n_roles = p->n_usage;
	p->status_unsent |= status_compose(p->status, &src, &p->status_json);
	if (p->status_unsent && p->sink.pid > 0 && !p->sink.done &&
	    msg_send2(p->sink.sock[0], MSG_STATUS, slice_of(&head, sizeof(head)), buf_slice(&p->status_json)) == 0)
		p->status_unsent = false;
}

/* --- what spantap uses itself --- */

static size_t own_processes(const struct probe *p, pid_t *ret)
{
	size_t n = 0;

	ret[n++] = getpid();
	ret[n++] = p->decode.pid;
	ret[n++] = p->sink.pid;
	return n + (p->reporters ? reporters_pids(p->reporters, ret + n) : 0);
}

static void say_pressure(const struct probe *p, unsigned before)
{
	const struct budget *b = &p->budget;

	if (!b->step)
		log_warn("within --max-cpu and --max-memory again: content and all sampled conversations are kept");
	else if (!before)
		log_warn("above --max-cpu or --max-memory (%.0f %% of a processor, %llu MiB): leaving out content from now on; raise "
			 "the limit, or capture less (--pid, --exe, --content shape)",
			 b->cpu_used < 0 ? 0 : b->cpu_used * 100, (unsigned long long)(b->memory_used >> 20));
	else if (b->step > 1 && before < 2)
		log_warn("still above --max-cpu or --max-memory: leaving out conversations as a whole; they are counted");
}

/* Above the limits decode is told to do with less; its successor is told again. */
static void keep_budget(struct probe *p)
{
	pid_t pids[3 + REPORTERS_RUNNING_MAX];
	_Static_assert(3 + REPORTERS_RUNNING_MAX <= BUDGET_PROCESSES, "processes whose time is known");
	uint64_t now = clock_boot_ns();
	unsigned before = p->budget.step;

	if (now - p->budget_at < TICK_MS * 1000000ull)
		return;
	p->budget_at = now;
	if (budget_look(&p->budget, now, pids, own_processes(p, pids))) {
		p->pressure_untold = true;
		say_pressure(p, before);
	}
	struct ev_mark mark = {.head = {.type = EV_MARK, .size = sizeof(mark), .ts = now},
			       .what = EV_MARK_PRESSURE,
			       .a = p->budget.step};
	if (p->pressure_untold && p->decode.pid &&
	    msg_send(p->decode.sock[0], MSG_RECORD, slice_of(&mark, sizeof(mark)), NULL, 0) == 0)
		p->pressure_untold = false;
}

/* To sink, when they have changed. */
static void report_limits(struct probe *p)
{
	const struct msg_retain limits = {p->out.sink.retain_age_ns, p->out.sink.retain_bytes};

	if (p->retain_unsent && p->sink.pid > 0 && !p->sink.done &&
	    msg_send(p->sink.sock[0], MSG_RETAIN, slice_of(&limits, sizeof(limits)), NULL, 0) == 0)
		p->retain_unsent = false;
}

static void count_followed(void *ctx, const struct followed *f)
{
	(void)f;
	++*(size_t *)ctx;
}

static void service_words(struct probe *p, struct buf *out)
{
	uint64_t lost = loader_count(p->loader, EV_COUNT_DATA_LOST);
	size_t n = 0;

	loader_each_followed(p->loader, count_followed, &n);
	buf_addf(out, "recording %s; %zu process%s followed; captured ", buf_str(&p->selection), n, n == 1 ? "" : "es");
	summary_bytes(out, loader_count(p->loader, EV_COUNT_DATA_BYTES));
	buf_adds(out, lost ? ", lost " : ", nothing lost");
	if (lost)
		summary_bytes(out, lost);
}

/*
 * The watchdog hears from this loop, and only while what it needs is there: a
 * sink or a decode that does not come back is worth a restart.  One that stays
 * away for a while after too many crashes is not.
 */
static void report_service(struct probe *p)
{
	uint64_t now = clock_boot_ns();
	struct buf words = {0};

	if (!p->service || !p->loader)
		return;
	if ((p->sink.pid > 0 || p->sink_again_at > now) && (p->decode.pid > 0 || p->decode_again_at > now))
		service_alive(p->service);
	if (now - p->service_told < SERVICE_NS || p->ending)
		return;
	p->service_told = now;
	service_words(p, &words);
	service_status(p->service, buf_str(&words));
	buf_release(&words);
}

/* --- the loop and the end --- */

static int wait_ms(const struct probe *p)
{
	bool waits = (!p->decode.pid && !p->decode.done) || (!p->sink.pid && !p->sink.done);

	return p->sweep_due || waits ? SWEEP_MS : TICK_MS;
}

/* One turn of the loop; at most `ms` long (-1: until something happens). */
static void turn(struct probe *p, int ms)
{
	struct pollfd fds[] = {{.fd = p->signals, .events = POLLIN},
			       {.fd = p->discover ? discover_fd(p->discover) : -1, .events = POLLIN},
			       {.fd = p->decode.done ? -1 : p->decode.sock[0], .events = POLLIN},
			       {.fd = p->sink.done ? -1 : p->sink.sock[0], .events = POLLIN},
			       {.fd = hold_fd(p->hold), .events = POLLIN}};

	poll(fds, 5, ms);
	hold_work(p->hold);
	if (p->discover) {
		bool exits;

		discover_work(p->discover, &exits);
		if (exits && !p->sweep_due) {
			p->sweep_due = true;
			p->sweep_at = clock_boot_ns() + SWEEP_MS * 1000000ull;
		}
	}
	on_signals(p);
	hear(p, &p->decode);
	hear(p, &p->sink);
	reap(p);
	if (p->reporters)
		reporters_turn(p->reporters);
	restart_sink(p);
	restart_decode(p);
	if (p->loader && clock_boot_ns() >= p->sweep_at)
		sweep(p);
	if (p->discover)
		discover_tick(p->discover);
	keep_budget(p);
	report_status(p);
	report_limits(p);
	report_service(p);
	if (p->sink.pid > 0 && !p->sink.done)
		audit_send(&p->audit, p->sink.sock[0]);
}

struct last_totals {
	struct probe *p;
	uint64_t until;
};

/* The last sweep must arrive: waits for decode to make room, within the time that draining may take. */
static int send_last_totals(void *ctx, const struct ev_conn *rec)
{
	struct last_totals *t = ctx;
	int err;

	while ((err = send_totals(t->p, rec)) == -EAGAIN && clock_boot_ns() < t->until)
		turn(t->p, 5);
	return err;
}

/* Totals, losses and the word that this is all, to the decode that runs now. */
static void send_end(struct probe *p)
{
	struct last_totals t = {p, clock_boot_ns() + DRAIN_NS};

	if (p->loader) {
		loader_sweep(p->loader, SWEEP_ALL, send_last_totals, &t);
		report_life_lost(p);
	}
	struct sink_summary s = count_up(p);
	p->end_sent = msg_send(p->decode.sock[0], MSG_END, slice_of(&s, sizeof(s)), NULL, 0) == 0;
}

/* Everything is in the store: exporters send what they can within a few seconds; a later run sends the rest. */
static void finish_reporters(struct probe *p)
{
	uint64_t until = clock_boot_ns() + REPORT_END_NS;

	if (!p->reporters)
		return;
	reporters_end(p->reporters);
	while (reporters_run(p->reporters) && clock_boot_ns() < until && !p->impatient)
		turn(p, 50);
	if (reporters_run(p->reporters))
		log_warn("an exporter does not end: what it has not sent waits in the store, see 'spantap status'");
}

/* Lets decode and sink finish; only a stall ends the wait. */
static void finish(struct probe *p)
{
	uint64_t until = clock_boot_ns() + p->flush_ns;
	unsigned crashes = p->crashes;

	/* Nobody waits any more for a host to calm down: what was captured is decoded now, crash by crash. */
	p->ending = true;
	p->decode.restarts = 0;
	p->decode_again_at = 0;
	p->status_at = 0;
	report_status(p);
	hold_free(p->hold);
	p->hold = NULL;
	if (p->loader)
		loader_stop(p->loader);
	send_end(p);
	discover_stop(p->discover);
	p->discover = NULL;
	while (!(p->decode.done && p->sink.done) && clock_boot_ns() < until && !p->impatient) {
		turn(p, 50);
		if (crashes != p->crashes) { /* its successor has not heard the end, if it was read */
			crashes = p->crashes;
			p->end_sent = false;
		}
		if (!p->end_sent && p->decode.pid && p->file < 0)
			send_end(p);
	}
	p->unfinished = !p->decode.done || !p->sink.done;
	if (p->unfinished)
		log_warn("%s %s: what it still holds is lost", p->decode.done ? "sink" : "decode",
			 p->impatient ? "was interrupted" : "does not finish");
	finish_reporters(p);
}

static void tear_down(struct probe *p)
{
	hold_free(p->hold);
	discover_stop(p->discover);
	attacher_free(p->attacher);
	audit_release(&p->audit);
	loader_free(p->loader);
	for (int i = 0; i < 2; i++)
		if (p->link[i] > 0)
			close(p->link[i]);
	child_stop(&p->decode);
	child_stop(&p->sink);
	reporters_free(p->reporters);
	for (int i = 0; i < 2; i++)
		if (p->board[i] >= 0)
			close(p->board[i]);
	service_free(p->service);
	journal_close(p->journal);
	status_free(p->status);
	buf_release(&p->status_json);
	buf_release(&p->selection);
}

static void set_up_signals(struct probe *p)
{
	static const int caught[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, &p->mask);
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void probe_init(struct probe *p, const struct outputs *out)
{
	*p = (struct probe){.out = *out,
			    .flush_ns = FLUSH_NS,
			    .decode = {.name = "decode"},
			    .sink = {.name = "sink"},
			    .journal_fd = -1,
			    .heads_fd = -1,
			    .recording_fd = -1,
			    .board = {-1, -1},
			    .began = clock_wall_ns() / 1000000000,
			    .file = -1};
	p->on_sigpipe = signal(SIGPIPE, SIG_IGN);
	set_up_signals(p);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The kernel side, the roles and an attacher. False: said why not, nothing is left behind. */
static bool begin(struct probe *p, const struct capture *cap)
{
	struct loader_options opt = {.without = cap->without};
	struct buf error = {0};

	p->llm_only = cap->llm_only;
	p->budget = cap->out.budget;
	p->loader = loader_new(&opt, &error);
	if (!p->loader)
		log_warn("%s", buf_str(&error));
	buf_release(&error);
	if (!p->loader)
		return false;
	if (!start_roles(p)) {
		tear_down(p);
		return false;
	}
	p->attacher = attacher_new(p->loader);
	attacher_on_change(p->attacher, on_change, p);
	for (const char *const *name = llm_target_names; p->llm_only && *name; name++)
		loader_llm_name(p->loader, *name, strlen(*name));
	p->status = status_new(alarm_raised, NULL);
	if (cap->selection)
		select_words(cap->selection, &p->selection);
	else
		buf_adds(&p->selection, "CMD");
	return true;
}

static void start_hold(struct probe *p)
{
	struct buf why = {0};

	if (hold_possible(&why)) {
		p->hold = hold_new(p->attacher);
		if (!p->hold)
			buf_adds(&why, strerror(errno));
	}
	if (why.n)
		log_info("programs are not held until they have their probes: %s", buf_str(&why));
	buf_release(&why);
}

int capture_run(const struct capture *cap)
{
	static struct probe p;
	char exe[PATH_MAX];
	int code;

	probe_init(&p, &cap->out);
	code = procfs_find_program(cap->argv[0], exe, sizeof(exe));
	if (code) {
		log_warn("cannot execute '%s': %s", cap->argv[0], strerror(-code));
		return code == -ENOENT ? EXIT_CMD_NOTFOUND : EXIT_CMD_NOEXEC;
	}
	if (!begin(&p, cap))
		return EXIT_SPANTAP;
	places_attach(p.attacher, exe, cap->argv);
	if (!cap->no_hold)
		start_hold(&p);
	code = start_cmd(&p, cap);
	if (code) {
		finish(&p);
		tear_down(&p);
		return code;
	}
	setpriority(PRIO_PROCESS, 0, HURRY); /* a library has to be attached before its first use */
	while (!p.cmd_ended)
		turn(&p, wait_ms(&p));
	finish(&p);
	tear_down(&p);
	return exit_code(p.cmd_status);
}

static void say_ready(struct probe *p)
{
	const struct attach_stats *a = attacher_stats(p->attacher);
	size_t n = 0;

	loader_each_followed(p->loader, count_followed, &n);
	log_warn("recording %s, %zu process%s followed%s, %llu librar%s attached", buf_str(&p->selection), n, n == 1 ? "" : "es",
		 n ? "" : " (nothing matches yet)", (unsigned long long)a->libraries, a->libraries == 1 ? "y" : "ies");
}

static void say_end(const struct sink_summary *s, bool unfinished)
{
	struct buf words = {0};
	bool lost = unfinished;

	buf_adds(&words, "recording ended: captured ");
	summary_bytes(&words, s->captured_bytes);
	for (size_t i = 0; i < n_summary_defs; i++) {
		const struct summary_def *def = &summary_defs[i];
		uint64_t value = summary_value(s, i);
		const char *hole = def->words && value ? strstr(def->words, "%s") : NULL;

		if (!hole)
			continue;
		buf_addf(&words, ", %.*s", (int)(hole - def->words), def->words);
		(def->form == SUMMARY_BYTES ? summary_bytes : summary_count)(&words, value);
		buf_adds(&words, hole + 2);
		lost |= def->form != SUMMARY_NOTE;
	}
	if (s->unknown_protocol)
		buf_addf(&words, ", %llu connections passed over: neither HTTP/1 nor HTTP/2",
			 (unsigned long long)s->unknown_protocol);
	if (unfinished)
		buf_adds(&words, ", not all of it was written");
	log_warn("%s%s", buf_str(&words), lost ? "" : ", nothing lost");
	buf_release(&words);
}

static void select_again(struct probe *p, struct selection *selection, struct buf *what)
{
	struct buf words = {0};

	select_words(selection, &words);
	if (!slice_eq(buf_slice(&words), buf_slice(&p->selection))) {
		buf_clear(&p->selection);
		buf_addslice(&p->selection, buf_slice(&words));
		buf_addf(what, "%srecording %s; what was followed before stays so until it ends", what->n ? ", " : "",
			 buf_str(&p->selection));
	}
	int err = discover_select(p->discover, selection);
	if (err)
		log_warn("cannot look for what is to be recorded now: %s", strerror(-err));
	buf_release(&words);
}

/* What may change does; what may not is named. */
static void take_over(struct probe *p, const struct capture *first, const struct capture *next)
{
	struct buf what = {0}, fixed = {0};
	struct outputs *out = &p->out;
	size_t endpoints;

	if (next->selection)
		select_again(p, next->selection, &what);
	endpoints = set_reporters(p, &next->out);
	if (endpoints)
		buf_addf(&what, "%sspans go to %zu endpoint%s", what.n ? ", " : "", next->out.n_endpoints,
			 next->out.n_endpoints == 1 ? "" : "s");
	if (out->sink.retain_age_ns != next->out.sink.retain_age_ns || out->sink.retain_bytes != next->out.sink.retain_bytes) {
		out->sink.retain_age_ns = next->out.sink.retain_age_ns;
		out->sink.retain_bytes = next->out.sink.retain_bytes;
		p->retain_unsent = true;
		buf_addf(&what, "%sretention", what.n ? ", " : "");
	}
	if (p->budget.cpu != next->out.budget.cpu || p->budget.memory != next->out.budget.memory) {
		p->budget.cpu = next->out.budget.cpu;
		p->budget.memory = next->out.budget.memory;
		buf_addf(&what, "%slimits", what.n ? ", " : "");
	}
	log_warn("configuration read again: %s", what.n ? buf_str(&what) : "nothing changed");
	if (reload_fixed(first, next, &fixed))
		log_warn("%s as before: that changes only when spantap is started again", buf_str(&fixed));
	buf_release(&what);
	buf_release(&fixed);
}

static void reload(struct probe *p, const struct capture *first)
{
	struct buf words = {0};

	p->reload_due = false;
	service_reloading(p->service);
	const struct capture *next = first->again(first->again_ctx);
	if (next)
		take_over(p, first, next);
	else
		log_warn("the configuration is refused as a whole, see above: everything stays as it was");
	service_words(p, &words);
	service_ready(p->service, buf_str(&words));
	buf_release(&words);
}

int capture_record(const struct capture *cap)
{
	static struct probe p;
	struct buf words = {0};

	probe_init(&p, &cap->out);
	p.flush_ns = STOP_NS;
	p.reloads = cap->again != NULL;
	p.service = service_new();
	if (!begin(&p, cap))
		return 1;
	places_warm(p.attacher);
	p.discover = discover_start(&(struct discover_conf){.attacher = p.attacher,
							    .loader = p.loader,
							    .selection = cap->selection,
							    .record = send_found,
							    .ctx = &p});
	if (!p.discover) {
		log_warn("cannot watch processes: %s", strerror(errno));
		finish(&p);
		tear_down(&p);
		return 1;
	}
	report_status(&p);
	say_ready(&p);
	service_words(&p, &words);
	service_ready(p.service, buf_str(&words));
	buf_release(&words);
	setpriority(PRIO_PROCESS, 0, HURRY);
	while (!p.stopped) {
		turn(&p, wait_ms(&p));
		if (p.reload_due && !p.stopped)
			reload(&p, cap);
	}
	service_stopping(p.service, "writing what was captured");
	finish(&p);
	struct sink_summary s = count_up(&p);
	say_end(&s, p.unfinished);
	tear_down(&p);
	return p.unfinished;
}

int capture_replay(const struct outputs *out, int recording_fd)
{
	static struct probe p;

	probe_init(&p, out);
	p.file = recording_fd;
	bool ok = start_roles(&p);
	while (ok && !(p.decode.done && p.sink.done))
		turn(&p, -1);
	tear_down(&p);
	return ok ? 0 : 1;
}
