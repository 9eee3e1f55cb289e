/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - the objects that ls --json and show --json print.  Keys are stable:
 * they are added to, never renamed.  What is not known is null.
 */
#ifndef SPANTAP_CMD_JSON_H
#define SPANTAP_CMD_JSON_H

#include <yyjson.h>

#include "store/store.h"

yyjson_mut_val *json_conversation(yyjson_mut_doc *d, const struct store_conversation *c);
yyjson_mut_val *json_span(yyjson_mut_doc *d, const struct span *s);
/* Appends `root` indented, and frees the document. */
void json_write(struct buf *out, yyjson_mut_doc *d, yyjson_mut_val *root);

#endif
