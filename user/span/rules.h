/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - how much is kept of what was said, by where it went and who said it.
 *
 *   host:api.example.com content:none
 *   agent:codex model:gpt-* content:shape
 *
 * A rule is words WHAT:PATTERN with blanks between them, all of which have to
 * match, and one content:LEVEL.  Patterns are those of fnmatch(3), in any case:
 *
 *   host       server.address or the name that TLS asks for
 *   agent      gen_ai.agent.name          provider   gen_ai.provider.name
 *   model      gen_ai.request.model or gen_ai.response.model
 *   container  container.id
 *
 * Of several rules that match, the lowest level counts.  A rule never keeps
 * more than --content does.
 *
 * Because a conversation resends what was said before, and its tools and turns
 * repeat it, a span that a rule matches lowers the spans behind it in its trace
 * too, in this run.  Applied to a finished span before it is written anywhere;
 * what is lowered has the attribute spantap.content.level.
 */
#ifndef SPANTAP_RULES_H
#define SPANTAP_RULES_H

#include "span/content.h"

#define RULES_MAX        64
#define RULE_TEXT_MAX    512
#define RULES_TRACES_MAX 65536 /* remembered as lowered, at least; each takes about 100 bytes */

struct rules;

/* Rules in lines. NULL: *ret_error says what is wrong with the first that is (one line). */
struct rules *rules_new(struct slice lines, struct buf *ret_error);
/* The level for a span that was made at `made`: not above it.  To be asked of every span, in their order. */
enum content_level rules_level(struct rules *r, const struct span *s, enum content_level made);
/* Lowers it, and says so on it. */
void rules_lower(struct rules *r, struct span *s, enum content_level level, enum content_level made);
void rules_free(struct rules *r); /* accepts NULL */

#endif
