/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe/features.h"
#include "probe/load.h"

struct capability {
	int number;
	const char *name, *why;
	int instead; /* a capability that includes it, -1: none */
};

/* capabilities(7). CAP_SYS_ADMIN: perf-event uprobes are refused without it on kernels with the distributions' patch. */
static const struct capability capabilities[] = {
    {39 /* CAP_BPF */, "CAP_BPF", "load BPF programs", CAP_SYS_ADMIN},
    {38 /* CAP_PERFMON */, "CAP_PERFMON", "attach them to processes", CAP_SYS_ADMIN},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "place uprobes by perf event", -1},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "see which files other users' processes map", -1},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "read programs that only their owner may read", -1},
    {CAP_SETUID, "CAP_SETUID", "run CMD as its user, and the parsers as nobody", -1},
    {CAP_SETGID, "CAP_SETGID", "run CMD as its user, and the parsers as nobody", -1},
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

static int probe_privileges(struct buf *ret_detail)
{
	uint64_t caps = effective_capabilities();
	bool all = true;

	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		if (has(caps, &capabilities[i]))
			continue;
		buf_addf(ret_detail, "%s%s (to %s)", all ? "missing " : ", ", capabilities[i].name, capabilities[i].why);
		all = false;
	}
	return all;
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

static int probe_load(struct buf *ret_detail)
{
	struct loader *l = loader_new(NULL, ret_detail);

	loader_free(l);
	return l != NULL;
}

static int probe_multi(struct buf *ret_detail)
{
	struct loader *l = loader_new(NULL, ret_detail);
	bool multi = l && loader_caps(l) & LOADER_MULTI;

	loader_free(l);
	return multi;
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

static int probe_seccomp(struct buf *ret_detail)
{
	(void)ret_detail;
	return access("/proc/sys/kernel/seccomp/actions_avail", R_OK) == 0;
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
