/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemini.h - what the rows of Google's APIs share.
 *
 * The Gemini API (generativelanguage.googleapis.com) and Vertex AI
 * (aiplatform.googleapis.com) speak JSON made from the same protocol buffers.
 * Such servers accept each field in lowerCamelCase and in snake_case, and
 * clients send both.  The model and the method are the end of the path:
 * …/models/MODEL:METHOD.
 */
#ifndef SPANTAP_LLM_GEMINI_H
#define SPANTAP_LLM_GEMINI_H

#include "llm/answer.h"
#include "llm/apis.h"
#include "llm/call.h"

/* A field by its lowerCamelCase name, in either spelling. */
yyjson_val *gemini_get(yyjson_val *object, const char *name);

/*
 * What a part says. Texts, names and URIs point into the document, what is
 * written out as JSON lies in the arena.  A part that is nothing but a thought's
 * signature is an empty text.
 */
struct llm_part gemini_part(struct arena *a, yyjson_val *v);

/* The parts of a Content (or of a bare string) become those of a message. */
void gemini_content(struct llm_call *call, struct llm_message *m, yyjson_val *content);

/* The model of the path; under /publishers/ it is Vertex AI that is asked, whatever the host. */
void gemini_path(struct llm_call *call, const struct api_target *t);

/* google.rpc.Status under "error", also as the only element of an array. */
void gemini_error(struct answer *a, yyjson_val *body);

#endif
