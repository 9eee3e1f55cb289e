/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.h - what the model says, while it says it.
 *
 * A streamed answer arrives as pieces of blocks (text, reasoning, a tool call)
 * of choices.  Each block grows in its own buffer; answer_finish() turns them
 * into the call's output messages.  A response that comes as one JSON value
 * takes the same way.  Strings given in are copied.
 */
#ifndef SPANTAP_LLM_ANSWER_H
#define SPANTAP_LLM_ANSWER_H

#include "llm/llm.h"

#define ANSWER_CHOICES_MAX 128                 /* n of a request: OpenAI allows 128 */
#define ANSWER_ARENA_MAX   (3u * LLM_BODY_MAX) /* names, ids, reasons, and the request: a stream has no end */
#define ANSWER_BLOCKS_MAX  1024                /* of one choice; looked up by a scan */

struct answer_block {
	enum llm_part_kind kind;
	int64_t key;           /* the provider's index, or any number that tells blocks of a kind apart */
	struct slice id, name; /* in the call's arena */
	struct slice initial;  /* text when no piece of it follows */
	struct buf text;
	bool is_server;
	uint64_t bytes; /* LLM_MEDIA: length of the inline data */
};

struct answer_choice {
	int64_t index;
	struct slice finish_reason;
	struct answer_block *blocks;
	size_t n, cap;
};

struct answer {
	struct llm_call *call;
	const struct http_headers *headers; /* of the response; NULL where there are none */
	bool is_stream;
	struct answer_choice *choices; /* ordered by index */
	size_t n, cap;
	size_t bytes;           /* in all buffers */
	struct llm_usage usage; /* as reported, where the API needs a sum of it */
	uint64_t at;            /* when the value in hand came */
	bool carried;           /* content came since this was last reset */
	bool finished;          /* every choice gave its reason to stop */
	bool done;              /* the API's own end of stream was seen */
	bool cut;               /* a limit was reached, content was dropped */
	bool shed;              /* no content is taken any more */
};

void answer_init(struct answer *a, struct llm_call *call);
void answer_release(struct answer *a);

/* Found or added; NULL when full (a->cut is set then). Valid until the next one is added. */
struct answer_choice *answer_choice(struct answer *a, int64_t index);
struct answer_block *answer_find(struct answer_choice *c, enum llm_part_kind kind,
                                 int64_t key); /* the last such */
struct answer_block *answer_block(struct answer *a, struct answer_choice *c, enum llm_part_kind kind,
                                  int64_t key);
void answer_append(struct answer *a, struct answer_block *b, struct slice piece);
/* Found or added, appended; an empty piece does nothing. */
void answer_add(struct answer *a, int64_t index, enum llm_part_kind kind, int64_t key, struct slice piece);
void answer_stop(struct answer *a, int64_t index, struct slice reason);

#define ANSWER_TOKENS_MAX ((int64_t)1 << 50) /* a count beyond it is none; sums of counts cannot overflow */

/* Sets *field when `tokens` is a count: a later report overrides an earlier one, number by number. */
void answer_tokens(int64_t *field, int64_t tokens);

/* Whether the call's arena has room for `n` bytes more; if not, a->cut is set. */
bool answer_room(struct answer *a, size_t n);

/* Sets *field to a copy of `s` unless it is set or `s` is empty, or there is no room. */
void answer_once(struct answer *a, struct slice *field, struct slice s);

/* Memory is short: drops the content so far and what is still to come. */
void answer_shed(struct answer *a);

/* Writes the call's output and finish_reasons. */
void answer_finish(struct answer *a);

#endif
