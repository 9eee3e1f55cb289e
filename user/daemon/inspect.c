/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c - the jail that parses ELF files: a descriptor in, a struct target out. */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "target/target.h"

int inspect_main(void)
{
	static struct msg msg;
	int err;

	setpriority(PRIO_PROCESS, 0, HURRY);
	err = sandbox_identity(SANDBOX_UID, SANDBOX_UID);

	if (!err)
		err = sandbox_enter(SANDBOX_INSPECT);
	if (err)
		die(EXIT_SPANTAP, "cannot give up its rights: %s", strerror(-err));
	while (msg_recv(ROLE_SOCKET, &msg) == 0) {
		struct target target = {.err = -EPROTO};

		alarm(INSPECT_SECONDS + 1); /* a file that makes us hang ends us: probe may not be allowed to */
		if (msg.type == MSG_INSPECT && msg.n_fds == 1)
			target_inspect(msg.fds[0], &target);
		alarm(0);
		while (msg.n_fds)
			close(msg.fds[--msg.n_fds]);
		if (msg_send(ROLE_SOCKET, MSG_INSPECT, slice_of(&target, sizeof(target)), NULL, 0))
			break;
	}
	return 0;
}
