/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_text.h - bytes as JSON strings in a document under construction.
 * The document keeps a copy.
 */
#ifndef SPANTAP_JSON_TEXT_H
#define SPANTAP_JSON_TEXT_H

#include <yyjson.h>

#include "base/slice.h"

/* A string of valid UTF-8: what is not becomes U+FFFD. */
yyjson_mut_val *json_text(yyjson_mut_doc *d, struct slice s);
/* A string of lower-case hexadecimal digits. */
yyjson_mut_val *json_hex(yyjson_mut_doc *d, const void *p, size_t n);

#endif
