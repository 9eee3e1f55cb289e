/* SPDX-License-Identifier: Apache-2.0 */
/*
 * returns.h - every place at which a function returns.
 *
 * A place too many does no harm, one too few loses data silently; so both ways
 * of finding them refuse whenever they are not sure.
 */
#ifndef SPANTAP_RETURNS_H
#define SPANTAP_RETURNS_H

#include "target/insn.h"
#include "target/target.h"

struct returns {
	uint64_t at[TARGET_RETURNS_MAX]; /* virtual addresses */
	unsigned n;
};

/*
 * The `ret` instructions of the function at `start` (`size` 0: as long as
 * .eh_frame says), of its `.cold` parts, and of the functions that it ends
 * with a jump to.  `ret` is untouched unless TARGET_WHY_NONE is returned.
 */
enum target_why returns_within(struct decoder *d, const struct code *code, uint64_t start, uint64_t size,
                               struct returns *ret);

/*
 * The instructions behind all calls of the function at `start`: for functions
 * that are called by name only, from the same .text.  It does not matter then
 * how the function itself ends (OpenSSL's end with an indirect jump).
 */
enum target_why returns_behind_calls(struct decoder *d, const struct code *code, uint64_t start,
                                     struct returns *ret);

#endif
