/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - yyjson values read as slices and numbers, "absent" kept apart.
 *
 * Documents are read with numbers left as text: what is written out again
 * (tool arguments, schemas) has every digit as it was sent.  The readers accept
 * any value, NULL included, and answer "absent" (LLM_NONE, NAN, { NULL, 0 })
 * when it is missing, null or of another type.  Slices point into the document.
 */
#ifndef SPANTAP_LLM_JSON_H
#define SPANTAP_LLM_JSON_H

#include <yyjson.h>

#include "base/arena.h"

/* NULL when the text is not JSON (or nothing but JSON). Ends with yyjson_doc_free(). */
yyjson_doc *json_read(struct slice text);

/*
 * The same without copying strings: `text` is copied into the arena, once, and
 * the strings of the document lie in that copy, so they outlive the document.
 */
yyjson_doc *json_read_into(struct arena *a, struct slice text);

struct slice json_str(yyjson_val *v);
int64_t json_int(yyjson_val *v); /* also 1.0 and 1e3; LLM_NONE when it is no whole number */
double json_num(yyjson_val *v);
struct slice json_raw(struct arena *a, yyjson_val *v); /* minified text in the arena, key order kept */

static inline yyjson_val *json_get(yyjson_val *object, const char *key)
{
	return yyjson_obj_get(object, key);
}

static inline struct slice json_get_str(yyjson_val *object, const char *key)
{
	return json_str(json_get(object, key));
}

static inline int64_t json_get_int(yyjson_val *object, const char *key)
{
	return json_int(json_get(object, key));
}

static inline double json_get_num(yyjson_val *object, const char *key)
{
	return json_num(json_get(object, key));
}

#endif
