/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refs.h - which instructions form the address of something.
 *
 * One pass over the whole code of a file, piece by piece: 0.3 s for the 245 MB
 * of the largest program seen.  x86-64 forms an address relative to the
 * instruction (lea), or, in programs that cannot be moved, as a constant
 * (mov); arm64 with adrp and the add behind it.
 */
#ifndef SPANTAP_REFS_H
#define SPANTAP_REFS_H

#include "target/insn.h"

#define REFS_MAX 4096 /* BoringSSL's ssl_lib.cc has 31 to 200 */

struct refs {
	struct insn_ref *v; /* ours, by `at` */
	size_t n;
	bool cut; /* there are more than REFS_MAX */
};

/* Those that form a wanted address. `ret` is to be released in any case. */
void refs_find(const struct code *code, const struct insn_machine *m, const struct insn_wanted *wanted,
               struct refs *ret);
void refs_release(struct refs *refs);

#endif
