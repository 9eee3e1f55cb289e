/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.h - which connections are worth their bytes (`--http llm`).
 *
 * A connection that carries no LLM traffic is left alone: the kernel side then
 * counts its bytes and copies none.  Said only on evidence, by host and never
 * by path:
 *
 *   no HTTP at all                        ignored for good
 *   standard input and output, no MCP     ignored for good, also without `--http llm`: else every process of the
 *                                         host would pay for its system calls (bpf/plain.bpf.c)
 *   HTTP/1, VERDICT_EXCHANGES whole       ignored; the kernel resumes it, with that very request, where the
 *   exchanges, none of them an LLM call   target ends like an LLM API's (llm/names.h)
 *   HTTP/2, VERDICT_HOST_EXCHANGES        ignored for good: header compression leaves no way back
 *   exchanges of its host
 *
 * What tools fetch (llm/http.h) is seen up to the verdict; what passes behind
 * it is counted with the host, and said on the span of the program.
 *
 * Never: on a connection that is older than the capture, on a host of an LLM
 * provider, on a host where any call was ever seen.  A host's first call makes
 * its ignored connections resume at their next request, whatever that is.
 *
 * A verdict holds only if no byte has passed since the one that it is based
 * on (the kernel side compares); else it is found anew after the next exchange.
 * Pure logic, no I/O.
 */
#ifndef SPANTAP_VERDICT_H
#define SPANTAP_VERDICT_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/map.h"
#include "proto/proto.h"
#include "../../bpf/state.h"

#define VERDICT_EXCHANGES      2
#define VERDICT_HOST_EXCHANGES 16
#define VERDICT_HOSTS_MAX      4096 /* hosts known; connections to others are never ignored */
#define VERDICT_SHOWN_MAX      128  /* hosts in the status: it has to fit into one message */

struct verdict_host;
struct verdicts;

/* What is known of one connection; belongs to the caller, zero-filled before verdict_open(). */
struct verdict_conn {
	const struct conn_info *info;
	struct verdict_host *host; /* NULL: not known yet, or no room for it */
	struct verdict_conn *prev, *next; /* of the same host */
	uint64_t produced[2];      /* bytes that were seen or are known to be lost */
	uint64_t ignored[2];
	unsigned exchanges, open;
	bool llm, http2, server, none, due;
	bool ignore; /* the latest verdict */
};

/*
 * `judge` hands a verdict to the kernel side; NULL: no verdicts are found, hosts
 * are only counted.  llm_only: not only those on standard input and output.
 */
struct verdicts *verdicts_new(void (*judge)(void *ctx, const struct verdict *v), void *ctx, bool llm_only);
void verdicts_free(struct verdicts *vs);

void verdict_open(struct verdicts *vs, struct verdict_conn *c, const struct conn_info *info);
void verdict_close(struct verdicts *vs, struct verdict_conn *c);
/* The server name that the client asks for. */
void verdict_name(struct verdicts *vs, struct verdict_conn *c, struct slice name);
/* The kernel's totals of the connection. */
void verdict_totals(struct verdicts *vs, struct verdict_conn *c, const struct ev_conn *rec);
void verdict_begin(struct verdicts *vs, struct verdict_conn *c, const struct exchange *x);
void verdict_end(struct verdicts *vs, struct verdict_conn *c, const struct exchange *x);
void verdict_llm(struct verdicts *vs, struct verdict_conn *c); /* an LLM call is on it */
void verdict_none(struct verdicts *vs, struct verdict_conn *c); /* no protocol that we know */
/* All bytes up to c->produced were parsed: gives the verdict that is due. */
void verdict_work(struct verdicts *vs, struct verdict_conn *c);

/* Adds "hosts":[{"host","requests","llm","ignored_written","ignored_read"}] (host null: those of no known host) and "more": N. */
void verdicts_json(const struct verdicts *vs, yyjson_mut_doc *doc, yyjson_mut_val *root);

#endif
