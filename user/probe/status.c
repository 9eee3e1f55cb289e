/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "probe/procfs.h"
#include "probe/status.h"
#include "target/unsupported.h"

#define LIBRARIES_MAX   8
#define UNSUPPORTED_MAX 4

/* What is remembered of a followed process. */
struct known {
	struct ev_proc proc;
	uint64_t exec_ts, looked;
	uint32_t connections; /* when it was looked at */
	struct buf comm, exe;
	struct mapping_key libraries[LIBRARIES_MAX];
	size_t n_libraries;
	char *unsupported[UNSUPPORTED_MAX];
	size_t n_unsupported;
	bool told; /* the operator knows of the alarm */
	uint64_t round;
};

struct status {
	void (*alarm)(void *ctx, const char *text);
	void *ctx;
	struct map known; /* tgid -> struct known */
	uint64_t round;   /* of composing */
	unsigned looks;   /* in this round */
	struct buf last;
};

/* One followed process, for the list. */
struct entry {
	struct followed f;
	struct known *known;
	bool alarm;
};

struct table {
	struct status *status;
	const struct status_sources *src;
	uint64_t now;
	struct entry *v;
	size_t n, cap;
	struct wire *wires;
	size_t n_wires, cap_wires;
	size_t alarms;
};

struct status *status_new(void (*alarm)(void *ctx, const char *text), void *ctx)
{
	struct status *s = xcalloc(1, sizeof(*s));

	s->alarm = alarm;
	s->ctx = ctx;
	return s;
}

static void forget_look(struct known *k)
{
	for (size_t i = 0; i < k->n_unsupported; i++)
		free(k->unsupported[i]);
	k->n_unsupported = k->n_libraries = 0;
	buf_clear(&k->comm);
	buf_clear(&k->exe);
}

static void known_free(struct known *k)
{
	forget_look(k);
	buf_release(&k->comm);
	buf_release(&k->exe);
	free(k);
}

void status_free(struct status *s)
{
	struct map_entry *e;

	if (!s)
		return;
	map_foreach (&s->known, e)
		known_free(e->value);
	map_release(&s->known);
	buf_release(&s->last);
	free(s);
}

/* --- looking at processes --- */

struct look {
	struct known *known;
	const struct files *files;
};

static void note_unsupported(struct known *k, const char *name)
{
	const char *base = strrchr(name, '/');

	base = base ? base + 1 : name;
	for (size_t i = 0; i < k->n_unsupported; i++)
		if (strcmp(k->unsupported[i], base) == 0)
			return;
	if (unsupported_find(base) && k->n_unsupported < UNSUPPORTED_MAX)
		k->unsupported[k->n_unsupported++] = xstrdup(base);
}

/* A library without symbols in a file that the process maps. */
static void note_refused(struct known *k, const struct file *f)
{
	struct buf text = {0};

	buf_addf(&text, "%s without symbols (%s)", f->refused, target_why_text((enum target_why)f->why_refused));
	for (size_t i = 0; i < k->n_unsupported; i++)
		if (strcmp(k->unsupported[i], buf_str(&text)) == 0)
			goto out;
	if (k->n_unsupported < UNSUPPORTED_MAX)
		k->unsupported[k->n_unsupported++] = xstrdup(buf_str(&text));
out:
	buf_release(&text);
}

static void on_mapped(void *ctx, pid_t pid, const struct procfs_mapping *m)
{
	struct look *l = ctx;
	struct known *k = l->known;
	struct mapping_key key = {(uint64_t)m->maj << 32 | m->min, m->ino};
	const struct file *f = files_mapped(l->files, &key);

	(void)pid;
	if (!f || !f->target)
		note_unsupported(k, m->name);
	if (f && f->refused)
		note_refused(k, f);
	if (!f || !f->target)
		return;
	for (size_t i = 0; i < k->n_libraries; i++)
		if (memcmp(&k->libraries[i], &key, sizeof(key)) == 0)
			return;
	if (k->n_libraries < LIBRARIES_MAX)
		k->libraries[k->n_libraries++] = key;
}

static void look(struct status *s, struct known *k, const struct files *files, uint64_t now)
{
	struct look l = {k, files};
	pid_t pid = (pid_t)k->proc.pid;
	char exe[PATH_MAX];

	s->looks++;
	k->looked = now;
	forget_look(k);
	if (!pid)
		return;
	procfs_comm(pid, &k->comm);
	if (procfs_exe(pid, exe, sizeof(exe)) == 0)
		text_utf8(&k->exe, slice_str(exe));
	procfs_each_mapping(pid, on_mapped, &l);
}

/* NULL: too many. */
static struct known *know(struct table *t, const struct followed *f)
{
	struct status *s = t->status;
	struct known *k = map_get(&s->known, &f->proc.tgid, sizeof(f->proc.tgid));

	if (!k && s->known.n < STATUS_KNOWN_MAX) {
		k = xcalloc(1, sizeof(*k));
		map_put(&s->known, &f->proc.tgid, sizeof(f->proc.tgid), k);
	}
	if (!k)
		return NULL;
	k->round = s->round;
	if (k->proc.start != f->proc.start || k->exec_ts != f->exec_ts) {
		k->told = k->told && k->proc.start == f->proc.start;
		k->proc = f->proc;
		k->exec_ts = f->exec_ts;
		k->looked = 0;
	}
	uint32_t connections = f->wire + f->plain;
	bool anew = !k->looked || t->now - k->looked > STATUS_LOOK_NS || (!k->connections && connections);
	if (anew && s->looks < STATUS_LOOKS_MAX) {
		look(s, k, attacher_files(t->src->attacher), t->now);
		k->connections = connections;
	}
	return k;
}

static void forget_ended(struct status *s)
{
	struct map_entry *e;

	map_foreach (&s->known, e) {
		struct known *k = e->value;

		if (k->round != s->round) {
			map_del(&s->known, e->key, e->key_len);
			known_free(k);
		}
	}
}

static void on_followed(void *ctx, const struct followed *f)
{
	struct table *t = ctx;
	struct known *k = know(t, f);

	if (!k || !(f->wire || f->plain || k->n_libraries || k->n_unsupported))
		return;
	xgrow(&t->v, &t->cap, t->n + 1, sizeof(*t->v));
	t->v[t->n] = (struct entry){.f = *f,
	                            .known = k,
	                            .alarm = f->wire_ts && !f->plain_ts && t->now > f->wire_ts &&
	                                     t->now - f->wire_ts > ALARM_NS};
	t->alarms += t->v[t->n++].alarm;
}

static void on_wire(void *ctx, const struct wire *w)
{
	struct table *t = ctx;

	xgrow(&t->wires, &t->cap_wires, t->n_wires + 1, sizeof(*t->wires));
	t->wires[t->n_wires++] = *w;
}

static int by_weight(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	uint64_t wx = (uint64_t)x->f.wire + x->f.plain, wy = (uint64_t)y->f.wire + y->f.plain;

	if (x->alarm != y->alarm)
		return x->alarm ? -1 : 1;
	if (wx != wy)
		return wx > wy ? -1 : 1;
	return x->f.proc.tgid < y->f.proc.tgid ? -1 : x->f.proc.tgid > y->f.proc.tgid;
}

/* --- in words --- */

static void add_peer(struct buf *out, const struct socket_ends *e)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(e->family, e->address, text, sizeof(text));
	buf_addf(out, e->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, ntohs(e->port));
}

static size_t each_peer(const struct table *t, uint32_t tgid, void (*fn)(void *ctx, const char *peer),
                        void *ctx)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_wires && n < STATUS_PEERS_MAX; i++) {
		struct buf peer = {0};

		if (t->wires[i].tgid != tgid)
			continue;
		add_peer(&peer, &t->wires[i].ends);
		fn(ctx, buf_str(&peer));
		buf_release(&peer);
		n++;
	}
	return n;
}

static const struct file *library(const struct table *t, const struct known *k, size_t i)
{
	return files_mapped(attacher_files(t->src->attacher), &k->libraries[i]);
}

/* Why the plaintext of a process is not seen, as far as can be told, and what to do. */
static void add_remedy(struct buf *out, const struct table *t, const struct known *k)
{
	for (size_t i = 0; i < k->n_libraries; i++) {
		const struct file *f = library(t, k, i);

		if (f && f->err) {
			buf_addf(out, "%s cannot be probed: %s%s", f->name, file_reason(f),
			         f->err == -EOPNOTSUPP ? " (see spantap doctor --exe)" : "");
			return;
		}
	}
	if (k->n_unsupported) {
		const struct unsupported *u = unsupported_find(k->unsupported[0]); /* NULL: its name says why */

		buf_addf(out, "it uses %s, to which spantap cannot listen%s%s", k->unsupported[0],
		         u ? ": " : "", u ? u->why : "");
	} else if (k->n_libraries)
		buf_adds(out, "its TLS library is attached: the connection is idle, or not by this library");
	else
		buf_addf(out, "no TLS library that spantap knows is in it: see 'spantap doctor --exe %s'",
		         k->exe.n ? buf_str((struct buf *)(uintptr_t)&k->exe) : "FILE");
}

static void add_peer_words(void *ctx, const char *peer)
{
	struct buf *out = ctx;

	buf_addf(out, "%s%s", out->n ? ", " : "", peer);
}

static void tell(struct table *t, struct entry *e)
{
	struct known *k = e->known;
	struct buf line = {0}, peers = {0}, comm = {0}, remedy = {0};

	k->told = true;
	text_escape(&comm, buf_slice(&k->comm));
	each_peer(t, e->f.proc.tgid, add_peer_words, &peers);
	add_remedy(&remedy, t, k);
	buf_addf(&line, "process %u (%s): TLS on the wire%s%s, but no plaintext seen: ", e->f.proc.pid,
	         buf_str(&comm), peers.n ? " to " : "", buf_str(&peers));
	text_escape(&line, buf_slice(&remedy));
	t->status->alarm(t->status->ctx, buf_str(&line));
	buf_release(&line);
	buf_release(&peers);
	buf_release(&comm);
	buf_release(&remedy);
}

/* --- as JSON --- */

static void add_text(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, struct slice text)
{
	struct buf utf8 = {0};

	text_utf8(&utf8, text);
	yyjson_mut_obj_add_strncpy(d, o, key, utf8.n ? utf8.p : "", utf8.n);
	buf_release(&utf8);
}

static yyjson_mut_val *json_library(yyjson_mut_doc *d, const struct file *f)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);
	const struct target *t = f->target;

	add_text(d, o, "path", slice_str(f->name));
	yyjson_mut_obj_add_str(d, o, "library", target_lib_name(t));
	yyjson_mut_obj_add_strcpy(d, o, "version", t->version);
	yyjson_mut_obj_add_str(d, o, "site", target_is_slow(t) ? "slow" : "fast");
	if (t->why_public)
		yyjson_mut_obj_add_str(d, o, "why", target_why_text((enum target_why)t->why_public));
	else
		yyjson_mut_obj_add_null(d, o, "why");
	if (f->err) {
		struct buf state = {0};

		buf_addf(&state, "%s%s", f->err == -EOPNOTSUPP ? "refused: " : "", file_reason(f));
		add_text(d, o, "state", buf_slice(&state));
		buf_release(&state);
	} else
		yyjson_mut_obj_add_str(d, o, "state", f->on ? "attached" : "released");
	return o;
}

void status_library(struct buf *out, const struct file *f, const char *why_off)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = json_library(d, f);
	size_t n = 0;

	yyjson_mut_obj_add_strcpy(d, o, "build_id", f->target->build_id);
	yyjson_mut_obj_add_uint(d, o, "inode", f->ino);
	if (why_off)
		yyjson_mut_obj_add_str(d, o, "why_off", why_off);
	char *text = yyjson_mut_val_write(o, 0, &n);
	if (text)
		buf_add(out, text, n);
	free(text);
	yyjson_mut_doc_free(d);
}

struct list {
	yyjson_mut_doc *doc;
	yyjson_mut_val *array;
};

static void add_peer_json(void *ctx, const char *peer)
{
	struct list *l = ctx;

	yyjson_mut_arr_add_strcpy(l->doc, l->array, peer);
}

static void add_alarm(struct table *t, yyjson_mut_doc *d, yyjson_mut_val *o, const struct entry *e)
{
	yyjson_mut_val *alarm = yyjson_mut_obj_add_obj(d, o, "alarm");
	struct list peers = {d, yyjson_mut_obj_add_arr(d, alarm, "peers")};
	struct buf remedy = {0};

	each_peer(t, e->f.proc.tgid, add_peer_json, &peers);
	add_remedy(&remedy, t, e->known);
	add_text(d, alarm, "remedy", buf_slice(&remedy));
	buf_release(&remedy);
}

static uint64_t wall_seconds(uint64_t boot_ns)
{
	return (uint64_t)(((int64_t)boot_ns + clock_realtime_offset_ns()) / 1000000000);
}

static yyjson_mut_val *json_process(struct table *t, yyjson_mut_doc *d, const struct entry *e)
{
	const struct known *k = e->known;
	yyjson_mut_val *o = yyjson_mut_obj(d);
	bool late = false;

	yyjson_mut_obj_add_uint(d, o, "pid", e->f.proc.pid);
	add_text(d, o, "comm", buf_slice(&k->comm));
	add_text(d, o, "exe", buf_slice(&k->exe));
	yyjson_mut_obj_add_uint(d, o, "since", wall_seconds(e->f.exec_ts));
	yyjson_mut_val *libraries = yyjson_mut_obj_add_arr(d, o, "libraries");
	for (size_t i = 0; i < k->n_libraries; i++) {
		const struct file *f = library(t, k, i);

		if (!f || !f->target)
			continue;
		late |= f->on && f->attached > e->f.exec_ts;
		yyjson_mut_arr_append(libraries, json_library(d, f));
	}
	yyjson_mut_val *other = yyjson_mut_obj_add_arr(d, o, "unsupported");
	for (size_t i = 0; i < k->n_unsupported; i++)
		yyjson_mut_arr_append(other, yyjson_mut_strcpy(d, k->unsupported[i]));
	yyjson_mut_obj_add_bool(d, o, "late", late);
	yyjson_mut_obj_add_uint(d, o, "wire", e->f.wire);
	yyjson_mut_obj_add_uint(d, o, "plaintext", e->f.plain);
	if (e->alarm)
		add_alarm(t, d, o, e);
	else
		yyjson_mut_obj_add_null(d, o, "alarm");
	return o;
}

static const struct {
	const char *name;
	enum ev_count what;
} counts[] = {
    {"captured_bytes", EV_COUNT_DATA_BYTES},
    {"lost_bytes", EV_COUNT_DATA_LOST},
    {"unreadable_bytes", EV_COUNT_DATA_UNREADABLE},
    {"too_long_bytes", EV_COUNT_DATA_TOO_LONG},
    {"ignored_bytes", EV_COUNT_IGNORED},
    {"life_lost", EV_COUNT_LIFE_LOST},
    {"watch_lost", EV_COUNT_WATCH_LOST},
    {"conn_untracked", EV_COUNT_CONN_UNTRACKED},
    {"call_untracked", EV_COUNT_CALL_UNTRACKED},
    {"call_unreturned", EV_COUNT_CALL_UNRETURNED},
    {"proc_untracked", EV_COUNT_PROC_UNTRACKED},
    {"wire_untracked", EV_COUNT_WIRE_UNTRACKED},
    {"plain_untracked", EV_COUNT_PLAIN_UNTRACKED},
    {"plain_early", EV_COUNT_PLAIN_EARLY},
};

static void add_totals(yyjson_mut_doc *d, yyjson_mut_val *root, const struct status_sources *src,
                       size_t followed)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, root, "totals");
	const struct discover_stats *ds = discover_stats(src->discover);

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		yyjson_mut_obj_add_uint(d, o, counts[i].name, loader_count(src->loader, counts[i].what));
	yyjson_mut_obj_add_uint(d, o, "not_told", src->not_told);
	yyjson_mut_obj_add_uint(d, o, "decode_crashes", src->decode_crashes);
	yyjson_mut_obj_add_uint(d, o, "verdicts", src->verdicts);
	yyjson_mut_obj_add_uint(d, o, "verdicts_refused", src->verdicts_refused);
	yyjson_mut_obj_add_uint(d, o, "processes_followed", followed);
	yyjson_mut_obj_add_uint(d, o, "processes_found", ds->found);
	yyjson_mut_obj_add_uint(d, o, "processes_unreadable", ds->unreadable);
	yyjson_mut_obj_add_uint(d, o, "processes_ended_unseen", ds->blind);
	yyjson_mut_obj_add_uint(d, o, "syscalls_watched", ds->syscalls);
	yyjson_mut_obj_add_bool(d, o, "syscalls_watched_now", loader_has_syscalls(src->loader));
}

static void add_attached(yyjson_mut_doc *d, yyjson_mut_val *root, const struct attach_stats *a)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, root, "attached");

	yyjson_mut_obj_add_uint(d, o, "libraries", a->libraries);
	yyjson_mut_obj_add_uint(d, o, "inspected", a->files);
	yyjson_mut_obj_add_uint(d, o, "failed", a->failed);
	yyjson_mut_obj_add_uint(d, o, "unknown", a->unknown);
	yyjson_mut_obj_add_uint(d, o, "released", a->released);
}

static void add_capabilities(yyjson_mut_doc *d, yyjson_mut_val *root, unsigned caps)
{
	static const char *const names[] = {"uprobe.multi", "uprobe.session", "cookies",
	                                    "bpf_loop",     "exact records",  "return probes",
	                                    "socket tracepoints"};
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, root, "capabilities");
	yyjson_mut_val *used = yyjson_mut_obj_add_arr(d, o, "used"),
	               *missing = yyjson_mut_obj_add_arr(d, o, "missing");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		yyjson_mut_arr_add_str(d, caps >> i & 1 ? used : missing, names[i]);
}

static void add_ring(yyjson_mut_doc *d, yyjson_mut_val *root, const struct loader *l)
{
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, root, "data_ring");
	uint64_t size, used;

	loader_data_ring_fill(l, &used, &size);
	yyjson_mut_obj_add_uint(d, o, "bytes", size);
	yyjson_mut_obj_add_uint(d, o, "used", used);
}

static void add_roles(yyjson_mut_doc *d, yyjson_mut_val *root, const struct status_sources *src)
{
	yyjson_mut_val *list = src->n_roles ? yyjson_mut_obj_add_arr(d, root, "roles") : NULL;

	for (size_t i = 0; i < src->n_roles; i++) {
		const struct status_role *r = &src->roles[i];
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(d, list);

		yyjson_mut_obj_add_str(d, o, "role", r->name);
		yyjson_mut_obj_add_uint(d, o, "began", wall_seconds(r->usage.start));
		yyjson_mut_obj_add_real(d, o, "cpu", (double)(r->usage.cpu / 10000000) / 100);
		yyjson_mut_obj_add_uint(d, o, "memory", r->usage.resident);
	}
}

/* Absent where nothing is held. */
static void add_hold(yyjson_mut_doc *d, yyjson_mut_val *root, const struct hold *h)
{
	if (!h)
		return;
	yyjson_mut_val *o = yyjson_mut_obj_add_obj(d, root, "hold");
	const struct hold_stats *s = hold_stats(h);

	yyjson_mut_obj_add_uint(d, o, "files", s->held);
	yyjson_mut_obj_add_uint(d, o, "attached", s->attached);
	yyjson_mut_obj_add_uint(d, o, "overdue", s->overdue);
	yyjson_mut_obj_add_real(d, o, "ms", (double)(s->ns / 1000) / 1e3);
	yyjson_mut_obj_add_real(d, o, "longest_ms", (double)(s->longest_ns / 1000) / 1e3);
}

/* With at most `max` processes. */
static void write_json(struct table *t, size_t max, size_t followed, struct buf *out)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d);
	size_t n = t->n < max ? t->n : max, len = 0;

	yyjson_mut_doc_set_root(d, root);
	add_text(d, root, "selection", slice_str(t->src->selection));
	yyjson_mut_obj_add_uint(d, root, "began", t->src->began);
	add_roles(d, root, t->src);
	add_capabilities(d, root, loader_caps(t->src->loader));
	add_attached(d, root, attacher_stats(t->src->attacher));
	add_totals(d, root, t->src, followed);
	add_ring(d, root, t->src->loader);
	add_hold(d, root, t->src->hold);
	yyjson_mut_obj_add_uint(d, root, "alarms", t->alarms);
	yyjson_mut_obj_add_uint(d, root, "omitted", t->n - n);
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, root, "processes");
	for (size_t i = 0; i < n; i++)
		yyjson_mut_arr_append(list, json_process(t, d, &t->v[i]));
	char *json = yyjson_mut_write(d, 0, &len);
	buf_clear(out);
	buf_add(out, json ? json : "{}", json ? len : 2);
	free(json);
	yyjson_mut_doc_free(d);
}

bool status_compose(struct status *s, const struct status_sources *src, struct buf *out)
{
	struct table t = {.status = s, .src = src, .now = clock_boot_ns()};

	s->round++;
	s->looks = 0;
	loader_each_followed(src->loader, on_followed, &t);
	forget_ended(s);
	if (t.alarms)
		loader_each_wire(src->loader, on_wire, &t);
	if (t.n)
		qsort(t.v, t.n, sizeof(*t.v), by_weight);
	for (size_t i = 0; i < t.n && t.v[i].alarm; i++)
		if (!t.v[i].known->told)
			tell(&t, &t.v[i]);
	size_t max = STATUS_PROCESSES_MAX;
	do {
		write_json(&t, max, s->known.n, out);
		max /= 2;
	} while (out->n > STATUS_JSON_MAX && max);
	free(t.v);
	free(t.wires);

	bool changed = out->n != s->last.n || memcmp(out->p, s->last.p, out->n) != 0;
	buf_clear(&s->last);
	buf_addslice(&s->last, buf_slice(out));
	return changed;
}
