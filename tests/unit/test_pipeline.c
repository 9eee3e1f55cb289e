/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays tests/records/NAME.rec (tests/records/README.md) through the whole
 * pipeline, whole and mistreated:
 *
 *   cut     payload split anew at random: every span is the same, to the byte
 *   merged  neighbouring payload joined: the same but for times
 *   late    life records delivered up to 50 ms late: the same
 *   gaps    payload lost: what says that it is complete is as in the whole run
 *
 * RECORDS=DIR takes other recordings, ROUNDS=N more rounds, SEED=N another start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "daemon/pipeline.h"
#include "daemon/recording.h"

static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 11) % n;
}

static unsigned number_of(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}

/* ---- records ---- */

struct records {
	struct ev_head **v;
	size_t n, cap;
	uint8_t instance[16];
};

static struct ev_head *records_add(struct records *rs, const void *rec, size_t size)
{
	struct ev_head *copy = xmalloc(size);

	memcpy(copy, rec, size);
	xgrow(&rs->v, &rs->cap, rs->n + 1, sizeof(*rs->v));
	rs->v[rs->n++] = copy;
	return copy;
}

static void records_release(struct records *rs)
{
	for (size_t i = 0; i < rs->n; i++)
		free(rs->v[i]);
	free(rs->v);
	*rs = (struct records){0};
}

static void records_load(struct records *rs, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf b = {0};

	*rs = (struct records){0};
	assert_true(fd >= 0);
	assert_int_equal(recording_open(fd), 0);
	while (recording_read(fd, &b) == 1)
		records_add(rs, b.p, b.n);
	close(fd);
	buf_release(&b);
	assert_true(rs->n > 0 && rs->v[0]->type == EV_MARK);

	const struct ev_mark *begin = (const void *)rs->v[0];
	memcpy(rs->instance, &begin->a, 8);
	memcpy(rs->instance + 8, &begin->b, 8);
}

static struct ev_data *as_data(struct ev_head *rec)
{
	return rec->type == EV_DATA ? (void *)rec : NULL;
}

/* ---- what comes out ---- */

struct run {
	struct buf text;
	struct span *v;
	size_t n, cap;
	uint64_t zero;
};

static void on_span(void *ctx, const struct span *s)
{
	struct run *r = ctx;
	struct buf b = {0};

	span_print(&r->text, s, r->zero);
	xgrow(&r->v, &r->cap, r->n + 1, sizeof(*r->v));
	span_encode(&b, s);
	assert_int_equal(span_decode(buf_slice(&b), &r->v[r->n++]), 0);
	buf_release(&b);
}

static void run_release(struct run *r)
{
	for (size_t i = 0; i < r->n; i++)
		span_release(&r->v[i]);
	free(r->v);
	buf_release(&r->text);
}

/* drop[i]: record i never came; NULL: all came. poison[i]: it crashed the decoder before. */
static struct run replay(const struct records *rs, const bool *drop, const bool *poison)
{
	static const struct span_events ev = {.span = on_span};
	struct run r = {.zero = rs->v[0]->ts};
	struct pipeline *p = pipeline_new(rs->instance, CONTENT_FULL, 0, NULL, &ev, &r);
	uint64_t last = 0;

	for (size_t i = 0; i < rs->n; i++) {
		last = rs->v[i]->ts > last ? rs->v[i]->ts : last;
		if (!drop || !drop[i])
			assert_int_equal(pipeline_record(p, rs->v[i], poison && poison[i]), 0);
	}
	pipeline_finish(p, last);
	pipeline_free(p);
	return r;
}

static const struct span *find(const struct run *r, const uint8_t id[8])
{
	for (size_t i = 0; i < r->n; i++)
		if (memcmp(r->v[i].id, id, 8) == 0)
			return &r->v[i];
	return NULL;
}

static bool complete(const struct span *s)
{
	const struct attr *a = span_get(s, ATTR_COMPLETE);

	return a && a->b;
}

static bool same_value(const struct attr *a, const struct attr *b)
{
	if (!a || !b)
		return a == b;
	switch (attr_defs[a->key].type) {
	case ATTR_STR:
		return slice_eq(a->str, b->str);
	case ATTR_INT:
		return a->i == b->i;
	case ATTR_DOUBLE:
		return memcmp(&a->d, &b->d, sizeof(a->d)) == 0;
	case ATTR_BOOL:
		return a->b == b->b;
	case ATTR_STRS:
		break;
	}
	if (a->strs.n != b->strs.n)
		return false;
	for (size_t i = 0; i < a->strs.n; i++)
		if (!slice_eq(a->strs.v[i], b->strs.v[i]))
			return false;
	return true;
}

/*
 * Where a span hangs is a conclusion from other calls, given with its evidence:
 * it may differ when those are missing.  What the span says of itself may not.
 */
static bool is_link(enum attr_key key)
{
	return key == ATTR_CONVERSATION_ID || key == ATTR_SESSION_ID || key == ATTR_LINK_EVIDENCE ||
	       key == ATTR_LINK_CONFIDENCE || key == ATTR_CALL_KIND || key == ATTR_TURN_INDEX ||
	       key == ATTR_CALL_CONTINUES;
}

/* NULL when alike, else what differs. */
static const char *difference(const struct span *a, const struct span *b, bool times)
{
	for (int k = 0; k < ATTR_KEYS; k++) {
		enum attr_key key = (enum attr_key)k;

		if (is_link(key) || (!times && attr_defs[k].type == ATTR_DOUBLE))
			continue;
		/* Counted from the start of the turn, and left out where that is not sure. */
		if (key == ATTR_TOOL_ASKED && !span_get(b, key))
			continue;
		if (!same_value(span_get(a, key), span_get(b, key)))
			return attr_defs[k].name;
	}
	if (a->kind != b->kind || !slice_eq(a->name, b->name))
		return "name";
	if (a->status != b->status || !slice_eq(a->status_message, b->status_message))
		return "status";
	if (times && (a->start != b->start || a->end != b->end))
		return "time";
	return NULL;
}

/* The head line of a span and those of one attribute. */
static void show(const char *what, const struct span *s, uint64_t zero, const char *attr)
{
	struct buf b = {0};
	struct slice rest, line;

	if (s)
		span_print(&b, s, zero);
	rest = buf_slice(&b);
	for (unsigned i = 0; slice_cut(&rest, '\n', &line); i++)
		if (i == 0 || (attr && slice_starts(slice_trim(line), slice_str(attr))))
			print_error("  %s: %.*s\n", what, (int)(line.n < 400 ? line.n : 400), line.p);
	buf_release(&b);
}

/* ---- mistreatment ---- */

/* A piece of a record, from byte `from`, `n` bytes long. */
static void add_piece(struct records *out, const struct ev_data *d, uint32_t from, uint32_t n)
{
	struct ev_data *piece = xmalloc(sizeof(*d) + n);

	*piece = *d;
	piece->head.size = (uint32_t)(sizeof(*d) + n);
	piece->offset += from;
	piece->len = n;
	memcpy(piece->data, d->data + from, n);
	records_add(out, piece, piece->head.size);
	free(piece);
}

static struct records cut(const struct records *rs)
{
	struct records out = {0};
	unsigned longest = 1u << rnd(12);

	memcpy(out.instance, rs->instance, sizeof(out.instance));
	for (size_t i = 0; i < rs->n; i++) {
		const struct ev_data *d = as_data(rs->v[i]);

		if (!d) {
			records_add(&out, rs->v[i], rs->v[i]->size);
			continue;
		}
		for (uint32_t at = 0, n; at < d->len; at += n) {
			n = 1 + rnd(longest);
			n = n < d->len - at ? n : d->len - at;
			add_piece(&out, d, at, n);
		}
	}
	return out;
}

/* Joins a record to the one before it when both carry one direction of one connection. */
static bool join(struct records *out, const struct ev_data *d)
{
	struct ev_data *last = out->n ? as_data(out->v[out->n - 1]) : NULL;

	if (!last || last->dir != d->dir || memcmp(&last->conn, &d->conn, sizeof(d->conn)) != 0 ||
	    last->len + d->len > EV_FRAGMENT_MAX)
		return false;
	last = xrealloc(last, sizeof(*last) + last->len + d->len);
	memcpy(last->data + last->len, d->data, d->len);
	last->len += d->len;
	last->head.size = (uint32_t)(sizeof(*last) + last->len);
	out->v[out->n - 1] = &last->head;
	return true;
}

static struct records merge(const struct records *rs)
{
	struct records out = {0};

	memcpy(out.instance, rs->instance, sizeof(out.instance));
	for (size_t i = 0; i < rs->n; i++) {
		const struct ev_data *d = as_data(rs->v[i]);

		if (!d)
			records_add(&out, rs->v[i], rs->v[i]->size);
		else if (!(rnd(2) && join(&out, d)))
			add_piece(&out, d, 0, d->len);
	}
	return out;
}

/* Moves records of processes behind later ones, up to 50 ms; records of one ring keep their order. */
static void delay_life(struct records *rs)
{
	struct ev_head **held = xcalloc(rs->n, sizeof(*held));
	size_t n = 0, at = 0, first = 0;

	for (size_t i = 0; i < rs->n; i++) {
		struct ev_head *rec = rs->v[i];
		bool life = rec->type == EV_FORK || rec->type == EV_EXEC || rec->type == EV_EXIT;

		if (life) {
			held[n++] = rec;
			continue;
		}
		while (first < n && (rec->ts > held[first]->ts + 50000000 || rnd(20) == 0))
			rs->v[at++] = held[first++];
		rs->v[at++] = rec;
	}
	while (first < n)
		rs->v[at++] = held[first++];
	free(held);
}

/* Marks what gets lost: runs of data records here and there. */
static void lose(const struct records *rs, bool *lost)
{
	unsigned runs = 1 + rnd(3);

	memset(lost, 0, rs->n * sizeof(*lost));
	while (runs--) {
		size_t at = rnd((unsigned)rs->n), n = 1 + rnd(rnd(4) ? 3 : 40);

		for (size_t i = at; n && i < rs->n; i++)
			if (as_data(rs->v[i])) {
				lost[i] = true;
				n--;
			}
	}
}

/* ---- tests ---- */

static int is_recording(const struct dirent *e)
{
	return slice_ends(slice_str(e->d_name), SLICE(".rec"));
}

/* Calls `test` with each recording. */
static void with_records(unsigned (*test)(const char *path, const struct records *rs, unsigned rounds),
                         unsigned rounds)
{
	const char *dir = getenv("RECORDS") ? getenv("RECORDS") : "tests/records";
	struct dirent **v;
	unsigned failed = 0;
	int n = scandir(dir, &v, is_recording, alphasort);

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		struct records rs;
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", dir, v[i]->d_name);
		free(v[i]);
		rng = 88172645463325252u + number_of("SEED", 0) * 2654435761u;
		records_load(&rs, path);
		failed += test(path, &rs, number_of("ROUNDS", rounds));
		records_release(&rs);
	}
	free(v);
	assert_int_equal(failed, 0);
}

static void show_first_difference(const char *path, const struct buf *want, const struct buf *got)
{
	struct slice a = buf_slice(want), b = buf_slice(got), la = {0}, lb = {0};

	do {
		bool more = slice_cut(&a, '\n', &la);

		if (!slice_cut(&b, '\n', &lb) || !more)
			break;
	} while (slice_eq(la, lb));
	print_error("%s: line '%.*s' became '%.*s'\n", path, (int)la.n, la.p, (int)lb.n, lb.p);
}

static unsigned same_text(const char *path, const struct run *whole, const struct records *rs)
{
	struct run r = replay(rs, NULL, NULL);
	bool same = slice_eq(buf_slice(&whole->text), buf_slice(&r.text));

	if (!same)
		show_first_difference(path, &whole->text, &r.text);
	run_release(&r);
	return !same;
}

static unsigned whole_is_complete(const char *path, const struct records *rs, unsigned rounds)
{
	struct run r = replay(rs, NULL, NULL);
	size_t chats = 0, tools = 0, processes = 0;
	unsigned failed = 0;

	(void)rounds;
	for (size_t i = 0; i < r.n; i++) {
		chats += r.v[i].kind == SPAN_CHAT;
		tools += r.v[i].kind == SPAN_TOOL;
		processes += r.v[i].kind == SPAN_PROCESS;
		if (r.v[i].kind != SPAN_CONVERSATION && !complete(&r.v[i])) {
			show(path, &r.v[i], r.zero, "spantap.");
			failed++;
		}
	}
	print_message("%s: %zu records, %zu chats, %zu tools, %zu processes\n", path, rs->n, chats, tools,
	              processes);
	assert_true(chats > 0 && tools > 0 && processes > 0);
	run_release(&r);
	return failed;
}

static unsigned cuts(const char *path, const struct records *rs, unsigned rounds)
{
	struct run whole = replay(rs, NULL, NULL);
	unsigned failed = 0;

	for (unsigned i = 0; i < rounds && !failed; i++) {
		struct records pieces = cut(rs);

		failed += same_text(path, &whole, &pieces);
		records_release(&pieces);
	}
	run_release(&whole);
	return failed;
}

static unsigned merges(const char *path, const struct records *rs, unsigned rounds)
{
	struct run whole = replay(rs, NULL, NULL);
	unsigned failed = 0;

	for (unsigned i = 0; i < rounds && !failed; i++) {
		struct records joined = merge(rs);
		struct run r = replay(&joined, NULL, NULL);

		failed += r.n != whole.n;
		for (size_t k = 0; k < r.n; k++) {
			const struct span *s = find(&whole, r.v[k].id);
			const char *differs = s ? difference(s, &r.v[k], false) : "id";

			if (differs) {
				print_error("%s, round %u: %s\n", path, i, differs);
				failed++;
			}
		}
		run_release(&r);
		records_release(&joined);
	}
	run_release(&whole);
	return failed;
}

static unsigned delays(const char *path, const struct records *rs, unsigned rounds)
{
	struct run whole = replay(rs, NULL, NULL);
	unsigned failed = 0;

	for (unsigned i = 0; i < rounds && !failed; i++) {
		struct records late = {0};

		memcpy(late.instance, rs->instance, sizeof(late.instance));
		for (size_t k = 0; k < rs->n; k++)
			records_add(&late, rs->v[k], rs->v[k]->size);
		delay_life(&late);
		failed += same_text(path, &whole, &late);
		records_release(&late);
	}
	run_release(&whole);
	return failed;
}

/* What a damaged run says. Adds up what is still complete. */
static unsigned check_damaged(const char *path, unsigned round, const struct run *whole, const struct run *r,
                              size_t *n_complete)
{
	for (size_t k = 0; k < r->n; k++) {
		if (!complete(&r->v[k]))
			continue;

		const struct span *s = find(whole, r->v[k].id);
		const char *differs = s ? difference(s, &r->v[k], true) : "id";

		++n_complete[r->v[k].kind];
		if (!differs)
			continue;
		print_error("%s, round %u: complete, but %s differs\n", path, round, differs);
		show("whole", s, r->zero, differs);
		show("damaged", &r->v[k], r->zero, differs);
		return 1;
	}
	return 0;
}

static unsigned gaps(const char *path, const struct records *rs, unsigned rounds)
{
	struct run whole = replay(rs, NULL, NULL);
	bool *lost = xcalloc(rs->n, sizeof(*lost));
	size_t n_complete[SPAN_KINDS] = {0}, n_whole[SPAN_KINDS] = {0};
	unsigned failed = 0;

	for (size_t i = 0; i < whole.n; i++)
		n_whole[whole.v[i].kind] += rounds;
	for (unsigned i = 0; i < rounds; i++) {
		bool poison = rnd(3) == 0;

		lose(rs, lost);
		struct run r = replay(rs, poison ? NULL : lost, poison ? lost : NULL);
		failed += check_damaged(path, i, &whole, &r, n_complete);
		run_release(&r);
		if (failed >= number_of("FAILURES", 1))
			break;
	}
	print_message("FIGURE %s: of %zu/%zu/%zu/%zu turns/chats/tools/processes %zu/%zu/%zu/%zu complete\n",
	              path, n_whole[SPAN_TURN], n_whole[SPAN_CHAT], n_whole[SPAN_TOOL], n_whole[SPAN_PROCESS],
	              n_complete[SPAN_TURN], n_complete[SPAN_CHAT], n_complete[SPAN_TOOL],
	              n_complete[SPAN_PROCESS]);
	free(lost);
	run_release(&whole);
	return failed;
}

static void recordings_are_whole(void **state)
{
	(void)state;
	with_records(whole_is_complete, 1);
}

static void any_cut_gives_the_same_spans(void **state)
{
	(void)state;
	with_records(cuts, 40);
}

static void joined_records_give_the_same_spans(void **state)
{
	(void)state;
	with_records(merges, 40);
}

static void late_process_records_give_the_same_spans(void **state)
{
	(void)state;
	with_records(delays, 40);
}

static void what_is_complete_is_right(void **state)
{
	(void)state;
	with_records(gaps, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(recordings_are_whole),
	    cmocka_unit_test(any_cut_gives_the_same_spans),
	    cmocka_unit_test(joined_records_give_the_same_spans),
	    cmocka_unit_test(late_process_records_give_the_same_spans),
	    cmocka_unit_test(what_is_complete_is_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
