/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods.h - names of Kubernetes pods by their uid, without the API server.
 *
 * The kubelet keeps the logs of each pod of its node in a directory
 * NAMESPACE_NAME_UID below PODS_DIR; neither namespace nor name has a '_' in it
 * (RFC 1123 labels).  Where that directory is not there, or not mounted into
 * our container, names stay unknown.  A pod that is not found is looked for
 * again after PODS_AGAIN_NS: its directory is made about when it starts.
 */
#ifndef SPANTAP_PODS_H
#define SPANTAP_PODS_H

#include "span/span.h"

#define PODS_DIR         "/var/log/pods"
#define PODS_MAX         4096  /* remembered; then all are forgotten. A node has 110 at a time by default */
#define PODS_ENTRIES_MAX 65536 /* of the directory, looked at in one go */
#define PODS_AGAIN_NS    10000000000ull

struct pods;

struct pods *pods_new(const char *dir);
/* Adds k8s.pod.name and k8s.namespace.name to a span that has k8s.pod.uid, if they are known. `now`: boot ns.
 */
void pods_name(struct pods *p, struct span *s, uint64_t now);
void pods_free(struct pods *p); /* accepts NULL */

#endif
