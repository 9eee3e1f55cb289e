/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "sink/sink.h"
#include "sink/summary.h"
#include "store/store.h"

#define COUNTERS_MAX 32

static uint64_t now_wall(void)
{
	return (uint64_t)((int64_t)clock_boot_ns() + clock_realtime_offset_ns());
}

static int open_store(const struct sink_conf *conf, void **ret_state, const char **ret_error)
{
	struct store *st = NULL;
	struct buf message = {0};

	*ret_state = NULL;
	if (!conf->store_dir)
		return 0;
	int r = store_open(conf->store_dir, STORE_WRITE, &st, &message);
	if (r == 0)
		r = store_capture_begin(st, conf->instance, conf->command, now_wall());
	if (r == 0)
		r = store_capture_content(st, conf->content);
	if (r == 0) {
		*ret_state = st;
		return 0;
	}
	if (st)
		buf_adds(&message, store_error(st));
	store_close(st);
	*ret_error = buf_str(&message);
	return r;
}

static int add_span(void *state, const struct span *s)
{
	int r = state ? store_insert(state, s) : 0;

	return r < 0 ? r : 0;
}

static int commit(void *state)
{
	return state ? store_commit(state) : 0;
}

static int finish(void *state, const struct sink_summary *s)
{
	struct store_counter v[COUNTERS_MAX];
	size_t n = 0;

	if (!state)
		return 0;
	for (size_t i = 0; s && i < n_summary_defs && n < COUNTERS_MAX - 1; i++)
		v[n++] =
		    (struct store_counter){summary_defs[i].name, summary_value(s, i), summary_defs[i].words};
	if (s)
		v[n++] = (struct store_counter){"no_tls", s->no_tls, false};
	return store_capture_end(state, now_wall(), v, n);
}

static void close_store(void *state)
{
	store_close(state);
}

static const char *error(void *state)
{
	return state ? store_error(state) : NULL;
}

const struct sink_ops sink_store = {
    .name = "store",
    .open = open_store,
    .span = add_span,
    .commit = commit,
    .finish = finish,
    .close = close_store,
    .error = error,
};
