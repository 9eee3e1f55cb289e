/* SPDX-License-Identifier: Apache-2.0 */
/*
 * emit.h - what all final spans have in common; private to emit.c (conversations,
 * turns, tools, processes), emit_call.c (LLM calls), emit_mcp.c and emit_http.c.
 *
 * A span is begun, filled and ended; ending it hands it downstream and frees
 * it.  Text that came from traffic passes through content.h.
 */
#ifndef SPANTAP_EMIT_H
#define SPANTAP_EMIT_H

#include "span/assembler.h"

struct span emit_begin(struct spans *sp, enum span_kind kind, struct span_id id, struct trace_id trace,
                       struct span_id parent);
void emit_end(struct spans *sp, struct span *s, uint64_t start, uint64_t end);
/* "`what` `of`", or `what` alone. */
void emit_set_name(struct spans *sp, struct span *s, const char *what, struct slice of);
/* Text from traffic that is no content. */
void emit_set_label(struct spans *sp, struct span *s, enum attr_key key, struct slice text);
void emit_set_strs(struct spans *sp, struct span *s, enum attr_key key, const struct slice *v, size_t n);
void emit_set_id(struct span *s, enum attr_key key, struct span_id id);
void emit_set_count(struct span *s, enum attr_key key, int64_t v); /* LLM_NONE is not set */
void emit_set_usage(struct span *s, const struct llm_usage *u);
void emit_set_place(struct span *s, const struct process *p); /* container and pod, where they are known */
void emit_set_conversation(struct spans *sp, struct span *s, const struct conversation *c);
void emit_set_reason(struct span *s, const char *reason); /* NULL: nothing is missing */
void emit_set_why(struct span *s, struct link_reason why);
/* The client's own span, where it sent one along. */
void emit_set_traceparent(struct span *s, struct slice header);
void emit_set_error(struct spans *sp, struct span *s, struct slice type, struct slice message);
/* Where the connection led: the peer's address, and the name that the client asked for where it is another.
 */
/* network.transport: tcp, unix, pipe. */
struct slice emit_transport(const struct conn_info *conn);
void emit_set_peer(struct spans *sp, struct span *s, const struct conn_info *conn,
                   struct slice server_address, int64_t server_port);
/* network.protocol.name and .version, of "h2" and the like; the library that encrypted, and whether it was joined late. */
void emit_set_protocol(struct span *s, struct slice protocol);
void emit_set_library(struct span *s, const struct conn_info *conn);
double emit_seconds(uint64_t from, uint64_t to);

#endif
