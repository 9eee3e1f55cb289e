/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multipart.h - a multipart/form-data body (RFC 7578) as a JSON object.
 *
 * Each field is a member under its name: a number, true or false where its
 * text is one, else a string; a file is {"filename", "type", "bytes"} without
 * its content.  A name that comes again (also as "name[]") makes an array.  So
 * that APIs that take forms and JSON read both with the same code.
 */
#ifndef SPANTAP_MULTIPART_H
#define SPANTAP_MULTIPART_H

#include "llm/json.h"

#define MULTIPART_FIELDS_MAX 1024       /* of one body; further ones are left out */
#define MULTIPART_VALUE_MAX  (1u << 20) /* bytes of a field that is no file; a longer one is cut */

bool multipart_is(struct slice content_type);
/* NULL when the body is no whole form. The document's strings live in the arena. */
yyjson_doc *multipart_read(struct arena *a, struct slice content_type, struct slice body);

#endif
