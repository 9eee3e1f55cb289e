/* SPDX-License-Identifier: Apache-2.0 */
/* call_ref.h - calls as people name them: ID#N, call N of the tree that `show ID` prints. */
#ifndef SPANTAP_CALL_REF_H
#define SPANTAP_CALL_REF_H

#include "cmd/cmd.h"
#include "store/store.h"

struct call_ref {
	struct slice id; /* the beginning of a conversation's id; borrowed */
	uint64_t number; /* from 1; 0: none was given */
};

/* False: a number is there and is none. */
bool call_ref_parse(const char *s, struct call_ref *ret);

/* Call `number` of these spans of one conversation in the order of their start; NULL when there are fewer. */
const struct span *call_ref_find(const struct span *v, size_t n, uint64_t number);

#endif
