/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any cut must give the same events; a gap must not invent one: what is reported with a gap somewhere is a
 * part of what is reported without.  The first byte says how the rest is cut, the second where the gap is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/sse.h"

#define EVENTS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The events of one run, one behind the other. */
struct log {
	struct buf text;
	size_t end[EVENTS_MAX]; /* of each event in `text` */
	size_t n;
};

static void on_event(void *ctx, uint64_t ts, struct slice event, struct slice data)
{
	struct log *log = ctx;

	(void)ts;
	if (log->n == EVENTS_MAX)
		return;
	buf_addf(&log->text, "%zu:", event.n);
	buf_addslice(&log->text, event);
	buf_addf(&log->text, "%zu:", data.n);
	buf_addslice(&log->text, data);
	log->end[log->n++] = log->text.n;
}

static void run(struct log *log, struct slice s, size_t piece, size_t gap)
{
	struct sse sse;
	size_t at = 0;

	sse_init(&sse, on_event, log);
	while (at < s.n) {
		size_t n = s.n - at < piece ? s.n - at : piece;

		if (at < gap && at + n > gap)
			n = gap - at;
		sse_feed(&sse, 1, slice_of(s.p + at, n));
		at += n;
		if (at == gap)
			sse_gap(&sse);
	}
	buf_addf(&log->text, "%d %llu", sse_finish(&sse), (unsigned long long)sse.dropped);
	sse_release(&sse);
}

static struct slice nth(const struct log *log, size_t i)
{
	size_t begin = i ? log->end[i - 1] : 0;

	return slice_of(log->text.p + begin, log->end[i] - begin);
}

/* Every event of `part` is in `all`, in the same order. */
static bool contained(const struct log *part, const struct log *all)
{
	size_t k = 0;

	for (size_t i = 0; i < part->n; i++, k++) {
		while (k < all->n && !slice_eq(nth(part, i), nth(all, k)))
			k++;
		if (k == all->n)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct log whole, cut, unbroken;
	struct slice s = {(const char *)data + 2, size - 2};

	if (size < 2)
		return 0;
	whole.n = cut.n = unbroken.n = 0;
	run(&whole, s, SIZE_MAX, data[1]);
	run(&cut, s, 1u + data[0] % 16, data[1]);
	run(&unbroken, s, SIZE_MAX, SIZE_MAX);
	if (!slice_eq(buf_slice(&whole.text), buf_slice(&cut.text)) ||
	    (unbroken.n < EVENTS_MAX && !contained(&whole, &unbroken)))
		abort();
	buf_release(&whole.text);
	buf_release(&cut.text);
	buf_release(&unbroken.text);
	return 0;
}
