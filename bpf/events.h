/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * events.h - the contract between the kernel side and user space.
 *
 * Every record that a BPF program may put into a ring is declared here, and
 * nowhere else.  The file includes nothing: BPF code includes it after
 * vmlinux/core.h, user code after <linux/types.h>.
 *
 * Units: every `ts`, `start` and `gen` is CLOCK_BOOTTIME in nanoseconds (the
 * only clock that orders events).  `tgid` is the process id in the initial
 * pid namespace; `pid` is the same process as the pid namespace in which
 * spantap runs sees it (0: not visible there).  A process is identified by
 * (tgid, start): pids are reused, pairs are not.
 *
 * Rings:  "watch"  struct ev_watch only, 64 bytes each, woken at once, read by probe
 *         "life"   EV_FORK EV_EXEC EV_EXIT EV_CONN_CLOSE EV_PEER EV_NAME, read by decode
 *         "data"   EV_DATA, read by decode
 * A recording (spantap run --record) holds the life and data records in the
 * order in which decode took them, and EV_CLOCK, EV_TOTALS and EV_MARK, which
 * user space adds.  Of processes that ran before spantap came, user space adds
 * EV_FORK and EV_EXEC too, made from /proc.
 */
#ifndef SPANTAP_EVENTS_H
#define SPANTAP_EVENTS_H

enum ev_type {
	EV_FORK = 1,       /* struct ev_fork */
	EV_EXEC = 2,       /* struct ev_exec */
	EV_EXIT = 3,       /* struct ev_exit */
	EV_PEER = 4,       /* struct ev_peer */
	EV_CONN_CLOSE = 5, /* struct ev_conn */
	EV_DATA = 6,       /* struct ev_data */
	EV_WATCH = 7,      /* struct ev_watch */
	EV_CLOCK = 8,      /* struct ev_clock, user space only */
	EV_TOTALS = 9,     /* struct ev_conn, user space only: a sweep of the connection table */
	EV_MARK = 10,      /* struct ev_mark, user space only */
	EV_NAME = 11,      /* struct ev_name */
};

enum ev_dir { EV_DIR_WRITE = 0, EV_DIR_READ = 1 };

/* What carried a connection: a TLS library, or none. */
enum ev_lib {
	EV_LIB_UNKNOWN = 0,
	EV_LIB_OPENSSL = 1,
	EV_LIB_BORINGSSL = 2,
	EV_LIB_GNUTLS = 16,
	EV_LIB_GO = 17, /* crypto/tls */
	EV_LIB_NSS = 18,
	EV_LIB_MBEDTLS = 19,
	EV_LIB_WOLFSSL = 20,
	EV_LIB_S2N = 21,
	EV_LIB_RUSTLS = 22,
	EV_LIB_SOCKET = 32, /* a socket without TLS */
	EV_LIB_STDIO = 33,  /* standard input and output of a process that serves: two pipes, two sockets, or one */
};

#define EV_FRAGMENT_MAX 16384 /* payload bytes of one EV_DATA */
#define EV_BEGIN_MAX 16       /* first bytes of a lost call that are kept */
#define EV_ARGV_MAX 16384     /* argv bytes of one EV_EXEC */
#define EV_CWD_MAX 1024       /* cwd bytes of one EV_EXEC */
#define EV_CWD_DEPTH 40       /* path components of cwd that are followed */
#define EV_CGROUP_MAX 512     /* cgroup path bytes of one EV_EXEC */
#define EV_CGROUP_DEPTH 12    /* path components of the cgroup that are followed */
#define EV_NAME_MAX 256       /* bytes of one server name, its NUL included */
#define EV_COMM 16

/* First member of every record; `size` is the whole record, header included. */
struct ev_head {
	__u32 type; /* enum ev_type */
	__u32 size;
	__u64 ts;
};

struct ev_proc {
	__u64 start;
	__u32 tgid;
	__u32 pid;
};

struct ev_fork {
	struct ev_head head;
	struct ev_proc parent;
	struct ev_proc child;
};

enum ev_exec_flags {
	EV_EXEC_ARGV_CUT = 1, /* argv was longer than EV_ARGV_MAX, or not all of it readable */
	EV_EXEC_CWD_CUT = 2,  /* cwd was deeper or longer than the limits */
	EV_EXEC_FOUND = 4,    /* no exec: a process that was there already when spantap began to follow it */
};

/*
 * data[] holds argv_len bytes of argv (each argument ends with NUL), then
 * cwd_len bytes: path components of the working directory, innermost first,
 * each ending with NUL; none at all means "/".  Then cgroup_len bytes: those
 * of its cgroup, in the same form; the cgroup v2 hierarchy, or where the
 * process sits in its root, that of the v1 memory controller.
 */
struct ev_exec {
	struct ev_head head;
	struct ev_proc proc;
	__u64 dev; /* kernel dev_t of the executable's inode */
	__u64 ino;
	__u64 cgroup; /* id of that cgroup */
	__u32 uid;
	__u32 gid;
	__u32 flags; /* enum ev_exec_flags */
	__u32 argv_len;
	__u32 cwd_len;
	__u32 cgroup_len;
	char comm[EV_COMM];
	__u8 data[];
};

struct ev_exit {
	struct ev_head head;
	struct ev_proc proc;
	__u64 cpu_ns;  /* on a CPU, all threads; the time since the last scheduler tick may be missing */
	__u64 max_rss; /* bytes */
	__u32 status;  /* as wait(2) reports it: signal in the low 7 bits, code in the next 8 */
	__u32 pad;
};

/*
 * Connection = (process, TLS object, generation); without TLS the object is the
 * inode of the socket (of stdio: of the client's end of standard input), so that
 * descriptors that share it share the connection.
 */
#define EV_CONN_INODE (1ull << 63)

struct ev_conn_id {
	__u64 tls; /* address of the TLS object; or EV_CONN_INODE and the number of the inode */
	__u64 gen; /* when it was first seen: a reused address gets a new one */
	struct ev_proc proc;
};

enum ev_conn_flags {
	EV_CONN_FREED = 1,   /* SSL_free was seen */
	EV_CONN_LATE = 2,    /* the connection may be older than the attachment */
	EV_CONN_IGNORED = 4, /* by a verdict of user space: its bytes are counted only */
	EV_CONN_FINAL = 8,   /* with EV_CONN_IGNORED: for good */
	EV_CONN_RESUMED = 16, /* the generation begins at a request on a connection that was ignored before */
	EV_CONN_SERVER = 32, /* the process is the server, requests are what it reads; with EV_CONN_IGNORED, or EV_LIB_STDIO */
	EV_CONN_ANY = 64,    /* with EV_CONN_IGNORED: any next request resumes it */
};

struct ev_conn {
	struct ev_head head;
	struct ev_conn_id conn;
	__u64 produced[2]; /* bytes that passed, by enum ev_dir, delivered or not */
	__u64 lost[2];     /* of these: not delivered because the ring was full, or unreadable */
	__u64 ignored[2];  /* not among these: passed while the connection was ignored */
	__u32 lib;         /* enum ev_lib */
	__u32 flags;       /* enum ev_conn_flags */
};

/* The socket that carries a connection, seen when it was read from within a call on the TLS object. */
struct ev_peer {
	struct ev_head head;
	struct ev_conn_id conn;
	__u16 family; /* AF_INET, AF_INET6; addresses and ports in network byte order; AF_UNIX */
	__u16 local_port, port;
	__u16 flags; /* enum ev_conn_flags */
	__u8 local_address[16], address[16]; /* AF_INET: the first four bytes; AF_UNIX: the first eight name the pair of sockets */
};

/* The server name that the client asks for (SNI, RFC 6066 section 3); of a UNIX socket the server's path, abstract ones after '@'. */
struct ev_name {
	struct ev_head head;
	struct ev_conn_id conn;
	__u32 flags; /* enum ev_conn_flags */
	__u32 pad;
	char name[EV_NAME_MAX]; /* ends with NUL; cut when longer */
};

enum ev_data_flags {
	EV_DATA_UNREADABLE = 1, /* the payload could not be read: `len` bytes are a hole, data[] is not valid */
	EV_DATA_LATE = 2,       /* as EV_CONN_LATE */
	EV_DATA_TOO_LONG = 4,   /* with EV_DATA_UNREADABLE: the rest of a call that is longer than can be copied */
	EV_DATA_RESUMED = 8,    /* as EV_CONN_RESUMED */
	EV_DATA_SERVER = 16,    /* as EV_CONN_SERVER */
};

/*
 * One fragment of plaintext.  Of one SSL_write or SSL_read of N bytes come
 * ceil(N / EV_FRAGMENT_MAX) fragments with consecutive `offset`.
 * `head.size` is header + len; on kernels that cannot reserve that, the
 * smallest size class that holds it.
 *
 * `other` and `moved` tell what came before what, also of what was lost: a call
 * with moved != 0 is the first of its direction behind bytes of the other one.
 * Of such a call the first EV_BEGIN_MAX bytes come later, as a record of their
 * own, when the ring was full for it: they say what kind of message was lost.
 */
struct ev_data {
	struct ev_head head; /* ts: when the call was entered (write), when it returned (read) */
	struct ev_conn_id conn;
	__u64 offset; /* of data[0] in its direction's byte stream, from 0 */
	__u64 other;  /* bytes that had passed in the other direction, delivered or not */
	__u32 moved;  /* of these: since the last call of this direction, at most 2^32-1; 0 in further fragments of a call */
	__u32 len;    /* payload bytes */
	__u8 dir;     /* enum ev_dir */
	__u8 lib;     /* enum ev_lib */
	__u16 flags;  /* enum ev_data_flags */
	__u32 tid;    /* thread, initial pid namespace */
	__u8 data[];
};

enum ev_watch_what {
	EV_WATCH_EXEC = 1, /* of a followed process */
	EV_WATCH_EXIT = 2,
	EV_WATCH_ASK = 3, /* exec of a process that is not followed: does a rule of user space choose it? */
	EV_WATCH_PLAIN = 4, /* it has what only the tracepoints of system calls show (struct stdio_end, struct plain) */
};

struct ev_watch {
	struct ev_head head;
	struct ev_proc proc;
	__u64 dev; /* EV_WATCH_EXEC, EV_WATCH_ASK: of the executable */
	__u64 ino;
	__u32 what; /* enum ev_watch_what */
	__u32 wire, plain; /* EV_WATCH_EXIT: its TLS connections on the wire, and TLS objects with plaintext */
	__u32 pad;
};

/* Wall clock = boot clock + offset, from head.ts on. */
struct ev_clock {
	struct ev_head head;
	__s64 realtime_offset;
};

enum ev_mark_what {
	EV_MARK_BEGIN = 1,  /* first record of a recording; a: capture instance (low), b: (high) */
	EV_MARK_END = 2,    /* the traced command has ended; a: its wait status */
	EV_MARK_LIFE_LOST = 3, /* a: process and connection records lost so far */
	EV_MARK_PRESSURE = 4,  /* a: steps that spantap has to do with less (daemon/budget.h); 0: none */
};

struct ev_mark {
	struct ev_head head;
	__u32 what; /* enum ev_mark_what */
	__u32 pad;
	__u64 a, b;
};

/* Losses that the kernel side counts, one per-CPU slot each. */
enum ev_count {
	EV_COUNT_DATA_BYTES = 0,   /* payload bytes seen */
	EV_COUNT_DATA_LOST,        /* payload bytes lost: data ring full */
	EV_COUNT_DATA_UNREADABLE,  /* payload bytes lost: user memory not readable */
	EV_COUNT_DATA_TOO_LONG,    /* payload bytes lost: one call longer than a kernel without bpf_loop can copy */
	EV_COUNT_LIFE_LOST,        /* records lost: life ring full */
	EV_COUNT_WATCH_LOST,       /* records lost: watch ring full */
	EV_COUNT_CONN_UNTRACKED,   /* calls ignored: connection table full */
	EV_COUNT_CALL_UNTRACKED,   /* calls ignored: table of calls in progress full */
	EV_COUNT_CALL_UNRETURNED,  /* calls whose return was not seen: what they transferred is not known */
	EV_COUNT_PROC_UNTRACKED,   /* forks not followed: process table full */
	EV_COUNT_IGNORED,          /* payload bytes of ignored connections */
	EV_COUNT_WIRE_UNTRACKED,   /* TLS connections on the wire that are not counted: table full */
	EV_COUNT_PLAIN_UNTRACKED,  /* sockets and pipes not looked at: table full */
	EV_COUNT_PLAIN_EARLY,      /* MCP servers and local connections whose first messages passed before they were looked at */
	EV_COUNT_N,
};

_Static_assert(sizeof(struct ev_head) == 16, "ev_head");
_Static_assert(sizeof(struct ev_proc) == 16, "ev_proc");
_Static_assert(sizeof(struct ev_fork) == 48, "ev_fork");
_Static_assert(sizeof(struct ev_exec) == 96, "ev_exec");
_Static_assert(sizeof(struct ev_exit) == 56, "ev_exit");
_Static_assert(sizeof(struct ev_conn) == 104, "ev_conn");
_Static_assert(sizeof(struct ev_peer) == 88, "ev_peer");
_Static_assert(sizeof(struct ev_name) == 56 + EV_NAME_MAX, "ev_name");
_Static_assert(sizeof(struct ev_data) == 80, "ev_data");
_Static_assert(sizeof(struct ev_watch) == 64, "ev_watch");
_Static_assert(sizeof(struct ev_clock) == 24, "ev_clock");
_Static_assert(sizeof(struct ev_mark) == 40, "ev_mark");

#endif
