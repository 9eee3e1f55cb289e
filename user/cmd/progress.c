/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/progress.h"

#define STEPS  1024         /* between two looks at the clock */
#define PERIOD 200000000ull /* ns between two lines */

void progress_step(struct progress *p)
{
	if (++p->n % STEPS || !isatty(STDERR_FILENO))
		return;
	uint64_t now = clock_boot_ns();
	if (p->shown_at == 0)
		p->shown_at = now; /* what is done within the first period needs no line */
	if (now - p->shown_at < PERIOD)
		return;
	fprintf(stderr, "\r%llu %s", (unsigned long long)p->n, p->what);
	p->shown_at = now;
}

void progress_end(struct progress *p)
{
	if (p->n >= STEPS && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
