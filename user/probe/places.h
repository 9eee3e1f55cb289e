/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.h - where TLS libraries lie before anybody maps them.
 *
 * The places where the dynamic linker looks, by the layout of each family of
 * distributions, and those beside a program that brings its own.
 */
#ifndef SPANTAP_PLACES_H
#define SPANTAP_PLACES_H

#include "probe/attach.h"

/*
 * Before CMD starts: attaches to its program `exe` (already found on the PATH;
 * through script interpreters, and to what env(1) in `argv` executes) and to
 * the libraries, for good, so that a short command is covered from its first
 * call.
 */
void places_attach(struct attacher *a, const char *exe, char *const *argv);

/* Only inspects the libraries: probes come when a followed process maps one, and others pay nothing until
 * then. */
void places_warm(struct attacher *a);

/* For `doctor`: every library, as the inspect role sees it. */
void places_report(void (*report)(void *ctx, const char *path, const struct target *t), void *ctx);

#endif
