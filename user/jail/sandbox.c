/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <linux/capability.h>
#include <unistd.h>

#include "base/slice.h"
#include "jail/sandbox.h"

#define SC(name) SCMP_SYS(name)

/* Permitted to every role: memory, its own descriptors, its own end. */
static const int base_calls[] = {
    SC(read),       SC(write),        SC(readv),       SC(writev),     SC(pread64),      SC(close),
    SC(fstat),      SC(lseek),        SC(mmap),        SC(munmap),     SC(mremap),       SC(mprotect),
    SC(madvise),    SC(brk),          SC(exit),        SC(exit_group), SC(rt_sigreturn), SC(rt_sigprocmask),
    SC(sendmsg),    SC(recvmsg),      SC(futex),       SC(getpid),     SC(gettid),       SC(tgkill),
    SC(getrandom),  SC(clock_gettime), SC(gettimeofday), SC(restart_syscall), SC(newfstatat), SC(rseq),
    SC(fcntl),      SC(sysinfo), /* qsort(3) asks how much memory there is */
};

static const int inspect_calls[] = {SC(setitimer), SC(alarm)};

static const int gate_calls[] = {SC(poll), SC(ppoll), SC(fanotify_mark)};

static const int decode_calls[] = {
    SC(epoll_wait), SC(epoll_pwait), SC(poll),          SC(ppoll),           SC(clock_nanosleep), SC(nanosleep),
    SC(sched_yield), SC(recvfrom),   SC(set_robust_list), SC(sched_getaffinity),
};

static const int sink_calls[] = {
    SC(openat),  SC(open),     SC(stat),     SC(lstat),   SC(statx),   SC(access),     SC(faccessat), SC(faccessat2),
    SC(flock),    SC(fsync),    SC(fdatasync), SC(ftruncate), SC(fallocate), SC(pwrite64), SC(unlink),
    SC(unlinkat), SC(rename),  SC(renameat), SC(renameat2), SC(mkdir),  SC(mkdirat),    SC(fchmod),    SC(chmod),
    SC(fchmodat), /* what chmod is on arm64; the others that it lacks have their *at form above too */
    SC(fchown),  SC(geteuid),  SC(getuid),   SC(getegid), SC(getgid),  SC(getcwd),     SC(readlink),  SC(readlinkat),
    SC(poll),    SC(ppoll),    SC(getdents64), SC(statfs), SC(fstatfs), SC(umask),     SC(ioctl),     SC(uname),
    SC(clock_nanosleep), SC(nanosleep), SC(prlimit64), SC(getppid), SC(sched_yield),
};

static const int metrics_calls[] = {SC(poll), SC(ppoll), SC(accept4), SC(recvfrom), SC(sendto), SC(shutdown)};

static const int network_calls[] = {
    SC(socket),      SC(socketpair),  SC(connect),  SC(bind),      SC(getsockopt), SC(setsockopt),      SC(getsockname),
    SC(getpeername), SC(sendto),      SC(recvfrom), SC(sendmmsg),  SC(recvmmsg),   SC(shutdown),        SC(pipe2),
    SC(eventfd2),    SC(clone),       SC(clone3),   SC(set_robust_list), SC(sched_getaffinity), SC(rt_sigaction),
    SC(epoll_create1), SC(epoll_ctl), SC(epoll_wait), SC(epoll_pwait), SC(select), SC(pselect6), SC(getuid), SC(dup),
};

struct table {
	const int *calls;
	size_t n;
};

#define TABLES   3 /* of one role, at most */
#define TABLE(t) {t, sizeof(t) / sizeof((t)[0])}

static const struct table tables[][TABLES] = {
    [SANDBOX_INSPECT] = {TABLE(base_calls), TABLE(inspect_calls)},
    [SANDBOX_GATE] = {TABLE(base_calls), TABLE(gate_calls)},
    [SANDBOX_DECODE] = {TABLE(base_calls), TABLE(decode_calls)},
    [SANDBOX_SINK] = {TABLE(base_calls), TABLE(sink_calls)},
    [SANDBOX_METRICS] = {TABLE(base_calls), TABLE(metrics_calls)},
    [SANDBOX_EXPORT] = {TABLE(base_calls), TABLE(sink_calls), TABLE(network_calls)},
};

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	for (int cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* refused without CAP_SETPCAP: then no exec can gain any either */
	return syscall(SYS_capset, &head, none) ? -errno : 0;
}

int sandbox_identity(uid_t uid, gid_t gid)
{
	struct rlimit no_core = {0, 0};

	bool root = geteuid() == 0;

	if (setgroups(0, NULL) && errno != EPERM)
		return -errno;
	if ((setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) && (root || errno != EPERM))
		return -errno;
	int err = drop_capabilities();
	if (err)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setrlimit(RLIMIT_CORE, &no_core))
		return -errno;
	return 0;
}

/* Async-signal-safe: names the refused call for the debug mode. */
static void refused(int sig, siginfo_t *info, void *ctx)
{
	char line[128] = "spantap: sandbox refused system call ";
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);

	(void)ctx;
	strncat(line, name ? name : "?", sizeof(line) - strlen(line) - 2);
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		_exit(sig);
	_exit(128 + sig);
}

int sandbox_enter(enum sandbox_profile profile)
{
	bool debug = getenv("SPANTAP_SANDBOX_DEBUG") != NULL;
	scmp_filter_ctx ctx = seccomp_init(debug ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
	int err = ctx ? 0 : -ENOMEM;

	if (debug) {
		struct sigaction sa = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};

		sigaction(SIGSYS, &sa, NULL);
	}
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t t = 0; t < TABLES; t++)
		for (size_t i = 0; !err && i < tables[profile][t].n; i++)
			err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, tables[profile][t].calls[i], 0);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
