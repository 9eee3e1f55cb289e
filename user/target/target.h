/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - where in a file the probes go.
 *
 * Files that a traced process maps are hostile input: target_inspect() runs in
 * the jail of the inspect role and reads only the descriptor it is given.  A
 * TLS library is a row of the table in libs.c; site.c moves the probes to
 * instructions that cost the traced process little; returns.c finds where the
 * functions return, for hosts on which return probes would harm the traced
 * process.
 */
#ifndef SPANTAP_TARGET_H
#define SPANTAP_TARGET_H

#include <stdbool.h>
#include <stdint.h>

/* What to listen to; each has its program in bpf/tls.bpf.c, those of Go in bpf/tls_go.bpf.c, of rustls in
   bpf/tls_rustls.bpf.c. */
enum target_func {
	TARGET_WRITE,     /* (tls, buf, num): the return value is the number of bytes */
	TARGET_WRITE_EX,  /* (tls, buf, num, *n) */
	TARGET_WRITE_EX2, /* (tls, buf, num, flags, *n) */
	TARGET_WRITE2,    /* as TARGET_WRITE: some libraries have two */
	TARGET_WRITE_RECORD, /* Go: (tls, type, buf, num), entry only: what it does not pass ends the connection */
	TARGET_RUSTLS_SEND,    /* (state, chunks, …): the return value is the number of bytes; tls_rustls.bpf.c */
	TARGET_RUSTLS_ENCRYPT, /* (place for the result, state, message), entry only */
	TARGET_READ,
	TARGET_READ_EX,
	TARGET_READ2,
	TARGET_READ_FLAGS, /* (tls, buf, num, flags): with flag 2, PR_MSG_PEEK, it takes nothing */
	TARGET_RUSTLS_CONSUME, /* (reader, n), entry only */
	TARGET_FLUSH, /* (tls): writes what earlier writes have left, and may call them for it */
	TARGET_INIT,  /* (*tls): makes an object, the return value is 0 */
	TARGET_NEW,   /* the return value is the object */
	TARGET_FREE,
	TARGET_CTRL, /* OpenSSL: (tls, cmd, larg, parg), entry only; cmd 55, SSL_CTRL_SET_TLSEXT_HOSTNAME:
	                parg is the server's name */
	TARGET_SNI,  /* (tls, name), entry only */
	TARGET_CLEAR,  /* (tls), entry only: the object will carry another connection */
	TARGET_BEGIN,  /* (tls), entry only: from here on it carries a connection */
	TARGET_BEGIN2, /* the same of servers */
	TARGET_HANDSHAKE, /* (tls), entry only: an object that is new, or has passed plaintext, carries another
	                     connection */
	TARGET_FUNCS
};

/* Functions that data passes through are those before TARGET_FLUSH: writes, then reads. */
static inline bool target_writes(int f)
{
	return f < TARGET_READ;
}

static inline bool target_reads(int f)
{
	return f >= TARGET_READ && f < TARGET_FLUSH;
}

#define TARGET_RETURNS_MAX 32 /* places at which one function returns; the largest seen has 7 */

/* Why something is not better than it is; target_why_text() says it in words. */
enum target_why {
	TARGET_WHY_NONE,
	/* the probes sit on the public symbols because … */
	TARGET_WHY_NO_TEXT,
	TARGET_WHY_MACHINE,
	TARGET_WHY_NO_COMMON,
	TARGET_WHY_ARGUMENTS,
	TARGET_WHY_VERSION_UNKNOWN,
	TARGET_WHY_VERSION_DISAGREES,
	TARGET_WHY_COMMON_STEPPED,
	TARGET_WHY_ONE_FORM,
	TARGET_WHY_RET_STEPPED,
	/* it cannot be told where a function returns because … */
	TARGET_WHY_NO_EXTENT,
	TARGET_WHY_TOO_LONG,
	TARGET_WHY_UNDECODED,
	TARGET_WHY_MISALIGNED,
	TARGET_WHY_INDIRECT,
	TARGET_WHY_TAIL_PLT,
	TARGET_WHY_TOO_DEEP,
	TARGET_WHY_TOO_MANY,
	TARGET_WHY_NO_RETURN,
	TARGET_WHY_REFERENCED,
	/* nothing is probed because … */
	TARGET_WHY_STACK_ARGUMENTS,
	TARGET_WHY_NO_PROLOGUE,
	TARGET_WHY_NO_METHODS,
	/* a library without symbols is there, but … */
	TARGET_WHY_NOT_FOUND,
	TARGET_WHY_SEVERAL,
	TARGET_WHY_ANOTHER,
	TARGET_WHY_LAYOUT,
	TARGET_WHYS
};

/* Flat, of fixed size and without pointers: it is sent by value from the jail. */
struct target {
	int32_t err;        /* 0, or -errno: the file could not be read as ELF */
	uint32_t lib;       /* enum ev_lib; EV_LIB_UNKNOWN: nothing to probe in this file */
	uint32_t machine;   /* EM_* of elf.h: for which processor the code is */
	uint32_t interface; /* `version` was told by the interface (symbol versions): the library is that or a
	                       later one that added nothing */
	char version[16];   /* "3.0.19", of an interface "3.0"; "": unknown */
	uint64_t offset[TARGET_FUNCS]; /* file offset of the probe; 0: none */
	uint32_t internal;   /* the probes sit on the functions that SSL_write, SSL_write_ex (…) share */
	uint32_t why_public; /* enum target_why: why they do not; NONE with `internal` */
	uint32_t slow;       /* bit 1 << enum target_func: the instruction there is single-stepped */
	uint32_t nested; /* bit 1 << enum target_func: it may call another probed one of the same direction:
	                    one call, two hits */
	char insn[TARGET_FUNCS][8]; /* mnemonic of the instruction under the probe */
	uint8_t func_lib[TARGET_FUNCS]; /* enum ev_lib: a program may carry several; `lib` is the first */

	/* There were no symbols: the functions were found by what they refer to (locate.h). */
	uint32_t located;
	uint32_t refused;     /* enum ev_lib: a library that is in the file, but its functions were not found */
	uint32_t why_refused; /* enum target_why; NONE: no library was refused */

	/*
	 * Where a function that was entered at `offset` returns: file offsets of
	 * the instructions at which the return value is in its register.  Without
	 * `ret_in_caller` these are its `ret` instructions and the stack pointer is
	 * what it was on entry (it points to the return address, where the machine
	 * keeps that on the stack); with it, the instructions behind all calls of
	 * it, and the stack pointer is higher by what a call puts
	 * there (x86-64: the return address, arm64: nothing).  A hit without
	 * an entry of the same stack pointer belongs to another function: ignore it.
	 */
	uint64_t ret_offset[TARGET_FUNCS][TARGET_RETURNS_MAX];
	uint8_t n_ret[TARGET_FUNCS];   /* 0: cannot be told, see ret_why */
	uint8_t ret_why[TARGET_FUNCS]; /* enum target_why */
	uint32_t ret_in_caller;        /* bit 1 << enum target_func */
	char build_id[41];             /* hexadecimal, "" when the file has none */
};

void target_inspect(int fd, struct target *ret);

const char *target_why_text(enum target_why why);
/* Of a file that has one. */
const char *target_lib_name(const struct target *t);
const char *target_refused_name(const struct target *t); /* NULL: none was refused */
/* The symbol of a function in this library, NULL: it has none. */
const char *target_func_name(const struct target *t, enum target_func f);

/* Whether the return of a function tells what passed; the others are entry only. */
static inline bool target_returns(enum target_func f)
{
	return f <= TARGET_NEW && f != TARGET_WRITE_RECORD && f != TARGET_RUSTLS_ENCRYPT &&
	       f != TARGET_RUSTLS_CONSUME;
}

/* Whether all reads and writes can be followed without return probes. */
static inline bool target_has_returns(const struct target *t)
{
	for (int f = TARGET_WRITE; f < TARGET_FLUSH; f++)
		if (t->offset[f] && !t->n_ret[f] && target_returns((enum target_func)f))
			return false;
	return t->lib != 0;
}

/* Whether there is anything to be probed; if not, why_public says why. */
static inline bool target_has_probes(const struct target *t)
{
	for (int f = TARGET_WRITE; f < TARGET_FLUSH; f++)
		if (t->offset[f])
			return true;
	return false;
}

/* Whether reads and writes pay for single-stepping; of the public forms the plain ones count, most programs
 * use them. */
static inline bool target_is_slow(const struct target *t)
{
	uint32_t plain = 1u << TARGET_WRITE | 1u << TARGET_READ;
	uint32_t rust = 1u << TARGET_RUSTLS_SEND | 1u << TARGET_RUSTLS_ENCRYPT | 1u << TARGET_RUSTLS_CONSUME;

	if (t->offset[TARGET_WRITE])
		return t->slow & (plain | rust);
	return t->slow & ((1u << TARGET_FLUSH) - 1);
}

#endif
