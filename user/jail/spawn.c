/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"
#include "daemon/daemon.h"
#include "daemon/exporter.h"
#include "daemon/metrics_exporter.h"
#include "daemon/metrics_server.h"
#include "daemon/webhook.h"
#include "jail/spawn.h"

const struct role roles[] = {
    {"inspect", inspect_main},
    {"gate", gate_main},
    {"decode", decode_main},
    {"sink", sink_main},
    {"export", exporter_main},
    {"metrics", metrics_server_main},
    {"webhook", webhook_main},
    {"metrics-export", metrics_exporter_main},
    {NULL, NULL},
};

/* The operator's nice value: that of the first spawn, when nobody is in a hurry yet. */
static int operators_nice(void)
{
	static bool known;
	static int value;

	if (!known)
		value = getpriority(PRIO_PROCESS, 0);
	known = true;
	return value;
}

static _Noreturn void become(const char *name, int sock)
{
	char *const argv[] = {(char[]){"spantap"}, (char[]){ROLE_FLAG}, (char *)(uintptr_t)name, NULL};
	sigset_t none;

	/* Terminal signals are for CMD and probe; a role ends when its socket does. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	setpriority(PRIO_PROCESS, 0, operators_nice()); /* decode may be started again while probe is in a hurry */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (sock == ROLE_SOCKET)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, ROLE_SOCKET) < 0)
		_exit(EXIT_SPANTAP);
	close_range(ROLE_SOCKET + 1, ~0U, 0);

	/* Standard input and output belong to CMD. */
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(EXIT_SPANTAP);
	if (null > ROLE_SOCKET)
		close(null);
	execv("/proc/self/exe", argv);
	_exit(EXIT_SPANTAP);
}

int role_socket(int ret_ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) ? -errno : 0;
}

pid_t spawn_role(const char *name, int sock)
{
	operators_nice();
	pid_t pid = fork();

	if (pid == 0)
		become(name, sock);
	return pid < 0 ? -errno : pid;
}

void role_dispatch(int argc, char **argv)
{
	static char title[64];

	if (argc != 3 || strcmp(argv[1], ROLE_FLAG) != 0)
		return;
	for (const struct role *r = roles; r->name; r++) {
		if (strcmp(r->name, argv[2]) != 0)
			continue;
		snprintf(title, sizeof(title), "spantap %s", r->name);
		log_role(title);
		prctl(PR_SET_NAME, title);
		fcntl(ROLE_SOCKET, F_SETFD, FD_CLOEXEC);
		exit(r->main());
	}
	die(2, "unknown role '%s'", argv[2]);
}
