/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - where a process was put: its cgroup, and the container that the
 * cgroup is of.
 *
 * Container runtimes name the cgroup of a container after its id, 64 hex
 * digits: alone (cgroupfs driver: /docker/ID, /kubepods/…/podUID/ID), as a
 * systemd scope with the runtime's name in front (docker-ID.scope,
 * cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope), or behind a colon
 * (containerd with a systemd path: kubepods-….slice:cri-containerd:ID).  The
 * innermost one counts; podman puts a child "container" below its own.
 *
 * The kubelet puts the containers of a pod below one cgroup that is named after
 * the pod's uid: "podUID" (cgroupfs driver), or with '_' for '-' in a slice
 * (systemd driver: kubepods-burstable-podUID.slice, kubepods-podUID.slice).
 * A uid is that of RFC 4122, 36 characters; static pods have 32 hex digits, the
 * hash of their manifest.
 */
#ifndef SPANTAP_CGROUP_H
#define SPANTAP_CGROUP_H

#include <linux/types.h>

#include "../../bpf/events.h"
#include "base/arena.h"

#define CONTAINER_ID_LEN 64

/*
 * The path of the cgroup in its hierarchy, memory of `a`; "…" stands in front
 * of what is deeper than an exec record holds.  Absent when it is not known.
 */
struct slice cgroup_path(struct arena *a, const struct ev_exec *rec);
#define POD_UID_LEN 36

/* Fills ret with the pod's uid as the cluster spells it, and a NUL; empty when it is in none that is known. */
void cgroup_pod(const struct ev_exec *rec, char ret[POD_UID_LEN + 1]);
/* Fills ret with the container's id and a NUL; empty when it is in none that is known. */
void cgroup_container(const struct ev_exec *rec, char ret[CONTAINER_ID_LEN + 1]);

#endif
