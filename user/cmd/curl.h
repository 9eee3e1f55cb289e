/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl.h - the request of a call as a shell command that sends it again.
 *
 * For sh and curl: the body comes from printf, a built-in of the shell, so that
 * its size has no limit.  What was masked in the URL and in header fields becomes
 * a variable, SPANTAP_AUTHORIZATION for the field "authorization"; the command
 * fails while it is not set.  No other variable is read: what the agent called
 * its fields cannot fetch anything out of the environment.
 *
 * Everything of the request stands in single quotes, bytes that a terminal may
 * obey as octal numbers.  curl adds no field of its own but those of the
 * connection; the body is sent as it was before it was compressed.
 */
#ifndef SPANTAP_CURL_H
#define SPANTAP_CURL_H

#include "span/span.h"

/*
 * Appends the command. `headers`: a line for each field, "name: value"; `body` as
 * it is to be sent.  False, and *ret_why (static text): there is none for this call.
 */
bool curl_write(struct buf *out, const struct span *call, struct slice headers, struct slice body,
                const char **ret_why);

#endif
