/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover.h - which files the followed processes execute from.
 *
 * Before CMD starts: its program (through script interpreters), and the TLS
 * libraries in the places where the dynamic linker looks, so that a short
 * command is covered from its first call.  While it runs: every executable
 * mapping (perf MMAP2 records, inherited by all descendants) and every exec.
 */
#ifndef SPANTAP_DISCOVER_H
#define SPANTAP_DISCOVER_H

#include "probe/attach.h"
#include "target/target.h"

struct discover;

/* `exe`: CMD's program, already found on the PATH. */
void discover_before(struct attacher *a, const char *exe);

/* For `doctor`: every TLS library in those places, as the inspect role sees it. */
void discover_libraries(void (*report)(void *ctx, const char *path, const struct target *t), void *ctx);

/* Watches process `pid` and what it will fork. NULL: errno. */
struct discover *discover_start(struct attacher *a, struct loader *l, pid_t pid);
/* To be polled for reading; level-triggered. */
int discover_fd(const struct discover *d);
/* Handles what has arrived; *ret_exits: whether a followed process has ended. */
void discover_work(struct discover *d, bool *ret_exits);
void discover_stop(struct discover *d);

#endif
