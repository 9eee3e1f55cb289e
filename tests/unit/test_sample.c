/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations of random shape, their spans mixed: each comes out whole or not at all, and is counted. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "span/sample.h"

#define TRACES 2000
#define SPANS  12 /* of one, at most */

struct seen {
	unsigned spans[TRACES]; /* that came out */
	unsigned reasons[TRACES];
	double share[TRACES];
	unsigned total, bad;
};

static const char *const reasons[] = {NULL, "share", "error", "slow"};

static void on_span(void *ctx, const struct span *s)
{
	struct seen *seen = ctx;
	const struct attr *share = span_get(s, ATTR_SAMPLE_SHARE), *reason = span_get(s, ATTR_SAMPLE_REASON);
	unsigned i, r = 0;

	memcpy(&i, s->trace + 8, sizeof(i));
	for (unsigned k = 1; reason && k < 4; k++)
		r = slice_eq(reason->str, slice_str(reasons[k])) ? k : r;
	seen->bad += (seen->spans[i] && r != seen->reasons[i]) || !share != !reason || (reason && !r);
	seen->spans[i]++;
	seen->reasons[i] = r;
	seen->share[i] = share ? share->d : 1;
	seen->total++;
}

static uint64_t random64(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Trace `i`, with the conversation `id`: span `k` of `n`, the last one is its root. */
static struct span make(unsigned i, uint64_t id, unsigned k, unsigned n)
{
	struct span s = {.kind = k + 1 == n ? SPAN_CONVERSATION
	                         : k % 2    ? SPAN_TOOL
	                                    : SPAN_CHAT,
	                 .start = 100,
	                 .end = 200};
	uint64_t v = i * 0x9e3779b97f4a7c15ull;
	char hex[17];

	v ^= v >> 29;
	v *= 0xbf58476d1ce4e5b9ull;
	memcpy(s.trace, &v, sizeof(v));
	memcpy(s.trace + 8, &i, sizeof(i));
	memcpy(s.id, &i, sizeof(i));
	s.id[7] = (uint8_t)k;
	s.parent[0] = k + 1 != n;
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)id);
	span_set_str(&s, ATTR_CONVERSATION_ID, slice_str(hex));
	return s;
}

static void give(struct sampler *m, struct span *s)
{
	sampler_add(m, s);
	span_release(s);
}

static void test_whole_or_nothing(void **state)
{
	static const double shares[] = {0, 0.1, 0.5, 1};
	static struct seen seen;
	static unsigned at[TRACES], n[TRACES], error_at[TRACES], slow_at[TRACES];
	(void)state;

	for (size_t k = 0; k < sizeof(shares) / sizeof(shares[0]); k++) {
		struct sample_conf conf = {.share = shares[k], .slow = 1000};
		struct sampler *m = sampler_new(&conf, on_span, &seen);
		uint64_t random = 42 + k, left = TRACES, given = 0, calls = 0, calls_out = 0;
		unsigned kept = 0, dropped = 0, by_share = 0;

		memset(&seen, 0, sizeof(seen));
		for (unsigned i = 0; i < TRACES; i++) {
			at[i] = 0;
			n[i] = 1 + (unsigned)(random64(&random) % SPANS);
			error_at[i] = random64(&random) % 10 ? SPANS : (unsigned)(random64(&random) % n[i]);
			slow_at[i] = random64(&random) % 10 ? SPANS : 0;
		}
		while (left) {
			unsigned i = (unsigned)(random64(&random) % TRACES);

			if (at[i] == n[i])
				continue;
			struct span s = make(i, i, at[i], n[i]);
			if (at[i] == error_at[i])
				s.status = SPAN_ERROR;
			if (at[i] == slow_at[i])
				s.end = s.start + 5000;
			calls += s.kind == SPAN_CHAT;
			give(m, &s);
			given++;
			left -= ++at[i] == n[i];
		}
		for (unsigned i = 0; i < TRACES; i++) {
			bool error = error_at[i] < n[i], slow = slow_at[i] == 0 && n[i] > 1;

			assert_true(seen.spans[i] == 0 || seen.spans[i] == n[i]);
			assert_true(seen.spans[i] || !(error || slow));
			assert_true(!seen.spans[i] || seen.share[i] == shares[k]);
			kept += seen.spans[i] > 0;
			dropped += seen.spans[i] == 0;
			by_share += seen.reasons[i] == 1;
			calls_out += seen.spans[i] ? n[i] / 2 : 0;
		}
		const struct sample_stats *st = sampler_stats(m);
		assert_int_equal(seen.bad, 0);
		assert_int_equal(st->kept, kept);
		assert_int_equal(st->dropped, dropped);
		assert_int_equal(st->dropped_spans + seen.total, given);
		assert_int_equal(st->dropped_calls + calls_out, calls);
		assert_int_equal(st->held + st->held_bytes, 0);
		/* Chance of a wrong sampler to pass: the share is off by more than six deviations. */
		if (shares[k] < 1)
			assert_true(fabs(by_share - shares[k] * TRACES) <= 6 * sqrt(shares[k] * TRACES));
		sampler_free(m);
	}
}

/* What a smaller share keeps, a larger one keeps too. */
static void test_subset(void **state)
{
	static struct seen small, large;
	struct sampler *a = sampler_new(&(struct sample_conf){.share = 0.2}, on_span, &small);
	struct sampler *b = sampler_new(&(struct sample_conf){.share = 0.6}, on_span, &large);
	(void)state;

	for (unsigned i = 0; i < TRACES; i++) {
		struct span s = make(i, i, 0, 1);

		sampler_add(a, &s);
		give(b, &s);
	}
	for (unsigned i = 0; i < TRACES; i++)
		assert_true(!small.spans[i] || large.spans[i]);
	assert_true(small.total && small.total < large.total);
	sampler_free(a);
	sampler_free(b);
}

/* A share that changes touches only what begins later; a conversation's next trace is decided as its first.
 */
static void test_changes(void **state)
{
	static struct seen seen;
	struct sampler *m = sampler_new(&(struct sample_conf){.share = 1}, on_span, &seen);
	(void)state;

	struct span s = make(1, 77, 0, 3);
	give(m, &s);
	sampler_share(m, 0);
	s = make(1, 77, 1, 3);
	give(m, &s);
	s = make(1, 77, 2, 3);
	give(m, &s);
	assert_int_equal(seen.spans[1], 3);
	s = make(2, 77, 0, 2); /* goes on after a rest */
	give(m, &s);
	assert_int_equal(seen.spans[2], 1);
	s = make(3, 78, 0, 2);
	give(m, &s);
	s = make(3, 78, 1, 2);
	give(m, &s);
	assert_int_equal(seen.spans[3], 0);
	sampler_share(m, 1);
	s = make(4, 78, 0, 2);
	s.status = SPAN_ERROR;
	give(m, &s);
	assert_int_equal(seen.spans[4], 0);
	assert_int_equal(sampler_stats(m)->dropped, 2);
	assert_int_equal(sampler_stats(m)->dropped_spans, 3);
	sampler_free(m);
}

/* Roots that never come: what waits is bounded, and counted when it goes. */
static void test_bounded(void **state)
{
	static struct seen seen;
	struct sampler *m = sampler_new(&(struct sample_conf){.share = 0}, on_span, &seen);
	static char text[1 << 20];
	uint64_t most = 0;
	(void)state;

	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 200; i++) {
		struct span s = make(i, i, 0, 3);

		span_set_str(&s, ATTR_INPUT_MESSAGES, slice_of(text, sizeof(text)));
		give(m, &s);
		most = sampler_stats(m)->held_bytes > most ? sampler_stats(m)->held_bytes : most;
	}
	assert_in_range(most, SAMPLE_HELD_BYTES / 2, SAMPLE_HELD_BYTES);
	struct span s = make(0, 0, 1, 3);
	s.status = SPAN_ERROR;
	give(m, &s); /* too late: its beginning is gone */
	assert_int_equal(seen.total, 0);
	sampler_finish(m);
	assert_int_equal(sampler_stats(m)->dropped, 200);
	assert_int_equal(sampler_stats(m)->dropped_spans, 201);
	assert_int_equal(sampler_stats(m)->held_bytes, 0);
	for (unsigned i = 0; i < SAMPLE_TRACES_MAX + 100; i++) {
		s = make(i, i, 0, 3);
		give(m, &s);
	}
	assert_in_range(sampler_stats(m)->held, 1, SAMPLE_TRACES_MAX);
	sampler_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole_or_nothing),
	    cmocka_unit_test(test_subset),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
