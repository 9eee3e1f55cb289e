/* SPDX-License-Identifier: Apache-2.0 */
/* unsupported.h - TLS that spantap does not see, and why; a row each, for doctor, status and the alarm. */
#ifndef SPANTAP_UNSUPPORTED_H
#define SPANTAP_UNSUPPORTED_H

struct unsupported {
	const char *file; /* what the name of a file that does it begins with; NULL: no file tells */
	const char *what;
	const char *why;
};

extern const struct unsupported unsupported[]; /* ends with `what` NULL */

/* The row of a file by its name, without directories; NULL: there is none. */
const struct unsupported *unsupported_find(const char *name);

#endif
