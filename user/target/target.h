/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - where in a file the probes go.
 *
 * Files that a traced process maps are hostile input: target_inspect() runs in
 * the jail of the inspect role and reads only the descriptor it is given.  A
 * TLS library is a row of the table in libs.c.
 */
#ifndef SPANTAP_TARGET_H
#define SPANTAP_TARGET_H

#include <stdint.h>

/* What to listen to; the programs of bpf/tls.bpf.c, in this order. */
enum target_func {
	TARGET_WRITE,
	TARGET_WRITE_EX,
	TARGET_READ,
	TARGET_READ_EX,
	TARGET_FREE,
	TARGET_FUNCS
};

struct target {
	int32_t err;                     /* 0, or -errno: the file could not be read as ELF */
	uint32_t lib;                    /* enum ev_lib; EV_LIB_UNKNOWN: nothing to probe in this file */
	uint64_t offset[TARGET_FUNCS];   /* file offset of the function; 0: not there */
	char build_id[41];               /* hexadecimal, "" when the file has none */
};

void target_inspect(int fd, struct target *ret);

#endif
