/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - what an API says in the path of its requests.
 *
 * Several APIs name the model, the collection or the operation there rather
 * than in the body.  Paths are taken as they were sent: segments may be
 * percent-encoded (RFC 3986, section 2.1), as Bedrock's clients do with the
 * colons and slashes of an ARN.
 */
#ifndef SPANTAP_LLM_PATH_H
#define SPANTAP_LLM_PATH_H

#include "base/arena.h"

/*
 * What stands behind the last `before` and in front of the next byte of `stops`
 * (or the end), decoded, in the arena.  Absent when `before` is not there, or
 * nothing follows it.
 */
struct slice path_after(struct arena *a, struct slice path, struct slice before, const char *stops);

#endif
