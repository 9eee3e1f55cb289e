/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links.h - the links of messages that come again (conversation.h), by the messages' ids.
 *
 * A place for each hash; the latest message has it.
 */
#ifndef SPANTAP_LINKS_H
#define SPANTAP_LINKS_H

#include "llm/llm.h"
#include "span/ids.h"

#define LINKS_MAX       16384 /* messages, and at most 4 MiB with what they hold */
#define LINKS_PARTS_MAX 16    /* of a message; of one with more they are made again */

struct links {
	struct message_links {
		struct keyed_hash id;
		struct link *v; /* NULL: the place is free */
	} places[LINKS_MAX];
};

struct links *links_new(void);
void links_free(struct links *l); /* accepts NULL */
/* One for each of a message's parts that counts; NULL when they are not known (`l` may be NULL). */
const struct link *links_get(const struct links *l, const struct llm_message *m);
void links_put(struct links *l, const struct llm_message *m, const struct link *v, size_t n);

#endif
