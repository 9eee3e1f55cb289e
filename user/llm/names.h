/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPANTAP_LLM_NAMES_H
#define SPANTAP_LLM_NAMES_H

/*
 * The last segments ('/' or ':' before them) of the request targets of every
 * API that spantap reads.  The kernel side looks at nothing else of a request
 * on a connection that is ignored: one of these resumes it.  Ends with NULL.
 */
extern const char *const llm_target_names[];

#endif
