/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sink/resource.h"
#include "span/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_rules(struct slice text)
{
	struct buf error = {0};
	struct rules *r = rules_new(text, &error);

	if (!r == !error.n)
		abort();
	for (uint8_t i = 0; r && i < 4; i++) {
		struct span s = {.kind = SPAN_CHAT, .trace = {i / 2}};

		span_set_str(&s, ATTR_SERVER_ADDRESS, i ? SLICE("api.example.com") : text);
		span_set_str(&s, ATTR_REQUEST_MODEL, SLICE("gpt-x"));
		span_set_str(&s, ATTR_TOOL_CALL_RESULT, SLICE("said"));
		enum content_level level = rules_level(r, &s, CONTENT_REDACTED);
		if (level > CONTENT_REDACTED)
			abort();
		if (level < CONTENT_REDACTED)
			rules_lower(r, &s, level, CONTENT_REDACTED);
		span_release(&s);
	}
	rules_free(r);
	buf_release(&error);
}

/* What is not refused is taken, and does not go beyond its room. */
static void try_resource(const char *list)
{
	struct otlp_text v[RESOURCE_MAX];
	struct resource_place nowhere = {0};
	struct buf error = {0};

	if (resource_check(list, &error) != (error.n == 0))
		abort();
	setenv("OTEL_RESOURCE_ATTRIBUTES", list, 1);
	struct resource *r = resource_new();
	if (resource_texts(r, &nowhere, v) > RESOURCE_MAX)
		abort();
	resource_free(r);
	buf_release(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = {0};

	if (size < 1)
		return 0;
	buf_add(&text, data + 1, size - 1);
	if (data[0] % 2)
		try_rules(buf_slice(&text));
	else
		try_resource(buf_str(&text));
	buf_release(&text);
	return 0;
}
