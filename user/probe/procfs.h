/* SPDX-License-Identifier: Apache-2.0 */
/* procfs.h - what /proc knows about a process and its files. Pids are those of our own pid namespace. */
#ifndef SPANTAP_PROCFS_H
#define SPANTAP_PROCFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The mapped file itself, also deleted or in another mount namespace; `name` as the process sees it. fd or -errno. */
int procfs_open_mapping(pid_t pid, uint64_t addr, uint64_t len, const char *name);
/* The program that it executes. fd or -errno. */
int procfs_open_exe(pid_t pid);

/* `name` as execvp(3) finds it. 0; -ENOENT not found; -EACCES found, not executable. */
int procfs_find_program(const char *name, char *ret, size_t size);

#endif
