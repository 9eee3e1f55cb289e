/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mappings.h - the kernel's word on each file that is mapped for execution:
 * perf MMAP2 records, one byte ring a processor.
 *
 * Of one process and what it forks (`run`: others pay nothing), or of every
 * process (`record`: its rules may choose any, and threads that run already
 * could not be covered otherwise).
 */
#ifndef SPANTAP_MAPPINGS_H
#define SPANTAP_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mapped {
	pid_t pid; /* in our pid namespace; not above 0: it has none there */
	uint64_t addr, len;
	uint64_t dev, ino, generation; /* dev: major << 32 | minor */
	uint64_t ts;                   /* boot ns */
	const char *name;              /* as the process sees it */
};

struct mappings;

#define MAPPINGS_ALL (-1)

/* `pid`: that process and its descendants, or MAPPINGS_ALL. NULL: errno. */
struct mappings *mappings_open(pid_t pid);
void mappings_close(struct mappings *m); /* accepts NULL */
/* To be polled for reading. */
int mappings_fd(const struct mappings *m);
/* Also `pid` and what it will fork. 0 or -errno. */
int mappings_add(struct mappings *m, pid_t pid);
/* Takes what has arrived. True: records were lost. */
bool mappings_read(struct mappings *m, void (*fn)(void *ctx, const struct mapped *what), void *ctx);

#endif
