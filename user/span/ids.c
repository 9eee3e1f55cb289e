/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "llm/http.h"
#include "llm/mcp.h"
#include "span/ids.h"

#define BYTES(x) slice_of(&(x), sizeof(x))

/* All zero means "no parent" and "no id" to everyone downstream. */
static struct span_id cut(struct hash h)
{
	static const struct span_id none;
	struct span_id id;

	memcpy(id.b, h.b, sizeof(id.b));
	if (memcmp(&id, &none, sizeof(id)) == 0)
		id.b[0] = 1;
	return id;
}

bool id_none(struct span_id id)
{
	static const struct span_id none;

	return memcmp(&id, &none, sizeof(id)) == 0;
}

bool id_eq(struct span_id a, struct span_id b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

struct span_id id_chat(const uint8_t instance[16], const struct llm_call *call)
{
	const struct ev_conn_id *conn = &call->conn.id;

	return cut(HASH(slice_of(instance, 16), SLICE("chat"), BYTES(conn->tls), BYTES(conn->gen),
	                BYTES(conn->proc.start), BYTES(conn->proc.tgid), BYTES(call->stream_id),
	                BYTES(call->request_offset)));
}

struct span_id id_process(const uint8_t instance[16], const struct ev_proc *proc, uint64_t ts)
{
	return cut(
	    HASH(slice_of(instance, 16), SLICE("process"), BYTES(proc->start), BYTES(proc->tgid), BYTES(ts)));
}

struct span_id id_mcp(const uint8_t instance[16], const struct mcp_request *m)
{
	const struct ev_conn_id *conn = &m->conn.id;

	return cut(HASH(slice_of(instance, 16), SLICE("mcp"), BYTES(conn->tls), BYTES(conn->gen),
	                BYTES(conn->proc.start), BYTES(conn->proc.tgid), BYTES(m->stream_id),
	                BYTES(m->request_offset), BYTES(m->from_server), m->id, m->method, BYTES(m->end)));
}

struct span_id id_http(const uint8_t instance[16], const struct http_request *r)
{
	const struct ev_conn_id *conn = &r->conn.id;

	return cut(HASH(slice_of(instance, 16), SLICE("http"), BYTES(conn->tls), BYTES(conn->gen),
	                BYTES(conn->proc.start), BYTES(conn->proc.tgid), BYTES(r->stream_id),
	                BYTES(r->request_offset)));
}

struct span_id id_tool(const struct span_id *chat, uint64_t index)
{
	return cut(HASH(BYTES(chat->b), SLICE("tool"), BYTES(index)));
}

struct span_id id_turn(const struct span_id *first_chat)
{
	return cut(HASH(BYTES(first_chat->b), SLICE("turn")));
}

struct span_id id_conversation(const struct span_id *first_chat)
{
	return cut(HASH(BYTES(first_chat->b), SLICE("conversation")));
}

struct trace_id id_trace(const struct span_id *first_chat)
{
	struct hash h = HASH(BYTES(first_chat->b), SLICE("trace"));
	struct trace_id id;

	memcpy(id.b, h.b, sizeof(id.b));
	return id;
}
