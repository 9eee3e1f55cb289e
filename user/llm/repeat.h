/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeat.h - messages that an earlier request had are not parsed again.
 *
 * Where a row of the table reads each element of a list into one message of
 * call->input, whatever stands around it (llm_api.messages), an element with
 * the bytes of one that was read before is cut out of the text that is parsed,
 * and its message is put where it was.  Nothing else is assumed: not that
 * requests belong together, nor that a prefix is repeated.
 *
 * The last element is always parsed, so that a body whose messages the row
 * does not find where they are found here shows it: by how many come out.
 */
#ifndef SPANTAP_LLM_REPEAT_H
#define SPANTAP_LLM_REPEAT_H

#include <sys/queue.h>

#include "base/map.h"
#include "llm/llm.h"

#define REPEAT_BYTES_MAX (64u << 20) /* of messages kept; then those not used for longest are forgotten */
#define REPEAT_MIN       512         /* bytes of an element; shorter ones are parsed as fast as found */

struct repeated; /* a message with its strings, shared by the calls that have it */

struct repeats {
	struct map map;
	TAILQ_HEAD(repeated_list, repeated) lru;
	size_t bytes;
};

void repeats_init(struct repeats *r);
void repeats_release(struct repeats *r);

/* How the elements of `list` become messages. */
struct repeat {
	size_t first, n; /* call->pieces.v[first .. first + n) are the list's */
	size_t n_known;
	struct keyed_hash *ids;  /* [n] */
	struct repeated **known; /* [n], NULL: to be parsed. What is there is the call's from now on */
};

/* Which elements are known; memory of the call. `api` and `list` are static text, list NULL: none is. */
struct repeat repeat_find(struct repeats *r, struct llm_call *call, const char *api, const char *list);
/* Appends the body without them. */
void repeat_cut(const struct repeat *rep, const struct llm_call *call, struct slice body, struct buf *out);
/* Puts their messages between those that were read; false: these are not one for each other element. */
bool repeat_join(struct repeats *r, const struct repeat *rep, struct llm_call *call);

void repeat_unref(struct repeated *m);

#endif
