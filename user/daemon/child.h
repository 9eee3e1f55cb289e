/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - a role that probe has started, over its life. */
#ifndef SPANTAP_CHILD_H
#define SPANTAP_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "jail/message.h"

#define START_MS 15000 /* a role has to be ready by then */

struct child {
	const char *name;
	pid_t pid; /* 0: not running */
	int sock[2];
	bool done; /* it said MSG_DONE */
	unsigned restarts;
};

/* Waits until a role just started is ready; its message is left in *msg. False, said why, when it is not. */
bool child_wait_ready(struct child *c, struct msg *msg);
/* Closes its sockets, so that it ends; SIGKILL when it does not within a second. */
void child_stop(struct child *c);

#endif
