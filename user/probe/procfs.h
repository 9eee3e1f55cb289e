/* SPDX-License-Identifier: Apache-2.0 */
/* procfs.h - what /proc knows about a process and its files. Pids are those of our own pid namespace. */
#ifndef SPANTAP_PROCFS_H
#define SPANTAP_PROCFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* The mapped file itself, also deleted or in another mount namespace; `name` as the process sees it. fd or -errno. */
int procfs_open_mapping(pid_t pid, uint64_t addr, uint64_t len, const char *name);

/* A file mapped for execution. */
struct procfs_mapping {
	uint64_t start, end;
	uint32_t maj, min;
	uint64_t ino;
	const char *name; /* as the process sees it; " (deleted)" behind it when it is */
};

/* All of them. 0, or -errno: the process has ended, or may not be looked at. */
int procfs_each_mapping(pid_t pid, void (*fn)(void *ctx, pid_t pid, const struct procfs_mapping *m), void *ctx);

/* The process that thread `tid` belongs to, or -errno. */
pid_t procfs_leader(pid_t tid);
/* The path of its program, without " (deleted)". 0 or -errno. */
int procfs_exe(pid_t pid, char *ret, size_t size);
/* Appends its name. 0 or -errno. */
int procfs_comm(pid_t pid, struct buf *out);
/* Appends its arguments, each with its NUL, at most `max` bytes. 0; 1: there are more; -errno. */
int procfs_arguments(pid_t pid, size_t max, struct buf *out);
/* Appends /proc/PID/cgroup, at most PROCFS_TEXT_MAX bytes. 0 or -errno. */
int procfs_cgroups(pid_t pid, struct buf *out);
/*
 * Whether the kernel has taken our mapping events off the process at its exec:
 * it does so for programs that change the user or may not be dumped
 * (begin_new_exec(): perf_event_exit_task()).
 */
bool procfs_events_lost(pid_t pid);

/* What a process has used since it began. */
struct procfs_usage {
	uint64_t start;    /* boot ns */
	uint64_t cpu;      /* ns, in user and kernel mode */
	uint64_t resident; /* bytes, as the next two; files are in it, too */
	uint64_t anon, shared;
};
/* 0 or -errno: it is gone. */
int procfs_usage(pid_t pid, struct procfs_usage *ret);

#define PROCFS_TEXT_MAX 16384

/* `name` as execvp(3) finds it. 0; -ENOENT not found; -EACCES found, not executable. */
int procfs_find_program(const char *name, char *ret, size_t size);

#endif
