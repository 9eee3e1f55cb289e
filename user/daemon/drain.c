/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/drain.h"
#include "daemon/recording.h"
#include "jail/message.h"
#include "jail/spawn.h"

struct drain {
	struct drain_conf conf;
	struct journal *journal;
	struct ring_buffer *rings;
	_Atomic uint32_t *idle;
	pthread_t thread;
	pthread_mutex_t taking; /* whoever holds it moves records */
	int stand_in_epoll;
	pthread_mutex_t go;
	_Atomic bool reader_sleeps, going, ended, orphaned;
	_Atomic int err;
	bool end_wanted;
	struct sink_summary summary;
	struct clock_map clock;
	uint64_t taken; /* records since the start */
	struct buf record; /* of the file */
	struct msg msg;
};

static void wake_reader(struct drain *d)
{
	uint64_t one = 1;

	if (atomic_exchange(&d->reader_sleeps, false) && write(d->conf.wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is not zero: it is awake already */
}

/* How much of a record is worth keeping: not the room of its size class. */
static size_t exact_size(const struct ev_head *head, size_t size)
{
	size_t exact = size;

	if (head->type == EV_DATA) {
		const struct ev_data *rec = (const void *)head;

		exact = sizeof(*rec) + (rec->flags & EV_DATA_UNREADABLE ? 0 : rec->len);
	} else if (head->type == EV_EXEC) {
		const struct ev_exec *rec = (const void *)head;

		exact = sizeof(*rec) + rec->argv_len + rec->cwd_len + rec->cgroup_len;
	}
	return exact < size ? exact : size;
}

/*
 * Waits for the reader when there is no room: the ring then fills, and what no
 * longer fits into it is counted and located by the kernel side.  (Refusing the
 * record instead would lose it: libbpf releases it whatever a callback returns.)
 */
static void append(struct drain *d, const struct ev_head *head, size_t size)
{
	d->taken++;
	while (!journal_append(d->journal, head, exact_size(head, size), (struct slice){0})) {
		wake_reader(d);
		usleep(1000);
	}
}

static int on_record(void *ctx, void *rec, size_t size)
{
	append(ctx, rec, size);
	return 0;
}

static void sample_clock(struct drain *d)
{
	struct ev_clock rec = {.head = {.type = EV_CLOCK, .ts = clock_boot_ns()}};

	rec.realtime_offset = clock_realtime_offset_ns();
	if (clock_map_add(&d->clock, rec.head.ts, rec.realtime_offset))
		append(d, &rec.head, sizeof(rec));
}

/* True when anything was taken. */
static bool take_rings(struct drain *d)
{
	uint64_t before = d->taken;

	ring_buffer__consume(d->rings);
	return d->taken != before;
}

/* probe's messages are records too, and the word that the capture has ended. */
static void take_control(struct drain *d)
{
	int err;

	while ((err = msg_recv(d->conf.control, &d->msg)) == 0) {
		const struct msg *m = &d->msg;

		if (m->type == MSG_RECORD && m->payload.n >= sizeof(struct ev_head))
			append(d, (const struct ev_head *)(const void *)m->payload.p, m->payload.n);
		else if (m->type == MSG_END && m->payload.n == sizeof(d->summary))
			d->end_wanted = memcpy(&d->summary, m->payload.p, sizeof(d->summary)) != NULL;
		else
			err = -EPROTO;
		if (err)
			break;
	}
	if (err && err != -EAGAIN)
		atomic_store(&d->orphaned, true);
}

static void end(struct drain *d)
{
	struct ev_mark mark = {.head = {.type = EV_MARK}, .what = EV_MARK_END};

	while (take_rings(d))
		wake_reader(d);
	mark.head.ts = clock_boot_ns();
	append(d, &mark.head, sizeof(mark));
	atomic_store(&d->ended, true);
}

/*
 * The second drain thread.  A call of many MiB is copied in one go, with
 * nothing else running on that processor on most kernels; should the first
 * thread have been put to that very processor, it would look again when the
 * ring has long been full.  So there is one more, kept to the other half of
 * the processors, that is woken only where the kernel side calls for help.
 */
static void *stand_in(void *arg)
{
	struct drain *d = arg;
	struct epoll_event ev;

	while (!atomic_load(&d->ended) && !atomic_load(&d->orphaned)) {
		if (epoll_wait(d->stand_in_epoll, &ev, 1, -1) <= 0 || pthread_mutex_trylock(&d->taking))
			continue; /* the first thread is at it */
		if (atomic_load(&d->going) && !atomic_load(&d->ended) && take_rings(d))
			wake_reader(d);
		pthread_mutex_unlock(&d->taking);
	}
	return NULL;
}

static void drain_live(struct drain *d)
{
	uint64_t busy_until = clock_boot_ns() + DRAIN_BUSY_MS * 1000000ull, sampled = 0;
	struct epoll_event events[4];
	int epoll = ring_buffer__epoll_fd(d->rings);

	atomic_store(&d->going, true);

	while (!atomic_load(&d->ended) && !atomic_load(&d->orphaned)) {
		uint64_t now = clock_boot_ns();
		bool sleep = false;

		pthread_mutex_lock(&d->taking);
		if (now - sampled >= 1000000000) {
			sample_clock(d);
			sampled = now;
		}
		if (take_rings(d))
			busy_until = now + DRAIN_BUSY_MS * 1000000ull;
		take_control(d);
		if (d->end_wanted)
			end(d);
		if (!journal_empty(d->journal) || atomic_load(&d->ended) || atomic_load(&d->orphaned))
			wake_reader(d);
		if (now > busy_until) {
			/* Declare sleep first, then look once more: what came in between would wake nobody. */
			atomic_store(d->idle, 1);
			sleep = !take_rings(d);
		}
		pthread_mutex_unlock(&d->taking);
		epoll_wait(epoll, events, 4, sleep ? DRAIN_SLEEP_MS : DRAIN_TIMER_MS);
		if (sleep)
			atomic_store(d->idle, 0);
	}
	wake_reader(d);
}

static void drain_file(struct drain *d)
{
	int got;

	while ((got = recording_read(d->conf.file, &d->record)) == 1) {
		append(d, (const struct ev_head *)(const void *)d->record.p, d->record.n);
		wake_reader(d);
	}
	atomic_store(&d->err, got);
	atomic_store(&d->ended, true);
	wake_reader(d);
}

static void *run(void *arg)
{
	struct drain *d = arg;

	pthread_mutex_lock(&d->go);
	if (d->conf.file >= 0) {
		drain_file(d);
		return NULL;
	}
	if (!d->conf.successor) {
		struct ev_mark begin = {.head = {.type = EV_MARK, .ts = clock_boot_ns()}, .what = EV_MARK_BEGIN};

		memcpy(&begin.a, d->conf.instance, sizeof(begin.a));
		memcpy(&begin.b, d->conf.instance + sizeof(begin.a), sizeof(begin.b));
		append(d, &begin.head, sizeof(begin));
	}
	drain_live(d);
	return NULL;
}

/* The allowed processors, every second of them, from `first` on. */
static int half_of_processors(pthread_attr_t *attr, int first)
{
	cpu_set_t all, half;
	int n = 0;

	if (sched_getaffinity(0, sizeof(all), &all))
		return -errno;
	CPU_ZERO(&half);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && n++ % 2 == first)
			CPU_SET(cpu, &half);
	return CPU_COUNT(&half) ? -pthread_attr_setaffinity_np(attr, sizeof(half), &half) : -ENODEV;
}

/* Both threads inherit a nice value that lets them run at once where they may: they only copy. */
static int start_threads(struct drain *d)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int nice = getpriority(PRIO_PROCESS, 0), err;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	setpriority(PRIO_PROCESS, 0, HURRY);
	err = d->conf.file < 0 ? half_of_processors(&attr, 1) : -ENODEV;
	if (!err) {
		d->stand_in_epoll = epoll_create1(EPOLL_CLOEXEC);
		if (d->stand_in_epoll < 0 || epoll_ctl(d->stand_in_epoll, EPOLL_CTL_ADD, d->conf.data_ring, &ev))
			err = -errno;
		else
			err = -pthread_create(&thread, &attr, stand_in, d);
		half_of_processors(&attr, 0);
	}
	if (!err || err == -ENODEV)
		err = -pthread_create(&d->thread, &attr, run, d);
	setpriority(PRIO_PROCESS, 0, nice);
	pthread_attr_destroy(&attr);
	return err;
}

static int map_rings(struct drain *d)
{
	struct epoll_event ev = {.events = EPOLLIN};

	d->rings = ring_buffer__new(d->conf.data_ring, on_record, d, NULL);
	if (!d->rings || ring_buffer__add(d->rings, d->conf.life_ring, on_record, d))
		return -1;
	/* probe's socket wakes the same wait; its index is none of libbpf's. */
	ev.data.fd = 1 << 20;
	if (epoll_ctl(ring_buffer__epoll_fd(d->rings), EPOLL_CTL_ADD, d->conf.control, &ev))
		return -1;
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, d->conf.idle, 0);
	if (p == MAP_FAILED)
		return -1;
	d->idle = p;
	return 0;
}

struct drain *drain_start(const struct drain_conf *conf, struct journal *j)
{
	struct drain *d = xcalloc(1, sizeof(*d));

	d->conf = *conf;
	d->journal = j;
	pthread_mutex_init(&d->go, NULL);
	pthread_mutex_lock(&d->go);
	pthread_mutex_init(&d->taking, NULL);
	if (conf->file < 0 && map_rings(d))
		return NULL;
	if ((errno = -start_threads(d)))
		return NULL;
	return d;
}

void drain_go(struct drain *d)
{
	pthread_mutex_unlock(&d->go);
}

void drain_reader_sleeps(struct drain *d, bool sleeps)
{
	atomic_store(&d->reader_sleeps, sleeps);
}

bool drain_ended(const struct drain *d)
{
	return atomic_load(&d->ended);
}

bool drain_orphaned(const struct drain *d)
{
	return atomic_load(&d->orphaned);
}

int drain_error(const struct drain *d)
{
	return atomic_load(&d->err);
}

const struct sink_summary *drain_summary(const struct drain *d)
{
	return d->end_wanted ? &d->summary : NULL;
}
