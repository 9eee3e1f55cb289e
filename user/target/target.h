/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - where in a file the probes go.
 *
 * Files that a traced process maps are hostile input: target_inspect() runs in
 * the jail of the inspect role and reads only the descriptor it is given.  A
 * TLS library is a row of the table in libs.c; site.c moves the probes to
 * instructions that cost the traced process little.
 */
#ifndef SPANTAP_TARGET_H
#define SPANTAP_TARGET_H

#include <stdbool.h>
#include <stdint.h>

/* What to listen to; each has its program in bpf/tls.bpf.c. */
enum target_func {
	TARGET_WRITE,     /* (tls, buf, num): the return value is the number of bytes */
	TARGET_WRITE_EX,  /* (tls, buf, num, *n) */
	TARGET_WRITE_EX2, /* (tls, buf, num, flags, *n) */
	TARGET_READ,
	TARGET_READ_EX,
	TARGET_NEW,
	TARGET_FREE,
	TARGET_FUNCS
};

struct target {
	int32_t err;                   /* 0, or -errno: the file could not be read as ELF */
	uint32_t lib;                  /* enum ev_lib; EV_LIB_UNKNOWN: nothing to probe in this file */
	uint64_t offset[TARGET_FUNCS]; /* file offset of the probe; 0: none */
	uint32_t internal;             /* the probes sit on the functions that SSL_write, SSL_write_ex (…) share */
	uint32_t slow;                 /* bit 1 << enum target_func: the instruction there is single-stepped */
	char build_id[41];             /* hexadecimal, "" when the file has none */
};

void target_inspect(int fd, struct target *ret);

/* Whether reads and writes pay for single-stepping; of the public forms the plain ones count, most programs use them. */
static inline bool target_is_slow(const struct target *t)
{
	uint32_t used = t->offset[TARGET_WRITE] ? 1u << TARGET_WRITE | 1u << TARGET_READ : ~(1u << TARGET_NEW | 1u << TARGET_FREE);

	return t->slow & used;
}

#endif
