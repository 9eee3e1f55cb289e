/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - what a capture tells the service manager that started it.
 *
 * The protocol is that of sd_notify(3) and sd_watchdog_enabled(3) of systemd,
 * which promise that it is stable: datagrams of lines KEY=VALUE to the UNIX
 * socket that $NOTIFY_SOCKET names ('@': an abstract one).  Sent are READY=1,
 * RELOADING=1 with MONOTONIC_USEC= (CLOCK_MONOTONIC, as systemd 253 asks for),
 * STOPPING=1, STATUS= and WATCHDOG=1; the last one several times in each
 * $WATCHDOG_USEC, when $WATCHDOG_PID is us or absent.
 *
 * Without such a socket there is nobody to tell: service_new() gives NULL, which
 * all functions accept.  What cannot be sent is not sent: capture does not
 * depend on it.
 */
#ifndef SPANTAP_SERVICE_H
#define SPANTAP_SERVICE_H

struct service;

/* Takes the variables out of the environment: they are not for our children. */
struct service *service_new(void);
void service_ready(struct service *s, const char *status);
void service_reloading(struct service *s);
void service_stopping(struct service *s, const char *status);
/* One line for people; sent only when it differs from the last one. */
void service_status(struct service *s, const char *status);
/* Everything works, at this moment; sent as often as the watchdog needs it. */
void service_alive(struct service *s);
void service_free(struct service *s); /* accepts NULL */

#endif
