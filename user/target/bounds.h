/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounds.h - where the function begins and ends that holds an instruction.
 *
 * .eh_frame says it (eh_frame.h).  Code that is never unwound has no record
 * there; its functions are told by how they begin and end: the nearest place
 * before that looks like a beginning (it keeps the frame pointer, or lies
 * behind padding), from which every instruction up to here follows, and nothing
 * on the way ends the function: a return or jump beyond which no branch from
 * within leads.
 */
#ifndef SPANTAP_BOUNDS_H
#define SPANTAP_BOUNDS_H

#include "target/insn.h"

#define BOUNDS_MAX 16384 /* bytes of a function without .eh_frame; SSL_read and its kin have 100 to 2,000 */

/* False: cannot be told, the outputs then mean nothing. */
bool bounds_find(struct decoder *d, const struct code *code, uint64_t at, uint64_t *ret_start,
                 uint64_t *ret_end);

#endif
