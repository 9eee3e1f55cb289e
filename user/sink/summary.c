/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>

#include "sink/summary.h"

#define AT(member) offsetof(struct sink_summary, member)

const struct summary_def summary_defs[] = {
    {"captured_bytes", AT(captured_bytes), NULL, SUMMARY_BYTES},
    {"tls_connections", AT(tls_connections), NULL, SUMMARY_COUNT},
    {"unknown_protocol", AT(unknown_protocol), NULL, SUMMARY_COUNT},
    {"lost_bytes", AT(lost_bytes), "lost %s of payload: ring full", SUMMARY_BYTES},
    {"too_long_bytes", AT(too_long_bytes), "lost %s of payload: calls longer than this kernel can copy",
     SUMMARY_BYTES},
    {"unreadable_bytes", AT(unreadable_bytes), "lost %s of payload: memory not readable", SUMMARY_BYTES},
    {"life_lost", AT(life_lost), "lost %s process and connection records: ring full", SUMMARY_COUNT},
    {"conn_untracked", AT(conn_untracked), "ignored %s reads and writes: connection table full",
     SUMMARY_COUNT},
    {"proc_untracked", AT(proc_untracked), "did not follow %s forks: process table full", SUMMARY_COUNT},
    {"call_untracked", AT(call_untracked), "ignored %s reads and writes: table of calls in progress full",
     SUMMARY_COUNT},
    {"call_unreturned", AT(call_unreturned),
     "did not see the end of %s reads and writes: what they carried is not known", SUMMARY_COUNT},
    {"plain_untracked", AT(plain_untracked), "did not look at %s sockets and pipes: table full", SUMMARY_COUNT},
    {"plain_early", AT(plain_early),
     "did not see the first messages of %s sessions without TLS: they had begun before they were looked at", SUMMARY_COUNT},
    {"shed_spans", AT(shed_spans), "shed the content of %s spans: outputs too slow", SUMMARY_COUNT},
    {"pressed_spans", AT(pressed_spans), "left out the content of %s spans: above --max-cpu or --max-memory",
     SUMMARY_COUNT},
    {"sampled_out", AT(sampled_out), "left out %s conversations as a whole, by --sample, --max-cpu or --max-memory",
     SUMMARY_NOTE},
    {"sampled_calls", AT(sampled_calls), "left out %s calls with them", SUMMARY_NOTE},
    {"decode_crashes", AT(decode_crashes),
     "decoder crashes: %s, each left out the record that it was parsing", SUMMARY_COUNT},
    {"grpc", AT(grpc), "gRPC passed over: %s exchanges", SUMMARY_NOTE},
    {"batches", AT(batches), "batches passed over: %s, their requests are answered later", SUMMARY_NOTE},
};
const size_t n_summary_defs = sizeof(summary_defs) / sizeof(summary_defs[0]);

uint64_t summary_value(const struct sink_summary *s, size_t i)
{
	return *(const uint64_t *)((const char *)s + summary_defs[i].offset);
}

void summary_bytes(struct buf *out, uint64_t n)
{
	static const char *const units[] = {"MB", "GB", "TB", "PB"};
	double v = (double)n / 1e6;
	size_t u = 0;

	if (n < 1000000) {
		summary_count(out, n);
		buf_adds(out, n == 1 ? " byte" : " bytes");
		return;
	}
	for (; v >= 999.95 && u < 3; u++)
		v /= 1000;
	buf_addf(out, "%.1f %s", v, units[u]);
}

void summary_count(struct buf *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf_addc(out, ',');
		buf_addc(out, digits[i]);
	}
}
