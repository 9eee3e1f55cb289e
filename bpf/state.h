/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * state.h - kernel-side state that probe reads or writes: map keys, map values
 * and global variables.  Not records: nothing of this goes through a ring or
 * into a recording.  To be included after events.h.
 */
#ifndef SPANTAP_STATE_H
#define SPANTAP_STATE_H

/* Map "followed": tgid -> this. */
struct followed {
	struct ev_proc proc;
	__u64 exec_ts;   /* of its latest exec, or its fork: TLS objects older than this are gone */
	__u64 wire_ts;   /* when its first TLS connection on the wire was seen, 0: none yet */
	__u64 plain_ts;  /* when its plaintext was first seen, 0: none yet */
	__u32 parent;    /* tgid; 0: it has executed a program since, or the parent is not known */
	__u32 wire;      /* TLS connections seen on the wire */
	__u32 plain;     /* generations of TLS objects with plaintext */
	__u32 pad;
};

/* Map "conns". */
struct conn_key {
	__u64 tls;
	__u64 tgid;
};

/* Map "goroutines". */
struct goroutine_key {
	__u64 g; /* address of its struct g */
	__u64 tgid;
};

/* The two ends of a socket; ports and addresses in network byte order. */
struct socket_ends {
	__u16 family, local_port, port, pad;
	__u8 local_address[16], address[16];
};

struct conn_state {
	__u64 gen;
	struct ev_proc proc;
	__u64 produced[2]; /* by enum ev_dir */
	__u64 lost[2];
	__u64 ignored[2];
	__u64 met[2]; /* produced[] of the other direction at the latest call of this one */
	__u32 lib;
	__u32 flags; /* enum ev_conn_flags */
	__u32 kept;  /* bit 1 << dir: map "kept" may have the beginning of a lost call */
	__u32 pad;
	__u64 record; /* rustls: number of the TLS record that is written next */
	struct socket_ends ends; /* family 0: not known */
};

/* Map "kept": how a call began that was the first behind the other direction and was lost, ring full. */
struct kept_key {
	__u64 tls;
	__u32 tgid, dir;
};

struct kept {
	__u64 gen;
	__u64 offset, other, ts; /* as in struct ev_data */
	__u32 moved, len;
	__u8 bytes[EV_BEGIN_MAX];
};

/* Map "wires": socket -> this, of TLS connections on the wire. */
struct wire {
	__u32 tgid; /* of the process that read first */
	__u32 pad;
	__u64 ts;
	struct socket_ends ends;
};

/* What a socket of a followed process carries. */
enum plain_what {
	PLAIN_WAIT = 0,    /* not known: no request was seen yet */
	PLAIN_NOTHING = 1, /* nothing that is looked at: TLS, another protocol */
	PLAIN_HTTP = 2,
	PLAIN_STDIO = 3, /* it is in map "stdio" */
};

/* Map "plains": socket -> this; until it is closed, or its process ends. */
struct plain {
	__u64 ino;
	__u32 tgid;     /* of the process that used it first */
	__u16 family;
	__u8 what;      /* enum plain_what */
	__u8 fresh;     /* seen from its first byte: what does not begin like HTTP is not HTTP */
	__u8 request_dir; /* PLAIN_HTTP */
	__u8 tunnel;    /* PLAIN_HTTP: CONNECT was asked for */
	__u8 local;     /* to this host, connected by this process */
	__u8 looked;    /* calls without a request */
	__u32 pad;
};

#define PLAIN_LOOK_MAX 64 /* calls on a socket joined late; none of them begins a request: it is no HTTP */

enum stdio_flags {
	STDIO_WRITE = 1,  /* what the followed end writes into it is looked at */
	STDIO_READ = 2,   /* what it reads */
	STDIO_PIPE = 4,   /* only the tracepoints of system calls show it */
	STDIO_SERVER = 8, /* the client is not followed: the server's own calls are looked at */
	STDIO_FOUND = 16, /* older than the capture */
	STDIO_SPOKEN = 32, /* the client has said something that may be JSON-RPC */
	STDIO_NOTHING = 64, /* and that was something else */
};

/* Map "stdio": inode of the end of a pipe or socket that is looked at -> this. */
struct stdio_end {
	__u64 conn;            /* inode of the end that leads to standard input: it names the connection */
	struct ev_proc server; /* the process that was executed with it */
	__u64 ts;
	__u32 flags;  /* enum stdio_flags */
	__u32 client; /* tgid, once STDIO_SPOKEN */
};

/* Map "selected": what an exec must match for the process to be followed from then on. */
enum select_kind {
	SELECT_COMM = 1,   /* a, b: the 16 bytes of comm */
	SELECT_EXE = 2,    /* a: dev, b: ino */
	SELECT_CGROUP = 3, /* a: id of the process's cgroup, or one that is above it */
};

struct select_key {
	__u64 kind, a, b;
};

/*
 * A probe's BPF cookie (kernels before 5.15 have none: 0).  What the one entry
 * program has to know of the function it sits on, and since when it does.
 */
#define COOKIE_LIB(c)      ((__u32)((c) & 0xff))              /* enum ev_lib */
#define COOKIE_DIR(c)      ((__u32)((c) >> 8 & 1))            /* enum ev_dir */
#define COOKIE_SHAPE(c)    ((__u32)((c) >> 12 & 15))          /* enum call_shape */
#define COOKIE_BEHIND_CALL (1ull << 11) /* a return that is read behind a call of the function, not at its `ret` */
#define COOKIE_ATTACHED(c) (((c) >> 16) * 1000)               /* boot ns; 0: before the first use */
#define COOKIE(lib, dir, shape, attached_ns)                                                                         \
	((__u64)(lib) | (__u64)(dir) << 8 | (__u64)(shape) << 12 | (__u64)((attached_ns) / 1000) << 16)

#define PEEK_FLAG 2 /* PR_MSG_PEEK of NSPR, prio.h */

enum call_shape {
	SHAPE_PLAIN = 0, /* (tls, buf, num): the return value is the number of bytes */
	SHAPE_EX = 1,    /* (tls, buf, num, *n) */
	SHAPE_EX2 = 2,   /* (tls, buf, num, flags, *n) */
	SHAPE_FLUSH = 3, /* (tls): sends what earlier calls have handed over */
	SHAPE_FLAGS = 5, /* (tls, buf, num, flags): with PEEK_FLAG nothing is taken */
	SHAPE_INIT = 4,  /* (*tls): makes a TLS object; the return value 0 means that it did */
};

/*
 * Map "llm_names": hash of the last segment of a request target -> 1.  A
 * request whose target ends so may be an LLM call ("/v1/chat/completions",
 * "/models/X:generateContent"), and resumes an ignored connection.
 */
#define LLM_NAME_SEED 14695981039346656037ull /* FNV-1a, 64 bits */
#define LLM_NAME_PRIME 1099511628211ull
#define LLM_NAMES_MAX 256
#define REQUEST_LOOK 128 /* bytes of a request line that are looked at; a longer target resumes */

#define VERDICT_ANY_BYTES (~0ull)

/* Arguments of the program judge(), as those of a raw tracepoint. */
struct verdict {
	__u64 tls, tgid, gen; /* which generation; another one is not touched */
	__u64 flags;          /* EV_CONN_IGNORED and its companions */
	__u64 produced[2];    /* holds only while no more has passed than this, by enum ev_dir; VERDICT_ANY_BYTES: in any case */
};

/* Global variable, set by the program whoami(): spantap itself, its program, and its pid namespace. */
struct self {
	__u32 tgid;
	__u32 level; /* how deep the namespace lies, 0: the initial one */
	__u64 ns;    /* address of the namespace */
	__u64 dev, ino; /* of spantap's executable */
};

/*
 * What the iterator each_process() writes of every process that our pid
 * namespace knows: this, the names of its working directory (exec.cwd_len
 * bytes) and of its cgroup (exec.cgroup_len), as in an exec record.
 */
struct process_facts {
	__u32 size; /* of it all */
	__u32 pad;
	struct ev_proc parent;
	__u64 stdio[2]; /* inodes of the far ends of its standard input and output, 0: neither pipe nor UNIX socket */
	__u32 stdio_pipe; /* one of them is a pipe */
	__u32 pad2;
	__u64 cgroups[EV_CGROUP_DEPTH]; /* ids of its cgroup and of those above it, then 0 */
	struct ev_exec exec;            /* EV_EXEC_FOUND, no arguments */
};

/* Global variable, written by user space. */
struct control {
	__u32 armed;       /* the next process that spantap forks is CMD */
	__u32 stop;        /* the capture has ended: record nothing more */
	__u32 all;         /* follow every process but spantap's own */
	__u32 select;      /* look at every exec: map "selected" has entries */
	__u32 ask;         /* tell user space about every exec of a process that is not followed */
	__u32 epoch;       /* goes up whenever a process is let go that was followed */
	__u32 goroutines;  /* probes are on a Go program: map "goroutines" has entries */
	__u32 pad;
	__u64 sockets_ts;  /* since when sockets are seen: what is younger is seen from its first byte */
	__u64 attached_ts; /* without cookies: when a library was last attached that a followed process used already */
};

#endif
