/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "bench/harness/ends.h"
#include "bench/harness/ours.h"
#include "daemon/drain.h"
#include "jail/message.h"
#include "jail/spawn.h"
#include "probe/attach.h"
#include "stream/stream.h"

struct ours {
	struct loader *loader;
	struct attacher *attacher;
	int control[2];
	pid_t reader;
	struct ours_report *report; /* shared with the reader */
};

/* --- the reader --- */

struct reader {
	struct drain *drain;
	struct journal *journal;
	struct streams *streams;
	struct ours_report *report;
	int wake_fd;
};

static void *on_open(void *ctx, const struct conn_info *info)
{
	struct reader *r = ctx;
	struct ours_stream *s;

	if (r->report->n_streams == OURS_STREAMS_MAX)
		die(1, "more than %d connections", OURS_STREAMS_MAX);
	s = &r->report->stream[r->report->n_streams++];
	s->tls = info->id.tls;
	return s;
}

static void on_bytes(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct ours_stream *s = conn;

	(void)ts;
	if (!pattern_matches((const uint8_t *)bytes.p, bytes.n, s->bytes[dir] + s->lost[dir]))
		s->wrong[dir] += bytes.n;
	s->bytes[dir] += bytes.n;
}

static void on_gap(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct ours_stream *s = conn;

	(void)ts;
	(void)cause;
	s->lost[dir] += n;
	s->holes[dir]++;
}

static void on_close(void *conn, uint64_t ts, bool complete)
{
	(void)conn;
	(void)ts;
	(void)complete;
}

static const struct stream_events events = {on_open, on_bytes, on_gap, on_close};

static void take(struct reader *r, const struct ev_head *rec)
{
	r->report->records++;
	if (rec->type == EV_DATA)
		streams_data(r->streams, (const struct ev_data *)(const void *)rec);
	else if (rec->type == EV_CONN_CLOSE || rec->type == EV_TOTALS)
		streams_conn(r->streams, (const struct ev_conn *)(const void *)rec);
}

static void read_journal(struct reader *r)
{
	const struct ev_head *rec;
	bool poison;
	uint64_t n;

	while (true) {
		bool ended = drain_ended(r->drain) || drain_orphaned(r->drain);
		bool worked = false;

		for (; (rec = journal_next(r->journal, &poison)); worked = true)
			take(r, rec);
		if (worked)
			continue;
		if (ended)
			return;
		drain_reader_sleeps(r->drain, true);
		struct pollfd fd = {.fd = r->wake_fd, .events = POLLIN};
		if (journal_empty(r->journal) && !drain_ended(r->drain) && !drain_orphaned(r->drain))
			poll(&fd, 1, 1000);
		drain_reader_sleeps(r->drain, false);
		if (read(r->wake_fd, &n, sizeof(n)) < 0)
			continue;
	}
}

static _Noreturn void reader_main(const struct ours *o, int cpu)
{
	int journal = journal_create();
	struct reader r = {.report = o->report, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	struct drain_conf conf = {.data_ring = loader_data_ring_fd(o->loader),
	                          .life_ring = loader_life_ring_fd(o->loader),
	                          .idle = loader_idle_fd(o->loader),
	                          .file = -1,
	                          .control = o->control[1],
	                          .wake_fd = r.wake_fd};

	end_pin(cpu);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(o->control[0]);
	fcntl(o->control[1], F_SETFL, O_NONBLOCK);
	r.journal = journal < 0 ? NULL : journal_open(journal, false);
	r.streams = streams_new(&events, &r);
	r.drain = r.journal ? drain_start(&conf, r.journal) : NULL;
	if (!r.drain)
		die(1, "cannot map the rings: %s", strerror(errno));
	drain_go(r.drain);
	o->report->ready = true;
	read_journal(&r);
	streams_finish(r.streams, clock_boot_ns());
	r.report->repeated = streams_stats(r.streams)->repeated;
	_exit(drain_ended(r.drain) ? 0 : 1);
}

/* --- the capture --- */

struct ours *ours_start(const char *lib, int cpu, unsigned without)
{
	static struct ours_report *report;
	struct ours *o = xcalloc(1, sizeof(*o));
	struct buf error = {0};
	int err;

	if (!report)
		report =
		    mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset((void *)report, 0, sizeof(*report));
	o->report = report;
	struct loader_options options = {.without = without};
	o->loader = loader_new(&options, &error);
	if (!o->loader)
		die(1, "%s", buf_str(&error));
	buf_release(&error);
	o->attacher = attacher_new(o->loader);
	err = attacher_path(o->attacher, lib, 0);
	if (err != 1)
		die(1, "no probes on %s: %s", lib, err < 0 ? strerror(-err) : "not recognised");
	if (role_socket(o->control))
		die(1, "cannot create a socket: %s", strerror(errno));
	fflush(NULL);
	o->reader = fork();
	if (o->reader == 0)
		reader_main(o, cpu);
	close(o->control[1]);
	while (!report->ready && waitpid(o->reader, NULL, WNOHANG) == 0)
		usleep(1000);
	return o;
}

void ours_arm(struct ours *o)
{
	loader_arm(o->loader);
}

static int send_totals(void *ctx, const struct ev_conn *rec)
{
	const struct ours *o = ctx;

	return msg_send(o->control[0], MSG_RECORD, slice_of(rec, sizeof(*rec)), NULL, 0);
}

const struct ours_report *ours_stop(struct ours *o)
{
	struct sink_summary none = {0};
	struct ours_report *r = o->report;
	struct rusage use;
	int status;

	loader_stop(o->loader);
	loader_sweep(o->loader, SWEEP_ALL, send_totals, o);
	r->produced = loader_count(o->loader, EV_COUNT_DATA_BYTES);
	r->ring_lost = loader_count(o->loader, EV_COUNT_DATA_LOST);
	r->other_lost = loader_count(o->loader, EV_COUNT_DATA_UNREADABLE) +
	                loader_count(o->loader, EV_COUNT_DATA_TOO_LONG);
	msg_send(o->control[0], MSG_END, slice_of(&none, sizeof(none)), NULL, 0);
	if (wait4(o->reader, &status, 0, &use) != o->reader || status)
		die(1, "the reader failed (status %#x)", (unsigned)status);
	r->reader_cpu_ns = ((uint64_t)use.ru_utime.tv_sec + (uint64_t)use.ru_stime.tv_sec) * 1000000000 +
	                   ((uint64_t)use.ru_utime.tv_usec + (uint64_t)use.ru_stime.tv_usec) * 1000;
	r->wakeups = (uint64_t)use.ru_nvcsw;
	close(o->control[0]);
	attacher_free(o->attacher);
	loader_free(o->loader);
	free(o);
	return r;
}

static uint64_t sum(const struct ours_report *r, bool lost)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n_streams; i++)
		for (int d = 0; d < 2; d++)
			n += lost ? r->stream[i].lost[d] : r->stream[i].bytes[d];
	return n;
}

uint64_t ours_delivered(const struct ours_report *r)
{
	return sum(r, false);
}

uint64_t ours_lost(const struct ours_report *r)
{
	return sum(r, true);
}

bool ours_exact(const struct ours_report *r)
{
	for (size_t i = 0; i < r->n_streams; i++)
		if (r->stream[i].wrong[0] || r->stream[i].wrong[1])
			return false;
	return r->produced > 0 && r->repeated == 0 && ours_delivered(r) + ours_lost(r) == r->produced &&
	       ours_lost(r) == r->ring_lost + r->other_lost;
}

void ours_print_programs(double pairs)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	char to[64];

	while (dir && (e = readdir(dir))) {
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);
		ssize_t n = readlinkat(dirfd(dir), e->d_name, to, sizeof(to) - 1);

		to[n > 0 ? n : 0] = '\0';
		if (strcmp(to, "anon_inode:bpf-prog") != 0 ||
		    bpf_prog_get_info_by_fd(atoi(e->d_name), &info, &size) || info.run_cnt < pairs / 2)
			continue;
		printf("    %-24s %5.2f runs a pair, %6.0f ns a run, %6.0f ns a pair\n", info.name,
		       (double)info.run_cnt / pairs, (double)info.run_time_ns / (double)info.run_cnt,
		       (double)info.run_time_ns / pairs);
	}
	if (dir)
		closedir(dir);
}
