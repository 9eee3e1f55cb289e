/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "base/clock.h"

static int64_t now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
	return (uint64_t)now(CLOCK_BOOTTIME);
}

int64_t clock_realtime_offset_ns(void)
{
	return now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME);
}

uint64_t clock_wall_ns(void)
{
	return (uint64_t)((int64_t)clock_boot_ns() + clock_realtime_offset_ns());
}

int clock_map_add(struct clock_map *m, uint64_t boot, int64_t offset)
{
	if (m->n) {
		/* Unsigned: a recording may hold any number. */
		int64_t change = (int64_t)((uint64_t)offset - (uint64_t)m->samples[m->n - 1].offset);

		if (change > -CLOCK_STEP_NS && change < CLOCK_STEP_NS)
			return 0;
	}
	if (m->n == CLOCK_SAMPLES_MAX)
		memmove(m->samples, m->samples + 1, --m->n * sizeof(m->samples[0]));
	m->samples[m->n++] = (struct clock_sample){boot, offset};
	return 1;
}

uint64_t clock_map_wall(const struct clock_map *m, uint64_t boot)
{
	if (m->n == 0)
		return 0;

	size_t i = m->n - 1;
	while (i > 0 && m->samples[i].boot > boot)
		i--;
	return boot + (uint64_t)m->samples[i].offset;
}
