/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages.h - reading back the message JSON that spans carry.
 *
 * gen_ai.input.messages and gen_ai.output.messages are arrays of
 * {"role", "parts": [{"type", "content" …}], "finish_reason"};
 * gen_ai.system_instructions is an array of parts.  Anything that does not
 * have this shape reads as nothing: the text may be cut or reduced.
 */
#ifndef SPANTAP_MESSAGES_H
#define SPANTAP_MESSAGES_H

#include "base/buf.h"

/*
 * Appends at most `max` bytes of what the user said last: the last message of
 * role "user" that has text, of its texts the first that an agent did not put
 * there (they begin with a tag such as <system-reminder>).
 */
void messages_user_text(struct buf *out, struct slice json, size_t max);

/* Appends at most `max` bytes of the text of the first message: the answer. */
void messages_answer(struct buf *out, struct slice json, size_t max);

/*
 * One part as lines of text: what kind it is, then its content in full.
 * Raw: the caller escapes.
 */
struct messages_events {
	void (*message)(void *ctx, struct slice role, struct slice finish_reason);
	void (*part)(void *ctx, struct slice type, struct slice label, struct slice content);
};

/* Walks messages, or the parts of a system instruction; false when `json` is not of this shape. */
bool messages_walk(struct slice json, const struct messages_events *ev, void *ctx);

/* `s` cut to `max` bytes, not inside a UTF-8 character. */
struct slice messages_cut(struct slice s, size_t max);

#endif
