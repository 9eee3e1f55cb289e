/* SPDX-License-Identifier: Apache-2.0 */
/*
 * features.h - what this kernel and this user can do, for `doctor` and for
 * refusing early with the reason.
 */
#ifndef SPANTAP_FEATURES_H
#define SPANTAP_FEATURES_H

#include "base/buf.h"

enum feature_need {
	FEATURE_REQUIRED, /* without it nothing is captured */
	FEATURE_OPTIONAL, /* without it something is slower or cut; `without` says what */
};

struct feature {
	const char *name;
	enum feature_need need;
	const char *since;   /* kernel release that brought it, with the commit */
	const char *without; /* what does not work without it, and what to do */
	/* 1: there, 0: not there, -errno: could not be found out. ret_detail: more words, may stay empty. */
	int (*probe)(struct buf *ret_detail);
};

extern const struct feature features[]; /* ends with name NULL */

/* Whether this process may capture. Else ret_why names what is missing and the remedy. */
bool features_capable(struct buf *ret_why);

#endif
