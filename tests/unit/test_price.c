/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "llm/price.h"

#define S   1000000000ull
#define NOW (1790000000 * S) /* September 2026: behind all dates that the rows used here begin at */

static const struct price_model *find(const char *provider, const char *model)
{
	return price_find(slice_str(provider), slice_str(model));
}

static struct llm_usage usage(int64_t input, int64_t output, int64_t read, int64_t created, int64_t reasoning)
{
	return (struct llm_usage){input, output, read, created, reasoning};
}

static double cost(const char *provider, const char *model, struct llm_usage u)
{
	struct price p = {0};

	assert_int_equal(price_calc(find(provider, model), NOW, &u, &p), PRICE_KNOWN);
	return p.total;
}

#define assert_usd(a, b)                                                                                     \
	do {                                                                                                 \
		double a_ = (a), b_ = (b);                                                                   \
		if (!(fabs(a_ - b_) < 1e-9))                                                                 \
			fail_msg("%.12g instead of %.12g", a_, b_);                                          \
	} while (0)

/* The rates of this row are those of the provider's page: 3 and 15 dollars, 0.30 from the cache, 3.75 into
 * it. */
static void test_each_token_is_paid_for_once(void **state)
{
	(void)state;
	const char *m = "claude-3-5-sonnet-20241022";

	assert_usd(cost("anthropic", m, usage(1000000, 0, LLM_NONE, LLM_NONE, LLM_NONE)), 3);
	assert_usd(cost("anthropic", m, usage(1000000, 0, 1000000, 0, LLM_NONE)), 0.3);
	assert_usd(cost("anthropic", m, usage(1000000, 0, 600000, 300000, LLM_NONE)),
	           0.1 * 3 + 0.6 * 0.3 + 0.3 * 3.75);
	/* Reasoning is within the output. */
	assert_usd(cost("anthropic", m, usage(0, 1000, 0, 0, 900)), 0.015);
	assert_usd(cost("openai", "gpt-4o-mini-2024-07-18", usage(412, 31, 0, LLM_NONE, 0)),
	           412 * .15e-6 + 31 * .6e-6);
}

static void test_parts_and_hours(void **state)
{
	struct llm_usage u = usage(1000, 10, 500, 400, LLM_NONE);
	struct price p;

	(void)state;
	assert_int_equal(price_calc(find("anthropic", "claude-3-5-sonnet-latest"), NOW, &u, &p), PRICE_KNOWN);
	assert_usd(p.input, 100 * 3e-6);
	assert_usd(p.cache_read, 500 * .3e-6);
	assert_usd(p.cache_write, 400 * 3.75e-6);
	assert_usd(p.output, 10 * 15e-6);
	assert_usd(p.hour_extra, 400 * (6 - 3.75) * 1e-6);
}

static void test_unknown_is_never_nothing(void **state)
{
	struct llm_usage u = usage(10, 10, 0, 0, 0), none = usage(LLM_NONE, 10, 0, 0, 0),
	                 half = usage(10, LLM_NONE, 0, 0, 0), wrong = usage(10, 10, 11, 0, 0);
	struct price p;

	(void)state;
	assert_null(find("openai", "no-such-model"));
	assert_null(find("nobody", "gpt-4o"));
	assert_null(find("ollama", "llama3.2"));
	assert_null(price_find((struct slice){0}, SLICE("gpt-4o")));
	assert_null(price_find(SLICE("openai"), (struct slice){0}));
	assert_null(price_find(SLICE("openai"), SLICE("gpt-4o\0x")));
	assert_int_equal(price_calc(NULL, NOW, &u, &p), PRICE_NO_MODEL);
	const struct price_model *m = find("openai", "gpt-4o");
	assert_int_equal(price_calc(m, NOW, &none, &p), PRICE_NO_USAGE);
	assert_int_equal(price_calc(m, NOW, &half, &p), PRICE_NO_USAGE);
	assert_int_equal(price_calc(m, NOW, &wrong, &p), PRICE_BAD_USAGE);
	assert_int_equal(price_calc(find("mistral", "mistral-nemo:free"), NOW, &u, &p), PRICE_NO_RATE);
}

static void test_names_on_the_wire(void **state)
{
	char longest[4096];

	(void)state;
	memset(longest, '-', sizeof(longest));
	assert_null(price_find(SLICE("openai"), slice_of(longest, sizeof(longest))));
	assert_null(price_find(SLICE("openai"), slice_of(longest, PRICE_NAME_MAX - 1)));
	assert_non_null(find("openai", " GPT-4o\n"));
	assert_non_null(find("x_ai", "grok-4.3-20260101"));
	assert_null(find("x_ai", "grok-4.3-2026010"));
	assert_non_null(find("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"));
	assert_non_null(find("gcp.vertex_ai", "claude-sonnet-4-5@20250929"));
	assert_non_null(find("gcp.gemini", "gemini-2.5-pro"));
	assert_non_null(find("mistral_ai", "mistral-large-latest"));
	/* Azure sells other providers' models, and has rows of its own before theirs. */
	assert_non_null(find("azure.ai.openai", "gpt-5-mini-2025-08-07"));
	assert_ptr_equal(find("openai", "gpt-5-mini-20250807"), find("openai", "gpt-5-mini-2025-08-07"));
	assert_ptr_not_equal(find("gcp.gemini", "gemini-2.5-pro-preview-tts"),
	                     find("gcp.gemini", "gemini-2.5-pro"));
}

/* Above 200,000 tokens of input, cached ones counted, every token of this row costs more; since March 2026
 * none does. */
static void test_context_length_and_date(void **state)
{
	const struct price_model *m = find("anthropic", "claude-opus-4-6");
	struct llm_usage at = usage(200000, 0, 0, 0, 0), above = usage(200001, 0, 200000, 0, 0);
	struct price p;

	(void)state;
	uint64_t march = 1773360000 * S; /* 2026-03-13T00:00:00Z */
	assert_int_equal(price_calc(m, march - 1, &at, &p), PRICE_KNOWN);
	assert_usd(p.total, 200000 * 5e-6);
	assert_int_equal(price_calc(m, march - 1, &above, &p), PRICE_KNOWN);
	assert_usd(p.total, 1 * 10e-6 + 200000 * 1e-6);
	assert_int_equal(price_calc(m, march, &above, &p), PRICE_KNOWN);
	assert_usd(p.total, 1 * 5e-6 + 200000 * .5e-6);
}

/* One line of tools/prices --oracle: provider, model, seconds, five counts, then a price or the name of a
 * state. */
static bool agrees(char *line)
{
	char *field[9];
	size_t n = 0;
	struct price p = {0};

	for (char *s; n < 9 && (s = strsep(&line, "\t\n")) != NULL;)
		field[n++] = s;
	assert_int_equal(n, 9);
	struct llm_usage u =
	    usage(atoll(field[3]), atoll(field[4]), atoll(field[5]), atoll(field[6]), atoll(field[7]));
	enum price_state s = price_calc(find(field[0], field[1]), strtoull(field[2], NULL, 10) * S, &u, &p);
	char *end;
	double want = strtod(field[8], &end);
	if (*end)
		return strcmp(field[8], price_state_name(s)) == 0;
	return s == PRICE_KNOWN && fabs(p.total - want) <= 1e-12 + 1e-9 * want;
}

static void test_oracle(void **state)
{
	const char *path = getenv("SPANTAP_PRICE_ORACLE");
	size_t size = 0, n = 0, wrong = 0;
	char *line = NULL;

	(void)state;
	if (!path) {
		printf("SKIP: prices against the package's own: tests/e2e/prices.sh does it\n");
		skip();
	}
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		char *copy = strdup(line);

		n++;
		if (!agrees(line) && ++wrong <= 20)
			print_error("differs: %s", copy);
		free(copy);
	}
	free(line);
	fclose(f);
	printf("FIGURE prices equal to the package's own: %zu of %zu\n", n - wrong, n);
	assert_true(n >= 200);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_token_is_paid_for_once), cmocka_unit_test(test_parts_and_hours),
	    cmocka_unit_test(test_unknown_is_never_nothing),    cmocka_unit_test(test_names_on_the_wire),
	    cmocka_unit_test(test_context_length_and_date),     cmocka_unit_test(test_oracle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
