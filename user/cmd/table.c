/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include <math.h>

#include "base/text.h"
#include "cmd/table.h"
#include "sink/line.h"

void table_cell(struct buf *out, struct slice text, size_t width, bool right)
{
	struct buf b = {0};

	text_line(&b, text, width);
	size_t w = line_width(buf_slice(&b));
	int pad = w < width ? (int)(width - w) : 0;
	if (right)
		buf_addf(out, "%*s", pad, "");
	buf_addslice(out, buf_slice(&b));
	if (!right)
		buf_addf(out, "%*s", pad, "");
	buf_addc(out, ' ');
	buf_release(&b);
}

void table_count(struct buf *out, int64_t n)
{
	if (n < 0)
		buf_addc(out, '?');
	else if (n < 10000)
		buf_addf(out, "%lld", (long long)n);
	else if (n < 999500)
		buf_addf(out, "%.0fk", (double)n / 1e3);
	else
		buf_addf(out, "%.1fM", (double)n / 1e6);
}

void table_duration(struct buf *out, uint64_t ns)
{
	uint64_t s = ns / 1000000000;

	if (s < 100)
		buf_addf(out, "%.1fs", (double)ns / 1e9);
	else if (s < 6000)
		buf_addf(out, "%llum%02llu", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
	else
		buf_addf(out, "%lluh%02llu", (unsigned long long)(s / 3600),
		         (unsigned long long)(s / 60 % 60));
}

void table_latency(struct buf *out, double ns)
{
	if (isnan(ns))
		buf_addc(out, '?');
	else if (ns < 999.5e3)
		buf_addf(out, "%.0fus", ns / 1e3);
	else if (ns < 9.95e6)
		buf_addf(out, "%.1fms", ns / 1e6);
	else if (ns < 999.5e6)
		buf_addf(out, "%.0fms", ns / 1e6);
	else if (ns < 9.995e9)
		buf_addf(out, "%.2fs", ns / 1e9);
	else
		table_duration(out, (uint64_t)ns);
}

void table_time(struct buf *out, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char s[32];

	if (wall_ns && localtime_r(&t, &tm) && strftime(s, sizeof(s), "%m-%d %H:%M", &tm))
		buf_adds(out, s);
	else
		buf_addc(out, '?');
}
