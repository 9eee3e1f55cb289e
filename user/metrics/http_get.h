/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_get.h - the request side of the smallest HTTP/1.1 server: GET or HEAD
 * of one path, the head parsed by llhttp, nothing of a body read (RFC 9112).
 *
 * Any cut of the input gives the same result.  No memory is taken: what is
 * kept of a head has its place in the structure, the rest is only counted.
 */
#ifndef SPANTAP_HTTP_GET_H
#define SPANTAP_HTTP_GET_H

#include <llhttp.h>

#include "metrics/openmetrics.h"

#define HTTP_GET_PATH     "/metrics"
#define HTTP_GET_HEAD_MAX 8192 /* bytes of a head: Prometheus sends about 400 */

struct http_get {
	llhttp_t parser;
	char path[64];    /* of the target, without its query; a longer one is none of ours */
	char accept[512]; /* of the first such field that fits */
	char name[8];     /* of the field in work; a longer one is none of ours */
	size_t path_len, accept_len, name_len, total;
	bool in_value, is_accept, done;
	int status; /* of the answer, once done */
};

void http_get_init(struct http_get *g);
/* True: the head is complete, or no such can come any more; g->status says which, further input changes
 * nothing. */
bool http_get_feed(struct http_get *g, struct slice in);
bool http_get_is_head(const struct http_get *g);
enum metrics_format http_get_format(const struct http_get *g);
/* The head of the answer to it, for a body of `length` bytes. */
void http_get_answer(struct buf *out, int status, const char *type, size_t length);

#endif
