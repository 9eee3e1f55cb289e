/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "metrics/board.h"
#include "sink/alerts.h"
#include "sink/measure.h"
#include "sink/sink.h"

struct metrics_sink {
	struct registry *registry;
	struct alerts *alerts; /* NULL: there are no rules */
	struct board *board;
};

/* Of the same capture, by a sink that crashed: it goes on from there. */
static struct registry *take_over(struct board *b)
{
	struct slice parts[BOARD_PARTS];
	struct buf copy = {0};
	struct registry *r = NULL;

	if (board_get(b, &copy, parts) == 0)
		registry_decode(parts[BOARD_REGISTRY], &r);
	buf_release(&copy);
	return r ? r : registry_new(clock_wall_ns());
}

static int open_metrics(const struct sink_conf *conf, void **ret_state, const char **ret_error)
{
	*ret_state = NULL;
	if (!conf->metrics)
		return 0;
	struct board *board = board_open(conf->board_fd, true);
	if (!board) {
		*ret_error = "cannot map the board for metrics";
		return -errno;
	}
	struct metrics_sink *s = xcalloc(1, sizeof(*s));
	*s = (struct metrics_sink){take_over(board), conf->alerts ? alerts_new(conf->alerts) : NULL, board};
	*ret_state = s;
	return 0;
}

static int add_span(void *state, const struct span *span)
{
	struct metrics_sink *s = state;

	measure_span(s->registry, span);
	if (s->alerts)
		alerts_span(s->alerts, span, clock_boot_ns());
	return 0;
}

uint64_t sink_metrics_start(void *state)
{
	return registry_start(((struct metrics_sink *)state)->registry);
}

void sink_metrics_tick(void *state, uint64_t now, void (*say)(const char *line))
{
	struct metrics_sink *s = state;

	if (s->alerts)
		alerts_tick(s->alerts, now, s->registry, say);
}

int sink_metrics_publish(void *state, struct slice status, struct slice exports)
{
	struct metrics_sink *s = state;
	struct buf registry = {0};

	registry_encode(&registry, s->registry);
	int err = board_put(
	    s->board,
	    (const struct slice[BOARD_PARTS]){
	        [BOARD_REGISTRY] = buf_slice(&registry), [BOARD_STATUS] = status, [BOARD_EXPORTS] = exports});
	buf_release(&registry);
	return err;
}

static void close_metrics(void *state)
{
	struct metrics_sink *s = state;

	if (!s)
		return;
	registry_free(s->registry);
	alerts_free(s->alerts);
	board_close(s->board);
	free(s);
}

const struct sink_ops sink_metrics = {
    .name = "metrics", .open = open_metrics, .span = add_span, .close = close_metrics};
