/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe/features.h"
#include "probe/hold.h"
#include "probe/load.h"

#define MEMLOCK_BYTES (160u << 20) /* rings of 72 MiB, whose pages count twice on some kernels, and tables */

enum capability_need {
	ALWAYS,
	NO_MULTI, /* where the kernel has no uprobe.multi links */
	AS_ROOT,  /* when we run as root: another user's parsers run as that user */
	MEMLOCK,  /* where BPF maps count as locked memory, and the limit is low */
	HELPS,    /* never required */
};

struct capability {
	int number;
	enum capability_need need;
	const char *name, *why;
	int instead; /* a capability that includes it, -1: none */
};

/* capabilities(7). Of those that only help, `why` says what is lost without. */
static const struct capability capabilities[] = {
    {39 /* CAP_BPF */, ALWAYS, "CAP_BPF", "load BPF programs", CAP_SYS_ADMIN},
    {38 /* CAP_PERFMON */, ALWAYS, "CAP_PERFMON", "attach them to processes", CAP_SYS_ADMIN},
    /* Perf-event uprobes are refused without it on kernels with the distributions' patch. */
    {CAP_SYS_ADMIN, NO_MULTI, "CAP_SYS_ADMIN", "place uprobes by perf event", -1},
    {CAP_SYS_PTRACE, ALWAYS, "CAP_SYS_PTRACE", "see which files other users' processes map", -1},
    {CAP_DAC_READ_SEARCH, ALWAYS, "CAP_DAC_READ_SEARCH", "read programs that only their owner may read", -1},
    {CAP_SETUID, AS_ROOT, "CAP_SETUID", "run CMD as its user, and the parsers as nobody", -1},
    {CAP_SETGID, AS_ROOT, "CAP_SETGID", "run CMD as its user, and the parsers as nobody", -1},
    {CAP_SYS_RESOURCE, MEMLOCK, "CAP_SYS_RESOURCE", "raise the limit of locked memory, or set it to 160 MB before", -1},
    {40 /* CAP_CHECKPOINT_RESTORE */, HELPS, "CAP_CHECKPOINT_RESTORE",
     "libraries that were deleted or replaced while in use are not found", CAP_SYS_ADMIN},
    {CAP_KILL, HELPS, "CAP_KILL", "signals are not passed on to a CMD of another user", -1},
    {CAP_SYS_NICE, HELPS, "CAP_SYS_NICE", "on a busy host a library may be attached later than its first use", -1},
    {CAP_NET_ADMIN, HELPS, "CAP_NET_ADMIN", "the buffer between decoding and storing is smaller", -1},
};

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}, {0}};

	if (syscall(SYS_capget, &head, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

static bool has(uint64_t caps, const struct capability *c)
{
	return caps >> c->number & 1 || (c->instead >= 0 && caps >> c->instead & 1);
}

/* Whether the kernel has uprobe.multi links: its types say so to everyone. */
static bool kernel_has_multi(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name_kind(btf, "bpf_uprobe_multi_link", BTF_KIND_STRUCT) > 0;

	btf__free(btf);
	return found;
}

/* Before Linux 5.11 ("bpf: switch to memcg-based memory accounting") the memory of maps counts as locked. */
static bool memory_is_locked(void)
{
	struct utsname u;
	struct rlimit limit;
	unsigned major = 0, minor = 0;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2 || major > 5 || (major == 5 && minor > 10))
		return false;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max < MEMLOCK_BYTES;
}

static bool required(const struct capability *c)
{
	switch (c->need) {
	case NO_MULTI:
		return !kernel_has_multi();
	case AS_ROOT:
		return geteuid() == 0;
	case MEMLOCK:
		return memory_is_locked();
	default:
		return c->need == ALWAYS;
	}
}

/* Names what is missing. 1: nothing. */
static int list_missing(bool helpful, struct buf *ret_detail)
{
	uint64_t caps = effective_capabilities();
	bool all = true;

	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		const struct capability *c = &capabilities[i];
		bool matters = helpful ? c->need == HELPS || (c->need == AS_ROOT && !required(c)) : required(c);

		if (has(caps, c) || !matters)
			continue;
		const char *why = helpful && c->need == AS_ROOT ? "the parsers run as you, not as nobody" : c->why;
		buf_addf(ret_detail, helpful ? "%s%s: %s" : "%s%s (to %s)", all ? "missing " : helpful ? "; " : ", ", c->name, why);
		all = false;
	}
	return all;
}

static int probe_privileges(struct buf *ret_detail)
{
	return list_missing(false, ret_detail);
}

static int probe_helpful(struct buf *ret_detail)
{
	return list_missing(true, ret_detail);
}

static int probe_btf(struct buf *ret_detail)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		return 1;
	buf_adds(ret_detail, "/sys/kernel/btf/vmlinux is not there");
	return 0;
}

static int probe_ringbuf(struct buf *ret_detail)
{
	(void)ret_detail;
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL);
}

/* uprobe PMU: perf-event uprobes (Linux 4.17, e12f03d7031a). */
static int probe_uprobe(struct buf *ret_detail)
{
	if (access("/sys/bus/event_source/devices/uprobe/type", R_OK) == 0)
		return 1;
	buf_adds(ret_detail, "/sys/bus/event_source/devices/uprobe is not there (CONFIG_UPROBE_EVENTS)");
	return 0;
}

/* Our programs, loaded and attached to process events; once. */
static struct {
	bool tried, works;
	unsigned caps; /* enum loader_cap */
	struct buf why_not;
} loaded;

static void load_once(void)
{
	struct loader *l = loaded.tried ? NULL : loader_new(NULL, &loaded.why_not);

	if (l) {
		loaded.works = true;
		loaded.caps = loader_caps(l);
	}
	loaded.tried = true;
	loader_free(l);
}

static int probe_load(struct buf *ret_detail)
{
	load_once();
	buf_addslice(ret_detail, buf_slice(&loaded.why_not));
	return loaded.works;
}

static int has_cap(enum loader_cap cap, struct buf *ret_detail)
{
	load_once();
	if (!loaded.works)
		buf_adds(ret_detail, "not known, as our programs do not load");
	return loaded.works && loaded.caps & cap;
}

static int probe_multi(struct buf *ret_detail)
{
	return has_cap(LOADER_MULTI, ret_detail);
}

static int probe_return_probes(struct buf *ret_detail)
{
	return has_cap(LOADER_RETURN_PROBE, ret_detail);
}

static int probe_mmap2(struct buf *ret_detail)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY,
				       .mmap = 1,
				       .mmap2 = 1,
				       .inherit = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attr, getpid(), 0, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 1;
	}
	buf_addf(ret_detail, "perf_event_open: %s", strerror(errno));
	return 0;
}

static int probe_bpf_loop(struct buf *ret_detail)
{
	(void)ret_detail;
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, NULL);
}

static int probe_sockets(struct buf *ret_detail)
{
	return has_cap(LOADER_SOCKETS, ret_detail);
}

static int probe_seccomp(struct buf *ret_detail)
{
	(void)ret_detail;
	return access("/proc/sys/kernel/seccomp/actions_avail", R_OK) == 0;
}

static int probe_hold(struct buf *ret_detail)
{
	return hold_possible(ret_detail);
}

const struct feature features[] = {
    {"privileges", FEATURE_REQUIRED, NULL, "run spantap as root, or with these capabilities", probe_privileges},
    {"kernel type information (BTF)", FEATURE_REQUIRED, "5.2, CONFIG_DEBUG_INFO_BTF=y",
     "the programs cannot adapt to this kernel: use a kernel built with CONFIG_DEBUG_INFO_BTF", probe_btf},
    {"BPF ring buffer", FEATURE_REQUIRED, "5.8, 457f44363a88", "use Linux 5.10 or later", probe_ringbuf},
    {"uprobes by perf event", FEATURE_REQUIRED, "4.17, e12f03d7031a", "plaintext cannot be read: CONFIG_UPROBE_EVENTS is needed",
     probe_uprobe},
    {"mapping events (perf MMAP2)", FEATURE_REQUIRED, "3.16, a5a5ba72843d", "libraries loaded later are not found", probe_mmap2},
    {"seccomp", FEATURE_REQUIRED, "3.17, 48dc92b9fc39", "the parsers cannot be jailed", probe_seccomp},
    {"our own programs load", FEATURE_REQUIRED, NULL, "nothing can be captured: please report this with the kernel's version",
     probe_load},
    {"bpf_loop", FEATURE_OPTIONAL, "5.17, e6f2dd0f8067",
     "of one write or read at most 128 KiB are captured, the rest is counted and marked as lost", probe_bpf_loop},
    {"uprobe.multi links", FEATURE_OPTIONAL, "6.6, 89ae89f53d20",
     "probes go by perf event: each takes 0.1 s to remove, so a run ends about a second later", probe_multi},
    {"return probes", FEATURE_OPTIONAL, NULL,
     "they would kill sandboxed programs here: returns are read at the functions' return instructions, which costs more",
     probe_return_probes},
    {"socket tracepoints", FEATURE_OPTIONAL, "6.3, 6e6eda44b939",
     "calls without TLS are seen at the ends of system calls, from shortly after a process's first local connection on",
     probe_sockets},
    {"hold at exec", FEATURE_OPTIONAL, "5.0, 66917a3130f2",
     "programs with TLS linked in, executed for the first time, may be joined late: run them in shared mounts "
     "(unshare --mount --propagation shared spantap run …)",
     probe_hold},
    {"more privileges", FEATURE_OPTIONAL, NULL, "none is needed; what each is for stands above", probe_helpful},
    {NULL, FEATURE_REQUIRED, NULL, NULL, NULL},
};

bool features_capable(struct buf *ret_why)
{
	struct buf detail = {0};
	bool ok = probe_privileges(&detail) == 1;

	if (!ok) {
		buf_addf(ret_why, "not enough privileges: %s; run it as root (sudo spantap run -- CMD): CMD itself keeps your user",
			 buf_str(&detail));
	} else if (probe_btf(&detail) != 1) {
		buf_addf(ret_why, "this kernel has no type information: %s; use one built with CONFIG_DEBUG_INFO_BTF (Linux 5.10 or later)",
			 buf_str(&detail));
		ok = false;
	}
	buf_release(&detail);
	return ok;
}
