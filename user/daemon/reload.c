/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "daemon/reload.h"

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_address(const struct listen_address *a, const struct listen_address *b)
{
	return a->len == b->len && memcmp(&a->addr, &b->addr, a->len) == 0;
}

size_t reload_fixed(const struct capture *now, const struct capture *next, struct buf *out)
{
	const struct outputs *a = &now->out, *b = &next->out;
	const struct {
		const char *name;
		bool same;
	} options[] = {
	    {"--store", same(a->sink.store_dir, b->sink.store_dir)},
	    {"--content", a->sink.content == b->sink.content},
	    {"--redact", a->redact == b->redact},
	    {"--rule", slice_eq(buf_slice(&a->rules), buf_slice(&b->rules))},
	    {"--join-traces", a->join_traces == b->join_traces},
	    {"--sample", a->sample.share == b->sample.share},
	    {"--sample-slow", a->sample.slow == b->sample.slow},
	    {"--otlp-file", same(a->sink.otlp_file, b->sink.otlp_file)},
	    {"--otlp-content of --otlp-file", !a->sink.otlp_file ||
	                                          !(a->otlp_content_given || b->otlp_content_given) ||
	                                          a->sink.otlp_file_content == b->sink.otlp_file_content},
	    {"--output", same(a->sink.tree_file, b->sink.tree_file)},
	    {"--record", same(a->record_file, b->record_file)},
	    {"--metrics", same_address(&a->metrics, &b->metrics)},
	    {"--alert", same(a->sink.alerts, b->sink.alerts)},
	    {"--alert-webhook", same(a->webhook, b->webhook)},
	    {"--otlp-metrics", same(a->metrics_endpoint.url, b->metrics_endpoint.url)},
	    {"--http", now->llm_only == next->llm_only},
	    {"--no-uretprobe", now->without == next->without},
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (!options[i].same)
			buf_addf(out, "%s%s", n++ ? ", " : "", options[i].name);
	return n;
}
