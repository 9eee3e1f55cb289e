/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h - what of a configuration may change while spantap records.
 *
 * What may: the rules of the selection, the endpoints with all that belongs to
 * them, retention, --verbose.  What may not is what spans in the making were
 * promised (--content, --redact, --rule, --join-traces), what is open (--store,
 * --otlp-file, --output, --record), and what the kernel side was loaded with
 * (--http, --no-uretprobe), nor what is counted and where it is told (--metrics,
 * --alert, --alert-webhook, --otlp-metrics): that stays as it was, and is named.
 */
#ifndef SPANTAP_RELOAD_H
#define SPANTAP_RELOAD_H

#include "daemon/daemon.h"

/* Appends the names of the options that differ and stay as they are in `now`: "--store, --content". How many.
 */
size_t reload_fixed(const struct capture *now, const struct capture *next, struct buf *out);

#endif
