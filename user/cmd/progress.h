/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - a line on the terminal while reading takes long; nothing where stderr is none. */
#ifndef SPANTAP_PROGRESS_H
#define SPANTAP_PROGRESS_H

#include <stdint.h>

struct progress {
	const char *what; /* "spans read" */
	uint64_t n, shown_at;
};

void progress_step(struct progress *p); /* one more */
void progress_end(struct progress *p);  /* clears the line */

#endif
