/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sink/otlp_attrs.h"
#include "sink/sink.h"
#include "sink/summary.h"
#include "store/json_text.h"
#include "store/store.h"
#include "store/views.h"

#define COUNTERS_MAX 32

struct store_sink {
	struct store *st;
	struct store_limits limits;
	struct store_erased erased;
	struct store_watched before; /* what watched before us */
	uint8_t instance[16];
	bool continuous;
	uint64_t failing_since; /* ns since the epoch; 0: it works */
	struct buf failure;     /* why it did not */
};

/* What the capture was told to keep, and how long. */
static int audit_conf(struct store *st, const struct sink_conf *conf)
{
	struct buf detail = {0};

	buf_addf(&detail, "{\"version\":\"" SPANTAP_VERSION "\",\"content\":\"%s\",\"retain_age_ns\":%llu,\"retain_bytes\":%llu}",
	         content_level_name(conf->content), (unsigned long long)conf->retain_age_ns,
	         (unsigned long long)conf->retain_bytes);
	int r = store_audit(st, clock_wall_ns(), "config", buf_slice(&detail));
	buf_release(&detail);
	return r;
}

static int open_store(const struct sink_conf *conf, void **ret_state, const char **ret_error)
{
	struct store *st = NULL;
	struct buf message = {0};

	*ret_state = NULL;
	if (!conf->store_dir)
		return 0;
	struct store_watched before = {0};
	int r = store_open(conf->store_dir, STORE_WRITE, &st, &message);
	if (r == 0 && conf->continuous)
		r = store_watched(st, conf->instance, &before);
	if (r == 0)
		r = store_capture_begin(st, conf->instance, conf->command, clock_wall_ns());
	if (r == 0)
		r = store_capture_content(st, conf->content);
	if (r == 0)
		r = audit_conf(st, conf);
	if (r == 0)
		r = store_commit(st);
	if (r == 0)
		r = store_take_views(st);
	if (r == 0) {
		struct store_sink *s = xcalloc(1, sizeof(*s));

		*s = (struct store_sink){.st = st,
		                         .limits = {conf->retain_age_ns, conf->retain_bytes},
		                         .before = before,
		                         .continuous = conf->continuous && !before.still};
		memcpy(s->instance, conf->instance, sizeof(s->instance));
		*ret_state = s;
		return 0;
	}
	if (st)
		buf_adds(&message, store_error(st));
	store_close(st);
	*ret_error = buf_str(&message);
	return r;
}

static int add_span(void *state, const struct span *span)
{
	struct store_sink *s = state;
	int r = s ? store_insert(s->st, span) : 0;

	return r < 0 ? r : 0;
}

/* It works again: from when to when it did not is kept. */
static int record_failure(struct store_sink *s)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_uint(d, o, "since_wall_ns", s->failing_since);
	yyjson_mut_obj_add_val(d, o, "error", json_text(d, buf_slice(&s->failure)));
	char *json = yyjson_mut_val_write(o, 0, NULL);
	int r = store_audit(s->st, clock_wall_ns(), "degraded", slice_str(json ? json : "{}"));
	free(json);
	yyjson_mut_doc_free(d);
	return r;
}

static int commit(void *state)
{
	struct store_sink *s = state;
	bool recovering = s && s->failing_since;

	if (!s)
		return 0;
	if (recovering)
		record_failure(s); /* if it fails, so does the commit */
	int r = store_commit(s->st);
	if (r && !recovering)
		s->failing_since = clock_wall_ns();
	if (r) {
		buf_clear(&s->failure);
		buf_adds(&s->failure, store_error(s->st));
	} else {
		s->failing_since = 0;
	}
	return r;
}

static int rest(void *state)
{
	struct store_sink *s = state;

	int r = s ? store_take_views(s->st) : 0;

	return s && r == 0 ? store_retain(s->st, &s->limits, clock_wall_ns(), &s->erased) : r;
}

static int finish(void *state, const struct sink_summary *sum)
{
	struct store_sink *s = state;
	struct store_counter v[COUNTERS_MAX];
	size_t n = 0;

	if (!s)
		return 0;
	for (size_t i = 0; sum && i < n_summary_defs && n < COUNTERS_MAX - 4; i++)
		v[n++] = (struct store_counter){summary_defs[i].name, summary_value(sum, i),
		                                summary_defs[i].form == SUMMARY_NOTE ? NULL
		                                                                     : summary_defs[i].words};
	if (sum)
		v[n++] = (struct store_counter){"no_tls", sum->no_tls, false};
	v[n++] = (struct store_counter){"erased_conversations", s->erased.conversations, false};
	v[n++] = (struct store_counter){"erased_spans", s->erased.spans, false};
	v[n++] = (struct store_counter){"erased_blocks", s->erased.blocks, false};
	int r = store_capture_end(s->st, clock_wall_ns(), v, n), views = r ? 0 : store_take_views(s->st);
	return r ? r : views;
}

static void close_store(void *state)
{
	struct store_sink *s = state;

	if (!s)
		return;
	store_close(s->st);
	buf_release(&s->failure);
	free(s);
}

static const char *error(void *state)
{
	struct store_sink *s = state;

	return s ? store_error(s->st) : NULL;
}

static void add_time(struct buf *out, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / 1000000000);
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	buf_adds(out, text);
}

static void tell_unwatched(const struct store_watched *before, uint64_t now)
{
	struct buf text = {0};

	add_time(&text, before->until);
	buf_adds(&text, " to ");
	add_time(&text, now);
	log_warn("nothing was watched from %s (%llu s): spantap %s", buf_str(&text),
	         (unsigned long long)((now - before->until) / 1000000000),
	         before->ended ? "was not running" : "was killed, the first time is its last sign of life");
	buf_release(&text);
}

void sink_store_watch(void *state)
{
	struct store_sink *s = state;
	uint64_t now = clock_wall_ns();

	if (!s || !s->continuous)
		return;
	s->continuous = false;
	if (s->before.until && s->before.until < now)
		tell_unwatched(&s->before, now);
	store_watch_begin(s->st, s->instance, &s->before, now);
}

int sink_store_retain(void *state, const struct sink_conf *conf)
{
	struct store_sink *s = state;

	if (!s)
		return 0;
	s->limits = (struct store_limits){conf->retain_age_ns, conf->retain_bytes};
	return audit_conf(s->st, conf);
}

struct store *sink_store_of(void *state)
{
	struct store_sink *s = state;

	return s ? s->st : NULL;
}

const struct sink_ops sink_store = {
    .name = "store",
    .open = open_store,
    .span = add_span,
    .commit = commit,
    .rest = rest,
    .finish = finish,
    .close = close_store,
    .error = error,
};
