/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook.h - the process that tells a URL of alerts.
 *
 * It sees on the board (metrics/board.h) that a rule has begun to hold, or
 * does so no longer, and POSTs for each
 *
 *   {"source": "spantap", "version": …, "host": …, "rule": "error_rate>20% for 5m",
 *    "state": "firing" or "resolved", "value": 0.34 or null, "at": "2026-11-25T21:00:00Z"}
 *
 * and nothing that was said in a conversation.  What is not taken (2xx) is
 * tried WEBHOOK_TRIES times with growing pauses, then given up, said so; what
 * waits meanwhile is bounded, the oldest is given up first.
 */
#ifndef SPANTAP_WEBHOOK_H
#define SPANTAP_WEBHOOK_H

#define WEBHOOK_TRIES      6 /* 1, 2, 4, 8, 16 s between them */
#define WEBHOOK_WAITING    64
#define WEBHOOK_TIMEOUT_MS 10000

/* MSG_CONF: export_conf_encode(). Descriptor: the board, for reading. */
int webhook_main(void);

#endif
