/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row.h - what the terminal keeps of a span, and the order of the rows.
 * Private to tree.c, waterfall.c and row.c.
 */
#ifndef SPANTAP_ROW_H
#define SPANTAP_ROW_H

#include "span/span.h"

#define ROW_TEXT_MAX 800 /* bytes kept of any text: more than the widest line shows */

struct row {
	uint8_t trace[16], id[8], parent[8];
	enum span_kind kind;
	enum span_status status;
	uint64_t start, end;
	struct slice
	    label; /* chat: model; tool: its name; process: its executable; turn, conversation: agent */
	struct slice asked;     /* chat, turn: what the user said */
	struct slice text;      /* chat: the answer; tool: arguments; process: argv; http: the URL */
	struct slice operation; /* chat: which one */
	struct slice finish, why, evidence, error, conversation, call_kind;
	int64_t input, output, cache_read, pid, exit_code, exit_signal, turn_index; /* LLM_NONE: unknown */
	int64_t http_status; /* http: LLM_NONE: no answer */
	int64_t lost_bytes;                                                         /* LLM_NONE: not said */
	bool speaks; /* chat: it is asked for words; else tokens need not be counted */
	double first_token, confidence, cpu_time; /* NAN: unknown */
	double tool_started; /* s after it was asked for; NAN: unknown */
	bool incomplete, joined_late;

	size_t call_number;       /* chat: from 1, in the order of their start within the conversation */
	struct row *child, *next; /* in order of their start */
	bool placed;              /* it stands in the tree already */
};

/* Fills a row; texts are cut and copied to `a`. */
void row_read(struct row *r, const struct span *s, struct arena *a);

/*
 * Sorts v[] by start and links children to parents. Returns in *ret_roots an
 * array, from `a`, of the rows that have none: no parent, one that was not
 * seen, or one that is its own descendant.
 */
void rows_link(struct row *v, size_t n, struct arena *a, struct row ***ret_roots, size_t *ret_n);

#endif
