/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a call is incomplete: what was lost on the way, what a limit dropped,
 * and what the peer never sent.
 */
#include "llm/pending.h"

const char *pending_lost(enum gap_cause cause, bool request)
{
	switch (cause) {
	case GAP_RING:
		return request ? "request bytes lost: ring full" : "response bytes lost: ring full";
	case GAP_UNREADABLE:
		return request ? "request bytes lost: memory not readable"
		               : "response bytes lost: memory not readable";
	case GAP_TOO_LONG:
		return request ? "request bytes lost: one call longer than this kernel can copy"
		               : "response bytes lost: one call longer than this kernel can copy";
	case GAP_CRASH:
		return request ? "request bytes lost: a record crashed the decoder"
		               : "response bytes lost: a record crashed the decoder";
	default:
		return request ? "request bytes lost: cause not known"
		               : "response bytes lost: cause not known";
	}
}

static const char *why_lost(const struct exchange *x, bool request)
{
	return !x->cause && x->why ? x->why : pending_lost(x->cause, request);
}

static const char *why_request(const struct pending *p)
{
	const struct exchange *x = p->x;

	if (p->by_shape)
		return "the request's path is not known: the API is told by the shape of its body";
	if (p->request_hole || x->damage & (DAMAGE_REQUEST_HEAD | DAMAGE_REQUEST_BODY))
		return why_lost(x, true);
	if (x->damage & DAMAGE_LATE)
		return "the connection is older than the capture: which answer belongs to which request is "
		       "not certain";
	if (p->request_cut)
		return "request body larger than the limit";
	if (!p->request_ended)
		return "request cut: the connection or the capture ended";
	if (!p->request_parsed && x->damage & DAMAGE_ENCODING)
		return "request body cannot be decoded";
	return p->request_parsed ? NULL : "request body is not JSON";
}

static const char *why_dropped(const struct pending *p)
{
	if (p->response_cut || p->answer.cut)
		return "response body larger than the limit";
	return framing_dropped(&p->framing) ? "response event damaged or larger than the limit" : NULL;
}

static const char *why_body(const struct pending *p)
{
	bool ok = p->x->status >= 200 && p->x->status < 300;

	if (why_dropped(p) || p->response_parsed)
		return why_dropped(p);
	if (p->unfinished && p->framing.form != FRAMING_SSE)
		return "response cut: the stream ended within a value";
	if (framing_streams(&p->framing))
		return p->answer.finished || p->call->error_type.p
		           ? NULL
		           : "response cut: the stream ended before its last event";
	if (!ok)
		return NULL;
	return p->call->response_bytes ? "response body is not JSON" : "response body is empty";
}

static const char *why_response(const struct pending *p)
{
	const struct exchange *x = p->x;

	/* A head after a hole may be that of another request. */
	if (p->response_hole || x->damage & DAMAGE_RESPONSE_HEAD)
		return why_lost(x, false);
	if (p->answer.done ||
	    (p->response_parsed && x->response_end)) /* nothing that mattered came after it */
		return why_dropped(p);
	if (x->damage & DAMAGE_RESPONSE_BODY)
		return why_lost(x, false);
	if (x->damage & DAMAGE_SYNTAX)
		return x->why ? x->why : "response is not valid HTTP";
	if (x->damage & DAMAGE_ENCODING && p->request_parsed)
		return "response body cannot be decoded";
	if (!x->status)
		return "no response: the connection or the capture ended";
	if (x->damage & DAMAGE_CUT)
		return "response cut: the connection or the capture ended";
	return why_body(p);
}

const char *pending_damage(const struct pending *p)
{
	const char *why = why_request(p);

	return why ? why : why_response(p);
}
