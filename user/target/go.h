/* SPDX-License-Identifier: Apache-2.0 */
/*
 * go.h - crypto/tls in a Go program.
 *
 * Found by the program's own table of functions (gopclntab.h), which is there
 * when symbols are not.  Entries are probed at the conditional jump of the
 * stack check with which Go's compiler begins such functions: it is simulated,
 * and the arguments are still in their registers.  Where that is not found,
 * nothing is probed.  What is written is taken where the connection is locked,
 * before it is sent: at Write's return an answer might have come already.
 * Returns are probed at each `ret`: Go's runtime reads the
 * stack, and would stumble over the address that a return probe puts there.
 */
#ifndef SPANTAP_TARGET_GO_H
#define SPANTAP_TARGET_GO_H

#include "target/image.h"
#include "target/target.h"

/*
 * Whether the file is a Go program with crypto/tls. Then `t` has its `lib`,
 * `version`, and as virtual addresses where the probes go; or none, and why.
 */
bool go_inspect(struct image *image, struct target *t);

/* "go1.22.3" -> "1.22.3", into `ret`; false: no release. */
bool go_version(const char *p, size_t n, char ret[16]);

#endif
